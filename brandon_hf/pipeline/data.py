"""What a run trains on: tokenizer, corpus and chats, each made once in the run's directory."""

import json
import os
import random
import shutil
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from accelerate import PartialState
from datasets import Dataset
from transformers import AutoConfig, AutoTokenizer

from brandon_hf.data import Corpus, PackedDataset, prepare_corpus, sample_texts
from brandon_hf.data.chat import join_chats, load_chats, split_chats, tokenize_chats, weigh_chats
from brandon_hf.data.curation import curate
from brandon_hf.files import file_written_aside, folder_written_aside
from brandon_hf.modeling import BrandonConfig
from brandon_hf.tokenization import train_tokenizer
from brandon_hf.training.instruct import pack_chats

from .recipe import PARTS, Recipe

TOKENIZER_CHATS = 5000  # chats the tokenizer is trained on, beside the text


class RunData:
    """Tokenizer, corpus and chats of a run in `folder`; `prepare` makes them."""

    def __init__(self, recipe: Recipe, folder: Path, state: PartialState):
        self.recipe, self.folder, self.state = recipe, folder, state
        self.context = recipe.model.max_position_embeddings
        if recipe.base_model is not None:
            try:
                base = AutoConfig.from_pretrained(recipe.base_model).get_text_config()
            except OSError as error:
                raise OSError(f"base_model={recipe.base_model} cannot be loaded: {error}") from error
            self.context = getattr(base, "max_position_embeddings", self.context)
            if "pretrain" in recipe.phases and base.model_type != BrandonConfig.model_type:
                raise ValueError(f"base_model={recipe.base_model} is a {base.model_type}: only Brandon models pretrain")

    def prepare(self) -> None:
        """Make what is not there, or take it from the run that `data.prepared` names. All processes call it together.

        Raises:
            OSError, ValueError: a source cannot be used; nothing half-written is left.
        """
        if self.recipe.data.prepared is not None:
            for part in PARTS:
                source = Path(self.recipe.data.prepared).expanduser() / part
                make_once(self.folder / part, partial(_link, source), self.state)
        make_once(self.folder / "tokenizer", self._make_tokenizer, self.state)
        self.blocks("validation")  # too little text to measure on is an error now, not after the chats
        make_once(self.folder / "chat", self._make_chats, self.state)

    @cached_property
    def tokenizer(self) -> Any:
        """The run's tokenizer, trained on its text unless the recipe names one."""
        return AutoTokenizer.from_pretrained(self.folder / "tokenizer")

    @cached_property
    def corpus(self) -> Corpus:
        """The run's pretraining text as token ids."""
        data, tokenizer = self.recipe.data, self.tokenizer
        if data.prepared is not None:
            corpus = Corpus.load(self.folder / "corpus")
            corpus.check_tokenizer(tokenizer)
            return corpus
        with self.state.main_process_first():
            return prepare_corpus(
                self.recipe.pretrain_sources(),
                tokenizer,
                self.folder / "corpus",
                max_tokens=data.max_tokens,
                max_epochs=data.max_epochs,
                validation_fraction=data.validation_fraction,
                seed=self.recipe.seed,
            )

    def blocks(self, split: str) -> PackedDataset:
        """The pretraining text of `train` or `validation` in blocks of the model's context."""
        return PackedDataset(self.corpus.folder, split, self.context)

    def chats(self, split: str) -> list[dict[str, Any]]:
        """The curated chats of `train` or `validation`, as messages."""
        return read_json_lines(self.folder / "chat" / f"{split}.jsonl")

    def chat_rows(self) -> Dataset:
        """The training chats tokenised and packed into rows of the model's context."""
        recipe = self.recipe
        chats = weigh_chats(self.chats("train"), recipe.chat_sources(), recipe.seed)
        most = 2 * self.context  # characters; if that does not fit, the last exchanges are cut as in any long chat
        return self._packed(join_chats(chats, recipe.data.chat_joined, recipe.seed, max_characters=most))

    @cached_property
    def validation_rows(self) -> Dataset:
        """The validation chats, likewise."""
        return self._packed(self.chats("validation"))

    def prompts(self, answer_tokens: int) -> list[tuple[list[dict[str, str]], str]]:
        """First exchanges of the training chats that leave room for an answer: messages up to it, and the reference."""
        rows = []
        for chat in self.chats("train"):
            messages = chat["messages"]
            first = next(index for index, message in enumerate(messages) if message["role"] == "assistant")
            prompt = self.tokenizer.apply_chat_template(messages[:first], add_generation_prompt=True, return_dict=True)
            if len(prompt["input_ids"]) + answer_tokens <= self.context:
                rows.append((messages[:first], messages[first]["content"]))
        if not rows:
            raise ValueError(f"no prompt of the chats leaves room for {answer_tokens} tokens in {self.context}")
        return rows

    def _packed(self, chats: list[dict[str, Any]]) -> Dataset:
        return pack_chats(tokenize_chats(chats, self.tokenizer, self.context), self.context)

    def _make_tokenizer(self, folder: Path) -> None:
        recipe = self.recipe
        existing = recipe.base_model or recipe.tokenizer.path
        if existing is not None:
            AutoTokenizer.from_pretrained(existing).save_pretrained(folder)
            return
        most = recipe.tokenizer.max_characters
        texts = list(sample_texts(recipe.pretrain_sources(), max_characters=most, seed=recipe.seed))
        # Chats too: their words must be in the vocabulary, and their share of the text is small.
        chats = load_chats(recipe.chat_sources())
        chosen = random.Random(recipe.seed).sample(chats, min(TOKENIZER_CHATS, len(chats)))
        texts += [message["content"] for chat in chosen for message in chat["messages"]]
        size = recipe.tokenizer.vocab_size or recipe.model.vocab_size
        train_tokenizer(texts, vocab_size=size, model_max_length=self.context).save_pretrained(folder)

    def _make_chats(self, folder: Path) -> None:
        sources = self.recipe.chat_sources()
        generated = {source.name for source in sources if source.builtin}  # says things twice on purpose
        chats = load_chats(sources)
        kept, report = curate([chat for chat in chats if chat["source"] not in generated], self.recipe.curation())
        if not kept and report.rows:
            raise ValueError(f"data.chat: curation left none of {report.rows:,} chats; dropped: {report.dropped}")
        for name in generated:
            own = [chat for chat in chats if chat["source"] == name]
            kept += own
            report.sources[name] = {"rows": len(own), "kept": len(own)}
            report.rows, report.kept = report.rows + len(own), report.kept + len(own)
        for source in sources:
            report.sources[source.name] |= {"weight": source.weight, "licence": source.licence}
        train, validation = split_chats(kept, self.recipe.data.chat_validation_fraction)
        for name, chats in (("train", train), ("validation", validation)):
            write_json_lines(folder / f"{name}.jsonl", chats)
        write_json(folder / "curation.json", report.to_dict())
        (folder / "curation.md").write_text(report.to_markdown(), "utf-8")


def _link(source: Path, folder: Path) -> None:
    """A second name for each file of a folder, or a copy on another disk. Nothing here changes a file in place."""

    def link(file: str, name: str) -> None:
        try:
            os.link(file, name)
        except OSError:
            shutil.copy2(file, name)

    shutil.copytree(source, folder, copy_function=link, dirs_exist_ok=True)


def make_once(path: Path, make: Callable[[Path], None], state: PartialState) -> None:
    """Make a file or folder with `make` unless it is there; processes other than the main one wait for it."""
    if state.is_main_process and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with (file_written_aside if path.suffix else folder_written_aside)(path) as aside:
            make(aside)
    state.wait_for_everyone()


def write_json(path: Path, value: Any) -> None:
    """Write `value`, whole or not at all."""
    with file_written_aside(path) as aside:
        aside.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", "utf-8")


def write_json_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write one row a line, whole or not at all."""
    with file_written_aside(path) as aside:
        aside.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """The rows of `write_json_lines`. Only a newline ends a line: texts hold other characters that look like one."""
    return [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]
