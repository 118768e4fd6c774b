"""`brandon demo`: a chat in the browser, or the folder of a Space that shows it."""

import argparse
import json
import re
import socket
import sys
from importlib import metadata, util
from pathlib import Path

from brandon_hf.files import folder_written_aside
from brandon_hf.pretrained import DEFAULT, known_model, model_name, pretrained_path

from .chat import check_folder, load

_CARD = """---
title: {title}
emoji: 💬
colorFrom: blue
colorTo: green
sdk: gradio
sdk_version: {gradio}
app_file: app.py
models: {models}
pinned: false
---

A chat with {names}, written by `brandon demo --space`.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `demo`."""
    parser.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        type=known_model,
        help=f"model folder, or name on the Hub (default: {DEFAULT}, which comes with this package)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s, local only)")
    parser.add_argument("--port", type=int, default=7860, help="port to listen on (default: %(default)s)")
    parser.add_argument("--share", action="store_true", help="also give it a public address, through gradio.live")
    parser.add_argument("--trust-remote-code", action="store_true", help="run code that comes with the models")
    parser.add_argument("--space", type=Path, metavar="DIR", help="show nothing, write the files of a Space there")


def run(args: argparse.Namespace) -> int:
    """Show the chat until interrupted, or write a Space.

    Raises:
        ValueError: Gradio is not installed, a model cannot be loaded or has no chat template.
        OSError: The port is taken, a file of a model is missing or broken, the Space's folder exists with other files.
    """
    if not util.find_spec("gradio"):
        raise ValueError("gradio is not installed: pip install 'brandon-hf[demo]'")
    args.models = args.models or [pretrained_path()]
    for model in args.models:
        check_folder(model)
    if args.space:
        for model in args.models:
            if model_name(model) != model:
                raise ValueError(f"--space: a Space loads from the Hub; brandon push {model_name(model)} NAME first")
        write_space(args.space, args.models, args.trust_remote_code)
        return 0
    _check_port(args.host, args.port)
    models = {model_name(path): load(path, args.trust_remote_code) for path in args.models}
    from brandon_hf.demo import app

    page = app.build(models)
    _, *addresses = page.launch(
        server_name=args.host,
        server_port=args.port,
        share=args.share,
        quiet=True,
        prevent_thread_lock=True,
        **app.LOOK,
    )
    print(f"The chat is at {' and '.join(filter(None, addresses))}. Ctrl-C leaves.", flush=True)
    page.block_thread()
    return 0


def _check_port(host: str, port: int) -> None:
    """Raise if nothing can listen there."""
    try:
        with socket.create_server((host, port)):
            pass
    except (OSError, OverflowError) as error:
        raise OSError(f"cannot listen on port {port} of {host}, choose another with --port: {error}") from error


def write_space(folder: Path, models: list[str], trust_remote_code: bool) -> None:
    """Write app.py, requirements.txt and README.md for a Space that shows `models`.

    Raises:
        ValueError: A model needs its own code there and `trust_remote_code` is not set.
        OSError: `folder` exists and holds something else.
    """
    local = [name for name in models if Path(name).exists()]
    for name in local:
        if not trust_remote_code and "auto_map" in json.loads((Path(name) / "config.json").read_text("utf-8")):
            raise ValueError(f"{name} comes with code of its own, which a Space has to run: --trust-remote-code")
    names = ("app.py", "requirements.txt", "README.md")
    if folder.exists() and not (folder.is_dir() and {path.name for path in folder.iterdir()} <= set(names)):
        raise FileExistsError(f"--space {folder} exists and holds other files: name a new folder")
    source = Path(__file__).parents[1].joinpath("demo", "app.py").read_text("utf-8")
    for empty, filled in (
        ("MODELS: list[str] = []", f"MODELS: list[str] = {models}"),
        ("TRUST_REMOTE_CODE = False", f"TRUST_REMOTE_CODE = {trust_remote_code}"),
    ):
        source = source.replace(empty, filled, 1)
    ours = (line.partition(";")[0].strip() for line in metadata.requires("brandon-hf") or [])
    needed = sorted(line for line in ours if re.match(r"(gradio|torch|transformers)[<>=]", line))
    card = _CARD.format(
        title=json.dumps(f"Chat with {models[0]}"),
        gradio=metadata.version("gradio"),
        models=json.dumps([name for name in models if name not in local]),
        names=", ".join(models),
    )
    with folder_written_aside(folder) as aside:
        for name, text in zip(names, (source, "\n".join(needed) + "\n", card), strict=True):
            (aside / name).write_text(text, "utf-8")
    print(f"written: {folder}; try it with: python {folder / 'app.py'}")
    if local:
        print(
            f"note: {local[0]} is a folder here: before you push the Space, write a Hub name in app.py", file=sys.stderr
        )
