"""`brandon serve`: answer OpenAI-style requests with a model folder, through `transformers serve`."""

import argparse
import json
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from brandon_hf.modeling import BrandonConfig
from brandon_hf.modeling import BrandonForCausalLM as BaseForCausalLM
from brandon_hf.pretrained import known_model, model_name

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_EPILOG = """What follows MODEL goes to `transformers serve` as it is: `brandon serve MODEL --help` lists its options.
The server answers with MODEL whatever model a client names; it loads nothing else and never uses the network."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `serve`."""
    parser.description = "Serve a model at http://127.0.0.1:8000/v1: chat/completions, completions, responses, models."
    parser.epilog = _EPILOG
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s, local only)")
    parser.add_argument("--port", default="8000", help="port to listen on (default: %(default)s)")
    parser.add_argument("model", metavar="MODEL", type=known_model, help="folder of a Brandon model with its tokenizer")
    parser.add_argument("options", nargs=argparse.REMAINDER, metavar="...", help="options of `transformers serve`")


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted.

    Raises:
        ValueError: The folder cannot be served, an option is unknown or a package is missing; the message says which.
        OSError: A file of the folder is missing or broken.
    """
    import huggingface_hub.constants

    huggingface_hub.constants.HF_HUB_OFFLINE = True
    _check(args.model, args.options)
    import click
    from transformers.cli.transformers import app

    _serve_only(args.model)
    # `app`, not the command's `main`, which looks for a newer version on the network. A later --host or --port wins.
    command = ["serve", args.model, "--host", args.host, "--port", args.port, *args.options]
    try:
        app.main(args=command, prog_name="brandon", standalone_mode=False)
    except click.Abort:  # Ctrl-C, after which the server has shut down
        return 0
    except click.ClickException as error:
        raise ValueError(error.format_message()) from error
    return 0


def _check(model: str, options: list[str]) -> None:
    """Raise if the folder cannot be served, before the server's packages are imported and the weights are read."""
    from transformers import AutoConfig, AutoTokenizer
    from transformers.utils.import_utils import is_serve_available

    if not is_serve_available():
        raise ValueError("the server's packages are not installed: pip install 'brandon-hf[serve]'")
    if not Path(model).is_dir():
        raise ValueError(f"{model} is no folder (to download it from the Hub: hf download {model} --local-dir DIR)")
    if "@" in model:
        raise ValueError(f"{model}: `transformers serve` takes what follows '@' for a revision; rename the folder")
    if "--continuous-batching" in options:
        raise ValueError("--continuous-batching is not supported: its paged attention has no place for registers")
    if not (Path(model) / "config.json").is_file():
        raise ValueError(f"{model} is no model folder: it has no config.json")
    config = AutoConfig.from_pretrained(model)
    if config.model_type != BrandonConfig.model_type:
        raise ValueError(f"{model} holds a model of type {config.model_type!r}, not {BrandonConfig.model_type!r}")
    if config.architectures != [BaseForCausalLM.__name__]:
        raise ValueError(f"{model} holds {config.architectures}, not a {BaseForCausalLM.__name__}")
    if not AutoTokenizer.from_pretrained(model).chat_template:
        raise ValueError(f"the tokenizer of {model} has no chat template, so a chat cannot be put to this model")


def _serve_only(model: str) -> None:
    """Prepare this process: our class where the server looks for it, and requests pinned to the model."""
    import transformers.cli.serving.server as server
    from jinja2 import TemplateError
    from starlette.responses import JSONResponse

    # The server looks for the class by name on this module, which other imports may have replaced: not `transformers`.
    vars(sys.modules["transformers"])[BaseForCausalLM.__name__] = BrandonForCausalLM
    build_server = server.build_server

    def build(*args: Any, **kwargs: Any) -> Any:
        app = build_server(*args, **kwargs)
        app.add_middleware(OneModel, model=model)
        for error in (TemplateError, ValueError):  # a role the template refuses, a prompt beyond the context
            app.add_exception_handler(error, refuse)
        return app

    async def refuse(request: Any, error: Exception) -> JSONResponse:
        return JSONResponse({"error": {"message": str(error), "type": "invalid_request_error"}}, status_code=400)

    server.build_server = build


class BrandonForCausalLM(BaseForCausalLM):
    """The model as served: where more tokens are asked for than the context holds, the answer ends there.

    `transformers serve` asks for at least 1024 by default and `transformers chat` for 256 in every turn, while
    `generate` refuses what exceeds the context. The name is that in `config.architectures`, which loading compares.
    """

    def generate(self, *args: Any, generation_config: Any = None, **kwargs: Any) -> Any:
        room = self.config.max_position_embeddings - kwargs["input_ids"].shape[1]
        if generation_config.max_new_tokens is not None and 0 < room < generation_config.max_new_tokens:
            generation_config.max_new_tokens = room  # in place: the server compares it to report "length"
        return super().generate(*args, generation_config=generation_config, **kwargs)


class OneModel:
    """ASGI middleware that answers `GET /v1/models` and puts the served model's name into every request."""

    def __init__(self, app: Any, model: str):
        self.app, self.model = app, model

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        if scope["method"] == "GET" and scope["path"] == "/v1/models":
            from starlette.responses import JSONResponse

            entry = {"id": model_name(self.model), "object": "model", "created": 0, "owned_by": "brandon-hf"}
            return await JSONResponse({"object": "list", "data": [entry]})(scope, receive, send)
        if scope["method"] == "POST":
            receive = await self._pinned(scope, receive)
        await self.app(scope, receive, send)

    async def _pinned(self, scope: Message, receive: Receive) -> Receive:
        """Read the request's body and give back a `receive` that delivers it with our model in it."""
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return _first(message, receive)
            body, more = body + message.get("body", b""), message.get("more_body", False)
        try:
            fields = json.loads(body)
        except ValueError:
            fields = None
        if isinstance(fields, dict):
            body = json.dumps({**fields, "model": self.model}).encode()
            headers = [pair for pair in scope["headers"] if pair[0] != b"content-length"]
            scope["headers"] = [*headers, (b"content-length", str(len(body)).encode())]
        return _first({"type": "http.request", "body": body, "more_body": False}, receive)


def _first(message: Message, receive: Receive) -> Receive:
    """A `receive` that delivers `message` before what `receive` does."""
    waiting = [message]

    async def receive_next() -> Message:
        return waiting.pop() if waiting else await receive()

    return receive_next
