"""The models that come with this package: folders here that `from_pretrained` reads, no network needed."""

import argparse
import difflib
import hashlib
import os
from pathlib import Path

FOLDER = Path(__file__).parent
DEFAULT = "brandon-tiny-5m"


class UnknownModel(argparse.ArgumentTypeError, ValueError):
    """A name that is none; as an `ArgumentTypeError` it is shown as it is where it stands on the command line."""


def list_pretrained() -> list[str]:
    """The names of the models that come with this package, sorted."""
    return sorted(path.parent.name for path in FOLDER.glob("*/config.json"))


def pretrained_path(name: str = DEFAULT) -> str:
    """The folder of the model `name`, for `from_pretrained` and `pipeline`.

    Raises:
        ValueError: no model of this name comes with this package.
    """
    if name not in list_pretrained():
        raise ValueError(f"no model {name!r} comes with this package; there is {', '.join(list_pretrained())}")
    return str(FOLDER / name)


def blob_path(name: str = DEFAULT) -> Path:
    """Where `pretrained_blob` keeps the file: in $XDG_CACHE_HOME/brandon-hf, by default ~/.cache/brandon-hf.

    Whatever decides its contents is in its name: another version of the model, or of the format, is another file.

    Raises:
        ValueError: no model of this name comes with this package.
    """
    from brandon_hf.export.layout import BLOB_VERSION

    digest = hashlib.sha256(f"{BLOB_VERSION}".encode())
    for file in sorted(Path(pretrained_path(name)).iterdir()):
        if file.suffix in (".json", ".jinja", ".safetensors"):
            digest.update(file.read_bytes())
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache) / "brandon-hf" / f"{name}-{digest.hexdigest()[:12]}.gguf"


def pretrained_blob(name: str = DEFAULT) -> str:
    """The model `name` as a file for `brandon_hf.runtime.Engine`, weights in int8; exported if `blob_path` is missing.

    Raises:
        ValueError: no model of this name comes with this package.
        ImportError: gguf is not installed (pip install 'brandon-hf[export]').
        OSError: the file cannot be written.
    """
    file = blob_path(name)
    if not file.is_file():
        from brandon_hf.export.blob import load_folder, write_model

        model, tokenizer = load_folder(pretrained_path(name))
        try:
            own = file.with_name(f"{os.getpid()}-{file.name}")  # another process may be exporting, too
            write_model(model, tokenizer, own, name=name)
            own.replace(file)
        except OSError as error:
            raise OSError(f"{file} cannot be written, set XDG_CACHE_HOME to another folder: {error}") from error
    return str(file)


def known_model(name: str) -> str:
    """`name` itself, or the folder of the model that comes with this package by this name, if none here has it.

    Raises:
        UnknownModel: no folder has this name, and it looks like a slip for one of these models'.
    """
    if Path(name).exists():
        return name
    if name in list_pretrained():
        return pretrained_path(name)
    close = difflib.get_close_matches(name, list_pretrained(), 1, cutoff=0.8)
    if close and "/" not in name:  # with a slash it is another's on the Hub
        raise UnknownModel(f"there is no folder {name}; did you mean {close[0]}?")
    return name


def model_name(path: str) -> str:
    """The name of the model that comes with this package in this folder; of others the path as it is."""
    return Path(path).name if Path(path).parent == FOLDER else path
