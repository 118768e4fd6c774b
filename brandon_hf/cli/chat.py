"""`brandon chat`: talk to a model in the terminal."""

import argparse
import contextlib
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, TextStreamer, set_seed
from transformers.utils.logging import disable_progress_bar

from brandon_hf.pretrained import DEFAULT, FOLDER, blob_path, known_model, model_name, pretrained_blob, pretrained_path
from brandon_hf.runtime import Engine

from .export import require_gguf

_HELP = """/reset        forget the conversation
/system TEXT  set the system prompt (nothing: remove it)
/help         show this
/exit         leave, like Ctrl-D; Ctrl-C stops an answer"""
# A terminal obeys control characters, and a model may write any byte.
_CONTROL = {code: None for code in [*range(32), *range(127, 160)] if chr(code) not in "\n\t"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `chat`."""
    parser.epilog = "Input from a pipe is answered line by line. /help lists the commands within the chat."
    parser.add_argument(
        "model",
        metavar="MODEL",
        nargs="?",
        type=known_model,
        help=f"model folder, name on the Hub, or file of brandon export (default: {DEFAULT}, which comes with this "
        "package)",
    )
    parser.add_argument(
        "--int8", action="store_true", help="of a model that comes with this package: in the C engine, weights in int8"
    )
    parser.add_argument("--prompt", metavar="TEXT", help="answer this and exit")
    parser.add_argument("--system", metavar="TEXT", help="system prompt")
    parser.add_argument("--greedy", action="store_true", help="always take the most probable token")
    parser.add_argument("--temperature", type=float, help="of sampling (default: the model's own, else 0.7)")
    parser.add_argument(
        "--top-k", type=int, help="sample from this many most probable tokens (default: the model's own)"
    )
    parser.add_argument("--top-p", type=float, help="sample from tokens of this probability in all (default: likewise)")
    parser.add_argument("--repetition-penalty", type=float, default=1.0, help="default: %(default)s, none")
    parser.add_argument(
        "--turns",
        type=int,
        metavar="N",
        help="how many earlier exchanges the model is shown (default: all that fit)",
    )
    parser.add_argument("--max-new-tokens", type=int, help="longest answer (default: half the context, at most 512)")
    parser.add_argument("--seed", type=int, help="makes sampling repeatable")
    parser.add_argument("--trust-remote-code", action="store_true", help="run code that comes with the model")


def run(args: argparse.Namespace) -> int:
    """Chat until the input ends; the status is 2 if a line from a pipe could not be answered.

    Raises:
        ValueError: an option is out of range, the model cannot be loaded or has no chat template.
    """
    options = sampling_options(args)
    path = args.model or pretrained_path()
    name = model_name(path)
    turns = args.turns
    if turns is not None and turns < 0:
        raise ValueError(f"--turns {turns} must not be negative")
    if args.int8:
        blob = _blob(path)
        if options["do_sample"]:
            own = GenerationConfig.from_pretrained(path)
            options = {"temperature": own.temperature, "top_k": own.top_k, **options}
        path = blob
    chat: Chat
    if Path(path).is_file():
        engine = Engine(path)
        chat = EngineChat(engine, options, args.max_new_tokens, args.system, args.seed, turns)
        about = f"{engine.info.file_bytes / 1e6:,.1f} MB, {engine.info.weight_bits}-bit weights"
    else:
        model, tokenizer = load(path, args.trust_remote_code)
        if args.seed is not None:
            set_seed(args.seed)
        chat = Chat(model, tokenizer, options, args.max_new_tokens, args.system, turns)
        about = f"{model.num_parameters():,} parameters"
    if args.prompt is not None:
        chat.answer(args.prompt)
        return 0
    refused = False
    for line in _lines(f"{name}: {about}. /help lists commands, Ctrl-D leaves."):
        if line in ("/exit", "/quit"):
            break
        try:
            _turn(chat, line)
        except ValueError as error:
            print(f"brandon chat: {error}", file=sys.stderr)
            refused = True
    return 2 if refused and not sys.stdin.isatty() else 0


def _blob(path: str) -> str:
    """The int8 file of the model in `path`, which comes with this package; says where it is written."""
    if Path(path).parent != FOLDER:
        raise ValueError(
            f"--int8 is for models that come with this package; {path} is another: brandon export it first"
        )
    file = blob_path(model_name(path))
    if not file.is_file():
        require_gguf()
        print(f"brandon chat: writing {file}", file=sys.stderr)
    return pretrained_blob(model_name(path))


def load(name: str, trust_remote_code: bool = False) -> tuple[Any, Any]:
    """The model and the tokenizer of a folder or a name on the Hub, on the accelerator if there is one.

    Raises:
        ValueError: it cannot be loaded, or is not made for chats; the message says what would be right.
        OSError: a file of the folder is missing or broken.
    """
    check_folder(name)
    disable_progress_bar()  # of loading weights: these models are small
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=trust_remote_code)
        if not tokenizer.chat_template:
            raise ValueError(f"the tokenizer of {name} has no chat template, so a chat cannot be put to this model")
        model: Any = AutoModelForCausalLM.from_pretrained(name, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:
        if "trust_remote_code" in str(error):
            raise ValueError(f"{name} comes with code of its own; if you trust it: --trust-remote-code") from error
        if isinstance(error, OSError) and not Path(name).exists():
            raise ValueError(f"{name} is neither a folder here nor a model that the Hub gives out: {error}") from error
        raise
    return model.to(torch.accelerator.current_accelerator() or "cpu").eval(), tokenizer


def check_folder(name: str) -> None:
    """Raise if `name` is no folder with a model and a tokenizer, and cannot be a name on the Hub either."""
    path = Path(name)
    if not path.exists():
        if path.suffix == ".gguf":
            raise ValueError(f"there is no file {name}")
        beside = "/" in name and path.parent.exists()  # then a folder was meant, not a name on the Hub
        if beside or not re.fullmatch(r"\w[\w.-]*(/[\w.-]+)?", name):
            raise ValueError(f"there is no folder {name}")
    elif not (path / "config.json").is_file():
        inside = [*sorted(path.glob("phase*/final")), *path.glob("final")]  # a run, or a phase of it
        hint = f": its model is {inside[-1]}" if inside else ""
        hint = ": it holds the results of one" if (path / "results.json").is_file() else hint
        raise ValueError(f"{name} is no model folder, it has no config.json{hint}")
    elif not any(path.glob("tokenizer*")) and not (path / "vocab.json").is_file():
        final = path.parent / "final"
        hint = f": the finished model is {final}" if final.is_dir() else ""
        raise ValueError(f"{name} has no tokenizer{hint}")


def sampling_options(args: argparse.Namespace) -> dict[str, Any]:
    """What `generate` is told; what is missing is the model's own. A ValueError names an option that is wrong."""
    given = {name: getattr(args, name) for name in ("temperature", "top_k", "top_p")}
    given = {name: value for name, value in given.items() if value is not None}
    if args.greedy and given:
        raise ValueError(f"--greedy does not sample: leave out --{next(iter(given)).replace('_', '-')}")
    given["repetition_penalty"] = args.repetition_penalty
    for name, value in given.items():
        if not value > 0:
            raise ValueError(f"--{name.replace('_', '-')} {value} must be above 0 (--greedy does not sample)")
    if given.get("top_p", 1) > 1:
        raise ValueError(f"--top-p {args.top_p} is a probability: at most 1")
    off = {"temperature": None, "top_k": None, "top_p": None} if args.greedy else {}
    return {"do_sample": not args.greedy, **given, **off}


class Chat:
    """A conversation with a model: `messages` grows with each answer and loses its oldest exchanges when it is full.

    Args:
        turns: How many earlier exchanges the model is shown at most; `None`: all that fit.

    Raises:
        ValueError: answers of `max_new_tokens` leave no room in the model's context.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        options: dict[str, Any],
        max_new_tokens: int | None,
        system: str | None,
        turns: int | None = None,
    ):
        self.model, self.tokenizer = model, tokenizer
        positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        self._begin(positions or tokenizer.model_max_length, max_new_tokens, system, turns)
        self.options = {
            "temperature": model.generation_config.temperature or 0.7,
            **options,
            "max_new_tokens": self.new,
        }
        if tokenizer.pad_token_id is None:
            self.options["pad_token_id"] = tokenizer.eos_token_id

    def _begin(self, context: int, max_new_tokens: int | None, system: str | None, turns: int | None) -> None:
        self.context, self.turns = context, turns
        self.new = min(512, context // 2) if max_new_tokens is None else max_new_tokens
        if not 0 < self.new < context:
            raise ValueError(f"--max-new-tokens {self.new} must leave room in the context of {context} tokens")
        self.system, self.messages, self.dropped = system, list[dict[str, str]](), False

    def answer(self, question: str) -> None:
        """Print the answer as it is written; Ctrl-C ends it.

        Raises:
            ValueError: the question alone is too long, or the chat template refuses it.
        """
        first = 0 if self.turns is None else max(0, len(self.messages) - 2 * self.turns)
        messages = [*self.messages[first:], {"role": "user", "content": question}]
        shown = len(messages)
        while (
            length := len((inputs := self._encoded(self._chat(messages)))["input_ids"][0])
        ) + self.new > self.context:
            if len(messages) == 1:
                room = self.context - self.new
                raise ValueError(f"this takes {length} tokens, {room} fit beside an answer of {self.new}: ask for less")
            messages = messages[2:]
        if len(messages) < shown and not self.dropped:
            self.dropped = True
            print("(the context is full: from now on the oldest exchanges are forgotten)", file=sys.stderr)
        self.messages = [*messages, {"role": "assistant", "content": self._written(inputs)}]

    def _chat(self, messages: list[dict[str, str]]) -> list[dict[str, str]]:
        return ([{"role": "system", "content": self.system}] if self.system else []) + messages

    def _written(self, inputs: Any) -> str:
        """The answer, printed as it is written."""
        streamer = _Streamer(self.tokenizer, skip_prompt=True, skip_special_tokens=True)
        try:
            self.model.generate(**inputs.to(self.model.device), **self.options, streamer=streamer)
        except KeyboardInterrupt:
            streamer.end()
        return streamer.text

    def _encoded(self, messages: list[dict[str, str]]) -> Any:
        """The ids of a chat, (1, T) in "input_ids"."""
        try:
            return self.tokenizer.apply_chat_template(
                messages,
                add_generation_prompt=True,
                return_dict=True,
                return_tensors="pt",
                tokenizer_kwargs={"verbose": False},  # no warning of a length that `answer` checks
            )
        except TemplateError as error:
            raise ValueError(f"the model's chat template refuses this chat: {error}") from error


class EngineChat(Chat):
    """A conversation with a blob; sampling is that of transformers where the model says nothing of its own.

    Raises:
        ValueError: as `Chat`, or the blob has no chat format.
    """

    def __init__(
        self,
        engine: Engine,
        options: dict[str, Any],
        max_new_tokens: int | None,
        system: str | None,
        seed: int | None,
        turns: int | None = None,
    ):
        if not engine.info.chat:
            raise ValueError(f"{engine.path} has no chat format, so a chat cannot be put to this model")
        self.engine, self.random = engine, random.Random(seed)
        self._begin(engine.info.context, max_new_tokens, system, turns)
        self.options = {"temperature": 0.7, "top_k": 50} if options["do_sample"] else {"temperature": 0.0}
        self.options |= {name: value for name, value in options.items() if value is not None and name != "do_sample"}

    def _encoded(self, messages: list[dict[str, str]]) -> Any:
        return {"input_ids": [self.engine.chat_ids(messages)], "messages": messages}

    def _written(self, inputs: Any) -> str:
        written = ""
        seed = self.random.getrandbits(64)
        pieces = self.engine.generate(inputs["messages"], max_new_tokens=self.new, seed=seed, **self.options)
        with contextlib.suppress(KeyboardInterrupt):
            for piece in pieces:
                text = piece.translate(_CONTROL)
                written += text
                print(text, end="", flush=True)
        print()
        return written


class _Streamer(TextStreamer):
    """Prints what the model writes, without control characters, and keeps it in `text`."""

    text = ""

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        text = text.translate(_CONTROL)
        self.text += text
        super().on_finalized_text(text, stream_end)


def _turn(chat: Chat, line: str) -> None:
    """Carry out a command or answer a question."""
    command, _, text = line.partition(" ")
    if command == "/reset":
        chat.messages = []
    elif command == "/system":
        chat.system = text.strip() or None
    elif command == "/help":
        print(_HELP)
    elif re.fullmatch(r"/\w+", command):
        raise ValueError(f"there is no command {command}; /help lists them")
    elif line:
        chat.answer(line)


def _lines(greeting: str) -> Iterator[str]:
    """What is typed, or comes from a pipe, line by line."""
    if not sys.stdin.isatty():
        yield from map(str.strip, sys.stdin)
        return
    with contextlib.suppress(ImportError):  # Windows has none
        import readline  # noqa: F401  # input() gets history and editing
    print(greeting)
    with contextlib.suppress(EOFError):
        while True:
            try:
                yield input("> ").strip()
            except KeyboardInterrupt:  # clears the line
                print()
