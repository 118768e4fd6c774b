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
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate import PartialState
from accelerate.utils import gather_object
from datasets import Dataset
from filelock import FileLock, Timeout
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedModel, set_seed

from brandon_hf.data import collate_blocks
from brandon_hf.environment import environment
from brandon_hf.files import file_written_aside, folder_written_aside, full_disk_named
from brandon_hf.modeling import BrandonConfig, BrandonForCausalLM
from brandon_hf.training.checkpoints import TimeLimit
from brandon_hf.training.distill import (
    DistillTrainer,
    OnPolicyDistillTrainer,
    check_vocabularies,
    on_policy_arguments,
    write_top_k,
)
from brandon_hf.training.evaluation import mean_loss
from brandon_hf.training.instruct import InstructTrainer, PackedRows, with_replay
from brandon_hf.training.pretrain import PretrainTrainer

from .data import RunData, write_json
from .recipe import PARTS, PHASES, Recipe, to_yaml
from .samples import write_samples

FOLDERS = {
    "teacher": "teacher",
    "pretrain": "phase1_pretrain",
    "distill": "phase2_distill",
    "sft": "phase3_sft",
    "prefer": "phase4_prefer",
}
PREPARED_FROM = ("seed", "model", "tokenizer", "data", "base_model")  # sections that decide tokenizer, corpus and chats
WEIGHTLESS = ("report_to", "run_name", "logging_steps", "save_steps", "save_total_limit", "disable_tqdm")


class OutOfTime(Exception):
    """A run stopped at its time limit, with a checkpoint it continues from."""


