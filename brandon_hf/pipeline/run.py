"""A run: tokenizer, data, teacher, phases, samples and report in one directory, each step done once.

<run>/recipe.yaml            what the run is made of, overrides included
<run>/environment.json       versions, hardware, the command
<run>/tokenizer/             from_pretrained folder
<run>/corpus/                pretraining text as token ids
<run>/chat/                  curated chats, and what curation left out
<run>/teacher/               like a phase, if the teacher is trained here
<run>/phase1_pretrain/       checkpoint-*, metrics.jsonl, evaluation.json and the model in final/
<run>/phase2_distill/ ...    likewise
<run>/samples.json           what the finished model writes
<run>/report.md, report.html
"""

import gc
import json
import os
import platform
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate import PartialState
from accelerate.utils import gather_object
from datasets import Dataset
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedModel, set_seed

from brandon_hf.data import Corpus, PackedDataset, collate_blocks, prepare_corpus, sample_texts
from brandon_hf.data.chat import load_chats, split_chats, tokenize_chats, weigh_chats
from brandon_hf.data.curation import curate
from brandon_hf.files import file_written_aside, folder_written_aside
from brandon_hf.modeling import BrandonConfig, BrandonForCausalLM
from brandon_hf.tokenization import train_tokenizer
from brandon_hf.training.distill import (
    DistillTrainer,
    OnPolicyDistillTrainer,
    check_vocabularies,
    on_policy_arguments,
    write_top_k,
)
from brandon_hf.training.evaluation import mean_loss
from brandon_hf.training.instruct import InstructTrainer, PackedRows, pack_chats, with_replay
from brandon_hf.training.pretrain import PretrainTrainer

from .recipe import Recipe, to_yaml
from .samples import write_samples

FOLDERS = {
    "teacher": "teacher",
    "pretrain": "phase1_pretrain",
    "distill": "phase2_distill",
    "sft": "phase3_sft",
    "prefer": "phase4_prefer",
}
PACKAGES = ("torch", "transformers", "accelerate", "trl", "peft", "datasets", "tokenizers", "brandon-hf")


