"""The models that come with this package: folders here that `from_pretrained` reads, no network needed."""

import os
from pathlib import Path

FOLDER = Path(__file__).parent
DEFAULT = "brandon-tiny-5m"


def list_pretrained() -> list[str]:
    """The names of the models that come with this package, sorted."""
    return sorted(path.parent.name for path in FOLDER.glob("*/config.json"))


def pretrained_path(name: str = DEFAULT) -> str:
    """The folder of the model `name`, for `from_pretrained`, `pipeline`, and every command.

    Raises:
        ValueError: no model of this name comes with this package.
    """
    if name not in list_pretrained():
        raise ValueError(f"no model {name!r} comes with this package; there is {', '.join(list_pretrained())}")
    return str(FOLDER / name)


def pretrained_blob(name: str = DEFAULT) -> str:
    """The model `name` as a file for `brandon_hf.runtime.Engine`, weights in int8.

    Exported when it is asked for the first time, then kept in $XDG_CACHE_HOME/brandon-hf (default ~/.cache). Another
    version of the weights is another file.

    Raises:
        ValueError: no model of this name comes with this package.
        ImportError: gguf is not installed (pip install 'brandon-hf[export]').
        OSError: the file cannot be written.
    """
    from brandon_hf.evaluation.identity import weights_sha256

    folder = Path(pretrained_path(name))
    version = (weights_sha256(folder) or "")[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    file = cache / "brandon-hf" / f"{name}-{version}.gguf"
    if not file.is_file():
        from brandon_hf.export.blob import load_folder, write_model

        write_model(*load_folder(str(folder)), file, name=name)
    return str(file)


def known_model(name: str) -> str:
    """`name` itself, or the folder of the model that comes with this package by this name, if none here has it."""
    return pretrained_path(name) if name in list_pretrained() and not Path(name).exists() else name