class Run:
    """A recipe carried out in `folder`. Every step is skipped if its result is there, and continued if it was cut off.

    With the recipe's `base_model` the first phase starts from that folder or Hub name, and the run uses its tokenizer.

    Under `torchrun` or `accelerate launch` all processes call the same methods: one prepares, all train.

    Raises:
        ValueError: `folder` holds a run of another recipe, or the recipe cannot be carried out.
    """

    def __init__(self, recipe: Recipe, folder: Path):
        if os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true":
            raise ValueError("a run trains with DDP: for FSDP use the trainer classes in a script of your own")
        self.recipe, self.folder = recipe, folder
        self.deadline: float | None = None
        # The other processes wait while the main one prepares the data, which may take hours.
        self.state = PartialState(cpu=not torch.accelerator.is_available(), timeout=timedelta(days=2))
        self.data = RunData(recipe, folder, self.state)
        if self.state.is_main_process:
            self._settle_recipe()
        self.state.wait_for_everyone()

    def phase_folder(self, phase: str) -> Path:
        """Where `phase` (or `teacher`) keeps its checkpoints, log and final model."""
        return self.folder / FOLDERS[phase]

    def final(self, phase: str) -> Path:
        """The finished model of `phase`."""
        return self.phase_folder(phase) / "final"

    def load(self, model: Path | str) -> Any:
        """A causal LM from a folder or the Hub, in float32."""
        return AutoModelForCausalLM.from_pretrained(str(model), dtype=torch.float32)

    def execute(self, phases: Sequence[str] | None = None, minutes: float | None = None) -> Path:
        """Carry out the whole recipe, or these phases of it; returns the folder of the last phase's model.

        Raises:
            OutOfTime: `minutes` have passed; a checkpoint was written.
            ValueError: another process trains in the same folder.
        """
        if minutes is not None:
            self.deadline = time.monotonic() + 60 * minutes
        phases = phases or self.recipe.phases
        with self._alone():
            self._check_disk()
            self.data.prepare()
            if "distill" in phases:
                self._check_teacher()
                self.teacher()
            for phase in phases:
                getattr(self, phase)()
        return self.final(phases[-1])

    def plan(self, phases: Sequence[str] | None = None) -> str:
        """What there is to train: "teacher 600 steps, then pretrain 400 steps"."""
        phases = phases or self.recipe.phases
        settings = {phase: self.recipe.arguments(phase, self.phase_folder(phase)) for phase in phases}
        if "distill" in phases and self.recipe.teacher.path is None:
            settings = {"teacher": self.recipe.teacher_arguments(self.phase_folder("teacher"))} | settings
        lengths = {
            name: f"{args.max_steps:,} steps" if args.max_steps > 0 else f"{args.num_train_epochs:g} epochs"
            for name, args in settings.items()
        }
        return ", then ".join(f"{name} {length}" for name, length in lengths.items())

    # The phases

    def teacher(self) -> None:
        """Train the teacher on the run's text, if the recipe does not name one that exists."""
        if self.recipe.teacher.path is None:
            self._pretrain("teacher", self.recipe.teacher_model(), self.recipe.teacher_arguments)

    def pretrain(self) -> None:
        """Phase 1, from random weights or on from those of `base_model`."""
        self._pretrain(
            "pretrain",
            self.recipe.model,
            lambda folder: self.recipe.arguments("pretrain", folder),
            self.recipe.base_model,
        )

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
            prompts = [{"prompt": prompt} for prompt, _ in self.data.prompts(args.max_completion_length)]
            trainer = OnPolicyDistillTrainer(
                model=student,
                teacher_model=teacher,
                args=on_policy_arguments(args),
                train_dataset=Dataset.from_list(prompts),
                processing_class=self.data.tokenizer,
            )
        else:
            data: Any = self.data.blocks("train")
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
        rows = self.data.chat_rows()
        if args.replay:
            rows = with_replay(rows, self.data.blocks("train"), args.replay, args.seed)
        set_seed(args.seed)
        validation = self.data.validation_rows if args.eval_strategy != "no" else None
        trainer = InstructTrainer(self.load(start), args, self.data.tokenizer, rows, validation)
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
        path, settings = self.folder / "samples.json", asdict(self.recipe.samples)
        written = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        if written.get("settings") != settings and self.state.is_main_process:
            model = self.load(self.final(self.recipe.phases[-1]))
            model.to(self.state.device)
            write_json(path, {"settings": settings, **write_samples(model, self.data.tokenizer, self.recipe)})
        self.state.wait_for_everyone()
        return json.loads(path.read_text("utf-8"))

    # Inside

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One run at a time in a folder; a killed process leaves no lock."""
        if not self.state.is_main_process:
            yield
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise ValueError(f"{self.folder} is in use: another process is training there") from None
        try:
            yield
        finally:
            lock.release()

    def _pretrain(
        self, phase: str, config: BrandonConfig, arguments: Callable[[Path], Any], base: str | None = None
    ) -> None:
        if self._done(phase):
            return
        args = arguments(self.phase_folder(phase))
        data = self.data.blocks("train")
        set_seed(args.seed)
        model = BrandonForCausalLM(self._fitted(config)) if base is None else self.load(base)
        trainer = PretrainTrainer(model, args, train_dataset=data, **self._shared(args))
        self._train(phase, trainer)

    def _train(self, phase: str, trainer: Any) -> None:
        """Train, then write the model and its evaluation; the phase is done when `final` is there."""
        if self.state.is_main_process and not (self.phase_folder(phase) / "before.json").is_file():
            before = self._evaluation(trainer.accelerator.unwrap_model(trainer.model))
            write_json(self.phase_folder(phase) / "before.json", before)
        self.state.wait_for_everyone()
        set_seed(trainer.args.seed)  # whatever came before, or was already there
        if self.deadline is not None:
            trainer.add_callback(TimeLimit(self.deadline))
        trainer.train()
        if self.deadline is not None and trainer.state.global_step < trainer.state.max_steps:
            raise OutOfTime(
                f"{phase} stopped at its time limit after step {trainer.state.global_step:,} of "
                f"{trainer.state.max_steps:,}"
            )
        model = trainer.accelerator.unwrap_model(trainer.model)
        if hasattr(model, "merge_and_unload"):
            model = model.merge_and_unload()
        self._check_ranks_agree(model)
        if self.state.is_main_process:
            # TRL switches the cache off in the config it trains with.
            model.config.use_cache = True
            model.generation_config = self._generation_config()
            write_json(self.phase_folder(phase) / "evaluation.json", self._evaluation(model))
            with full_disk_named(self.folder), folder_written_aside(self.final(phase)) as folder:
                model.save_pretrained(folder)
                self.data.tokenizer.save_pretrained(folder)
        self.state.wait_for_everyone()
        del trainer, model
        gc.collect()

    def _evaluation(self, model: PreTrainedModel) -> dict[str, float]:
        """Losses (nats per token) on held-out text and on held-out chats."""
        text = mean_loss(model, self.data.blocks("validation"), collate_blocks)
        chats = mean_loss(model, self.data.validation_rows, PackedRows(self.data.tokenizer.pad_token_id))
        return {
            "validation_loss": text,
            "validation_bits_per_byte": self.data.corpus.bits_per_byte(text),
            "chat_loss": chats,
        }

    def _done(self, phase: str) -> bool:
        return self.final(phase).is_dir()

    def _start(self, phase: str) -> Path | str:
        """The model that `phase` starts from: that of the phase before it in the recipe, or `base_model`."""
        phases = [*PHASES[: PHASES.index(phase)], phase] if phase not in self.recipe.phases else self.recipe.phases
        earlier = [other for other in phases[: phases.index(phase)] if other in self.recipe.phases]
        if self.recipe.base_model is not None and not any(map(self._done, earlier)):
            return self.recipe.base_model
        if not earlier or not self._done(earlier[-1]):
            first = earlier[-1] if earlier else "pretrain"
            raise ValueError(f"{phase} starts from the model of another phase: run `brandon {first}` first, or --model")
        return self.final(earlier[-1])

    def _shared(self, args: Any) -> dict[str, Any]:
        """What the trainers on blocks have in common: checkpoints carry the tokenizer, evaluation is opt-in."""
        blocks = self.data.blocks("validation") if args.eval_strategy != "no" else None
        return {"processing_class": self.data.tokenizer, "eval_dataset": blocks}

    def _fitted(self, config: BrandonConfig) -> BrandonConfig:
        """The configuration with the tokenizer's size and special tokens."""
        tokenizer = self.data.tokenizer
        config.vocab_size = len(tokenizer)
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            setattr(config, name, getattr(tokenizer, name))
        return config

    def _generation_config(self) -> GenerationConfig:
        tokenizer = self.data.tokenizer
        ends = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|im_end|>")]
        return GenerationConfig(
            bos_token_id=tokenizer.bos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=[token for token in ends if token is not None],
        )

    def _settle_recipe(self) -> None:
        """Write the recipe, or see that it is the one the folder was made with, but for what changes no weight."""
        path, wanted = self.folder / "recipe.yaml", yaml.safe_load(to_yaml(self.recipe))
        if path.is_file():
            written = yaml.safe_load(path.read_text("utf-8"))
            if written == wanted:
                if not all(map(self._done, self.recipe.phases)):
                    self._compare_environment()
                return
            trained = {name for name, folder in FOLDERS.items() if (self.folder / folder).exists()}
            if trained and (where := _difference(_weighty(written, trained), _weighty(wanted, trained))):
                raise ValueError(
                    f"{self.folder} holds a run with {where}: choose another --name, or delete the folder to start anew"
                )
            if not trained and any(written.get(key) != wanted.get(key) for key in PREPARED_FROM):
                for part in PARTS:  # made from another recipe, and nothing was trained on them
                    shutil.rmtree(self.folder / part, ignore_errors=True)
        with file_written_aside(path) as aside:
            aside.write_text(to_yaml(self.recipe), "utf-8")
        self._settle_environment()

    def _settle_environment(self) -> None:
        """Write what the run is carried out with."""
        write_json(self.folder / "environment.json", environment(processes=self.state.num_processes))

    def _compare_environment(self) -> None:
        """The promise of equal weights holds for equal versions, device, threads and processes."""
        begun = json.loads((self.folder / "environment.json").read_text("utf-8"))
        now = environment(processes=self.state.num_processes)
        if other := [key for key in ("python", "packages", "device", "threads", "processes") if begun[key] != now[key]]:
            print(
                f"{self.folder} was begun with other {', '.join(other)}: new weights may differ in the last bits",
                file=sys.stderr,
            )

    def _check_ranks_agree(self, model: PreTrainedModel) -> None:
        """After training on several processes, all hold the same weights, bit for bit."""
        if self.state.num_processes == 1:
            return
        sums = gather_object([sum(float(weight.detach().double().sum()) for weight in model.parameters())])
        if len(set(sums)) > 1:
            raise ValueError(f"the processes hold different weights after training: their sums are {sums}")

    def _check_teacher(self) -> None:
        """A teacher that exists must read the same tokens; better known before the student is trained."""
        path = self.recipe.teacher.path
        if path is None:
            return
        size = AutoConfig.from_pretrained(path).get_text_config().vocab_size
        if size != len(self.data.tokenizer):
            raise ValueError(
                f"the teacher {path} knows {size} tokens and the student {len(self.data.tokenizer)}: "
                f"both must use the same tokenizer (tokenizer.path={path})"
            )
        context = getattr(AutoConfig.from_pretrained(path).get_text_config(), "max_position_embeddings", None)
        if context is not None and context < self.data.context:
            raise ValueError(f"the teacher {path} reads {context} tokens, the student's rows have {self.data.context}")
        if AutoTokenizer.from_pretrained(path).get_vocab() != self.data.tokenizer.get_vocab():
            raise ValueError(f"the teacher {path} has another tokenizer of the same size: set tokenizer.path={path}")

    def _check_disk(self) -> None:
        """Weights, optimizer state and two checkpoints of each phase have to fit."""
        config, length = self.recipe.model, self.recipe.model.max_position_embeddings
        size = 4 * (config.vocab_size + 12 * config.num_hidden_layers * config.hidden_size) * config.hidden_size
        needed = 3 * 3 * size * (2 if "distill" in self.recipe.phases else 1) + 4 * (self.recipe.data.max_tokens or 0)
        distill = self.recipe.settings["distill"]
        if distill.get("top_k"):
            needed += 6 * distill["top_k"] * max(self.recipe.data.max_tokens or 0, length)
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise OSError(
                f"{self.folder}: {free / 1e6:,.0f} MB are free, checkpoints and data of this run need about "
                f"{needed / 1e6:,.0f} MB: make room, or put the run elsewhere with --output"
            )


def _weighty(values: dict[str, Any], trained: set[str]) -> dict[str, Any]:
    """A recipe's values without those that change no weight of the phases `trained` so far (which may be half done)."""
    weighty = {key: values.get(key) for key in (*PREPARED_FROM, *trained)}
    for name in trained:
        section: dict[str, Any] = weighty[name] or {}
        weighty[name] = {key: value for key, value in section.items() if key not in WEIGHTLESS}
    return weighty


def _difference(written: Any, wanted: Any, path: str = "") -> str:
    """The first place where two recipes differ, in words; nothing if they do not."""
    if isinstance(written, dict) and isinstance(wanted, dict):
        for key in [*written, *wanted]:
            if written.get(key) != wanted.get(key):
                return _difference(written.get(key), wanted.get(key), f"{path}.{key}".lstrip("."))
        return ""
    return f"{path}={written!r}, not {wanted!r}"