class Run:
    """A recipe carried out in `folder`. Every step is skipped if its result is there, and continued if it was cut off.

    With `base_model` a phase starts from that folder instead of the phase before it, and the run uses its tokenizer.

    Under `torchrun` or `accelerate launch` all processes call the same methods: one prepares, all train.

    Raises:
        ValueError: `folder` holds a run of another recipe, or the recipe cannot be carried out.
    """

    def __init__(self, recipe: Recipe, folder: Path, base_model: Path | None = None):
        self.recipe, self.folder, self.base_model = recipe, folder, base_model
        self.state = PartialState(cpu=not torch.accelerator.is_available())
        self._once("recipe.yaml", self._write_recipe)
        self._check_same_recipe()

    def phase_folder(self, phase: str) -> Path:
        """Where `phase` (or `teacher`) keeps its checkpoints, log and final model."""
        return self.folder / FOLDERS[phase]

    def final(self, phase: str) -> Path:
        """The finished model of `phase`."""
        return self.phase_folder(phase) / "final"

    def load(self, model: Path | str) -> Any:
        """A causal LM from a folder or the Hub, in float32."""
        return AutoModelForCausalLM.from_pretrained(str(model), dtype=torch.float32)

    def execute(self, phases: Sequence[str] | None = None) -> Path:
        """Carry out the whole recipe, or these phases of it; returns the folder of the last phase's model."""
        self._check_disk()
        self.prepare()
        phases = phases or self.recipe.phases
        if "distill" in phases:
            self._check_teacher()
            self.teacher()
        for phase in phases:
            getattr(self, phase)()
        return self.final(phases[-1])

    # What the phases need

    def prepare(self) -> None:
        """Make tokenizer, corpus and chats, unless they are there. All processes call it together."""
        self._once("tokenizer", self._make_tokenizer)
        _ = self.corpus
        self._once("chat", self._make_chats)

    @cached_property
    def tokenizer(self) -> Any:
        """The run's tokenizer, trained on its text unless the recipe names one."""
        return AutoTokenizer.from_pretrained(self.folder / "tokenizer")

    @cached_property
    def corpus(self) -> Corpus:
        """The run's pretraining text as token ids."""
        data, tokenizer = self.recipe.data, self.tokenizer
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
        """The pretraining text in blocks of the model's context."""
        return PackedDataset(self.corpus.folder, split, self.recipe.model.max_position_embeddings)

    def chats(self, split: str) -> list[dict[str, Any]]:
        """The curated chats of `train` or `validation`, as messages."""
        lines = (self.folder / "chat" / f"{split}.jsonl").read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def chat_rows(self) -> Dataset:
        """The training chats tokenised and packed into rows of the model's context."""
        return self._packed(weigh_chats(self.chats("train"), self.recipe.chat_sources(), self.recipe.seed))

    @cached_property
    def validation_rows(self) -> Dataset:
        """The validation chats, likewise."""
        return self._packed(self.chats("validation"))

    def _packed(self, chats: list[dict[str, Any]]) -> Dataset:
        length = self.recipe.model.max_position_embeddings
        return pack_chats(tokenize_chats(chats, self.tokenizer, length), length)

    # The phases

    def teacher(self) -> None:
        """Train the teacher on the run's text, if the recipe does not name one that exists."""
        if self.recipe.teacher.path is None:
            self._pretrain("teacher", self.recipe.teacher_model(), self.recipe.teacher_arguments)

    def pretrain(self) -> None:
        """Phase 1."""
        self._pretrain("pretrain", self.recipe.model, lambda folder: self.recipe.arguments("pretrain", folder))

    def distill(self) -> None:
        """Phase 2; trains the teacher first, if need be."""
        if self._done("distill"):
            return
        self.teacher()
        args = self.recipe.arguments("distill", self.phase_folder("distill"))
        start = self._start("distill")
        student, teacher = self.load(start), self.load(self.recipe.teacher.path or self.final("teacher"))
        check_vocabularies(teacher, student)
        set_seed(args.seed)
        trainer: Any
        if args.on_policy:
            prompts = [{"prompt": chat["messages"][:-1]} for chat in self.chats("train")]
            trainer = OnPolicyDistillTrainer(
                model=student,
                teacher_model=teacher,
                args=on_policy_arguments(args),
                train_dataset=Dataset.from_list(prompts),
                processing_class=self.tokenizer,
            )
        else:
            data: Any = self.blocks("train")
            if args.top_k:
                with self.state.main_process_first():
                    data = write_top_k(
                        teacher.to(args.device),
                        data,
                        self.phase_folder("distill") / "teacher_top_k",
                        k=args.top_k,
                        temperature=args.temperature,
                        batch_size=args.per_device_eval_batch_size,
                    )
            trainer = DistillTrainer(
                student, args, None if args.top_k else teacher, train_dataset=data, **self._shared(args)
            )
        self._train("distill", trainer)

    def sft(self) -> None:
        """Phase 3."""
        if self._done("sft"):
            return
        args = self.recipe.arguments("sft", self.phase_folder("sft"))
        start = self._start("sft")
        rows = self.chat_rows()
        if args.replay:
            rows = with_replay(rows, self.blocks("train"), args.replay, args.seed)
        set_seed(args.seed)
        validation = self.validation_rows if args.eval_strategy != "no" else None
        trainer = InstructTrainer(self.load(start), args, self.tokenizer, rows, validation)
        self._train("sft", trainer)

    def prefer(self) -> None:
        """Phase 4: DPO or GRPO against repetition."""
        if self._done("prefer"):
            return
        from .preferences import preference_trainer  # its trainers import much

        start = self._start("prefer")
        args = self.recipe.arguments("prefer", self.phase_folder("prefer"))
        set_seed(args.seed)
        trainer = preference_trainer(self, self.load(start), args)
        self._train("prefer", trainer)

    def samples(self) -> dict[str, Any]:
        """What the last phase's model writes and answers; see `samples.write_samples`."""
        path = self.folder / "samples.json"
        if not path.is_file() and self.state.is_main_process:
            model = self.load(self.final(self.recipe.phases[-1]))
            model.to(self.state.device)
            result = write_samples(model, self.tokenizer, self.recipe)
            with file_written_aside(path) as aside:
                aside.write_text(json.dumps(result, indent=1, ensure_ascii=False), "utf-8")
        self.state.wait_for_everyone()
        return json.loads(path.read_text("utf-8"))

    # Inside

    def _pretrain(self, phase: str, config: BrandonConfig, arguments: Callable[[Path], Any]) -> None:
        if self._done(phase):
            return
        args = arguments(self.phase_folder(phase))
        data = self.blocks("train")
        set_seed(args.seed)
        model = BrandonForCausalLM(self._fitted(config))
        trainer = PretrainTrainer(model, args, train_dataset=data, **self._shared(args))
        self._train(phase, trainer)

    def _train(self, phase: str, trainer: Any) -> None:
        """Train, then write the model and its evaluation; the phase is done when `final` is there."""
        if self.state.is_main_process and not (self.phase_folder(phase) / "before.json").is_file():
            before = self._evaluation(trainer.accelerator.unwrap_model(trainer.model))
            self._write_json(self.phase_folder(phase) / "before.json", before)
        self.state.wait_for_everyone()
        set_seed(trainer.args.seed)  # whatever came before, or was already there
        trainer.train()
        model = trainer.accelerator.unwrap_model(trainer.model)
        if hasattr(model, "merge_and_unload"):
            model = model.merge_and_unload()
        self._check_ranks_agree(model)
        if self.state.is_main_process:
            # TRL switches the cache off in the config it trains with.
            model.config.use_cache = True
            model.generation_config = self._generation_config()
            self._write_json(self.phase_folder(phase) / "evaluation.json", self._evaluation(model))
            with folder_written_aside(self.final(phase)) as folder:
                model.save_pretrained(folder)
                self.tokenizer.save_pretrained(folder)
        self.state.wait_for_everyone()
        del trainer, model
        gc.collect()

    def _evaluation(self, model: PreTrainedModel) -> dict[str, float]:
        """Losses (nats per token) on held-out text and on held-out chats."""
        text = mean_loss(model, self.blocks("validation"), collate_blocks)
        chats = mean_loss(model, self.validation_rows, PackedRows(self.tokenizer.pad_token_id))
        return {
            "validation_loss": text,
            "validation_bits_per_byte": self.corpus.bits_per_byte(text),
            "chat_loss": chats,
        }

    def _done(self, phase: str) -> bool:
        return self.final(phase).is_dir()

    def _start(self, phase: str) -> Path:
        """The model that `phase` starts from: the last one before it in the recipe."""
        if self.base_model is not None:
            return self.base_model
        order = list(FOLDERS)[1:]
        for earlier in reversed(order[: order.index(phase)]):
            if self._done(earlier):
                return self.final(earlier)
        raise ValueError(f"{phase} starts from a trained model, {self.folder} holds none: run `brandon pretrain` first")

    def _shared(self, args: Any) -> dict[str, Any]:
        """What the trainers on blocks have in common: checkpoints carry the tokenizer, evaluation is opt-in."""
        blocks = self.blocks("validation") if args.eval_strategy != "no" else None
        return {"processing_class": self.tokenizer, "eval_dataset": blocks}

    def _fitted(self, config: BrandonConfig) -> BrandonConfig:
        """The configuration with the tokenizer's size and special tokens."""
        tokenizer = self.tokenizer
        config.vocab_size = len(tokenizer)
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            setattr(config, name, getattr(tokenizer, name))
        return config

    def _generation_config(self) -> GenerationConfig:
        tokenizer = self.tokenizer
        ends = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|im_end|>")]
        return GenerationConfig(
            bos_token_id=tokenizer.bos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=[token for token in ends if token is not None],
        )

    def _make_tokenizer(self, folder: Path) -> None:
        settings = self.recipe.tokenizer
        existing = self.base_model or settings.path
        if existing is not None:
            AutoTokenizer.from_pretrained(existing).save_pretrained(folder)
            return
        texts = list(
            sample_texts(self.recipe.pretrain_sources(), max_characters=settings.max_characters, seed=self.recipe.seed)
        )
        # Chats too: their words must be in the vocabulary, and their share of the text is small.
        chats = load_chats(self.recipe.chat_sources())
        texts += [message["content"] for chat in chats[:5000] for message in chat["messages"]]
        size = settings.vocab_size or self.recipe.model.vocab_size
        length = self.recipe.model.max_position_embeddings
        train_tokenizer(texts, vocab_size=size, model_max_length=length).save_pretrained(folder)

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
        train, validation = split_chats(kept, self.recipe.data.chat_validation_fraction)
        for name, chats in (("train", train), ("validation", validation)):
            text = "".join(json.dumps(chat, ensure_ascii=False) + "\n" for chat in chats)
            (folder / f"{name}.jsonl").write_text(text, "utf-8")
        self._write_json(folder / "curation.json", report.to_dict())
        (folder / "curation.md").write_text(report.to_markdown(), "utf-8")

    def _write_recipe(self, path: Path) -> None:
        path.write_text(to_yaml(self.recipe), "utf-8")
        environment = {
            "command": shlex.join(["brandon", *sys.argv[1:]] if Path(sys.argv[0]).name == "brandon" else sys.argv),
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
            "packages": {name: version(name) for name in PACKAGES},
            "device": _device(),
            "threads": torch.get_num_threads(),
            "processes": self.state.num_processes,
            "cores": os.cpu_count(),
        }
        self._write_json(self.folder / "environment.json", environment)

    def _check_same_recipe(self) -> None:
        written = yaml.safe_load((self.folder / "recipe.yaml").read_text("utf-8"))
        wanted = yaml.safe_load(to_yaml(self.recipe))
        if written != wanted:
            where = _difference(written, wanted)
            raise ValueError(
                f"{self.folder} holds a run with {where}: choose another --name, or delete the folder to start anew"
            )

    def _check_ranks_agree(self, model: PreTrainedModel) -> None:
        """After training on several processes, all hold the same weights, bit for bit."""
        if self.state.num_processes == 1:
            return
        sums = gather_object([sum(float(weight.double().sum()) for weight in model.parameters())])
        if len(set(sums)) > 1:
            raise ValueError(f"the processes hold different weights after training: their sums are {sums}")

    def _check_teacher(self) -> None:
        """A teacher that exists must read the same tokens; better known before the student is trained."""
        path = self.recipe.teacher.path
        if path is None:
            return
        size = AutoConfig.from_pretrained(path).get_text_config().vocab_size
        if size != len(self.tokenizer):
            raise ValueError(
                f"the teacher {path} knows {size} tokens and the student {len(self.tokenizer)}: "
                f"both must use the same tokenizer (tokenizer.path={path})"
            )
        if AutoTokenizer.from_pretrained(path).get_vocab() != self.tokenizer.get_vocab():
            raise ValueError(f"the teacher {path} has another tokenizer of the same size: set tokenizer.path={path}")

    def _check_disk(self) -> None:
        """Weights, optimizer state and two checkpoints of each phase have to fit."""
        config = self.recipe.model
        size = 4 * (config.vocab_size + 12 * config.num_hidden_layers * config.hidden_size) * config.hidden_size
        needed = 3 * 3 * size
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise OSError(
                f"{self.folder}: {free / 1e6:,.0f} MB are free, checkpoints of this model need about "
                f"{needed / 1e6:,.0f} MB: make room, or put the run elsewhere with --output"
            )

    def _once(self, name: str, make: Callable[[Path], None]) -> None:
        """Make the file or folder `name` of the run unless it is there; other processes wait for it."""
        path = self.folder / name
        if self.state.is_main_process and not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            with (file_written_aside if path.suffix else folder_written_aside)(path) as aside:
                make(aside)
        self.state.wait_for_everyone()

    def _write_json(self, path: Path, value: Any) -> None:
        with file_written_aside(path) as aside:
            aside.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _device() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name(0)
    return "CPU" if not torch.accelerator.is_available() else str(torch.accelerator.current_accelerator())


def _difference(written: Any, wanted: Any, path: str = "") -> str:
    """The first place where two recipes differ, in words."""
    if isinstance(written, dict) and isinstance(wanted, dict):
        for key in [*written, *wanted]:
            if written.get(key) != wanted.get(key):
                return _difference(written.get(key), wanted.get(key), f"{path}.{key}".lstrip("."))
    return f"{path}={written!r}, not {wanted!r}"
