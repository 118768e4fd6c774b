"""What makes every phase safe to interrupt: whole checkpoints, a stop on NaN, progress in tokens, a log that survives.

`InterruptibleTrainer` is mixed into transformers' `Trainer` and TRL's trainers alike.
"""

import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import broadcast_object_list
from safetensors.torch import save_file
from torch import nn
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ProgressCallback

from brandon_hf.environment import keep_freed_memory
from brandon_hf.files import file_written_aside, folder_written_aside, full_disk_named

from .optimizers import decaying_parameters

_Trainer: Any = Trainer if TYPE_CHECKING else object  # the mixin's neighbours are transformers' or TRL's
MARKER = ".complete"  # the last file of a checkpoint that was written to its end


def last_checkpoint(output_dir: Path) -> Path | None:
    """The complete checkpoint with the highest step in `output_dir`; partial ones do not count."""
    complete = [folder for folder in _checkpoints(output_dir) if (folder / MARKER).is_file()]
    return complete[-1] if complete else None


def _checkpoints(output_dir: Path) -> list[Path]:
    """All folders `checkpoint-N`, by N."""
    folders = [path for path in output_dir.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdecimal()]
    return sorted(folders, key=_step)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("checkpoint-"))


class InterruptibleTrainer(_Trainer):
    """A mixin for subclasses of `transformers.Trainer`; it goes before them in the list of bases.

    - A checkpoint is written aside, marked complete and renamed: whatever is named `checkpoint-N` can be resumed from.
    - A loss or gradient that is not finite stops the training before it reaches the weights. The batch is saved as
      `nan_batch.safetensors` in `output_dir`.
    - Every log line is appended to `metrics.jsonl` in `output_dir`, with the tokens seen so far. Resuming drops lines
      later than the checkpoint.
    - TRL's telemetry and automatic model cards are off.
    """

    _checkpoint_aside: Path | None = None
    _batch: Mapping[str, Any] = {}  # replaced, never changed

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for callback in (ProgressCallback, PrinterCallback):
            self.remove_callback(callback)
        self.add_callback(MetricsFile())
        if not self.args.disable_tqdm:
            self.add_callback(TokenProgress())

    def train(self, resume_from_checkpoint: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As in transformers, but it continues from the last complete checkpoint in `output_dir`, if there is one.

        `resume_from_checkpoint=False` starts anew.
        """
        if resume_from_checkpoint is None or resume_from_checkpoint is True:
            checkpoint = last_checkpoint(Path(self.args.output_dir))
            resume_from_checkpoint = str(checkpoint) if checkpoint else None
        if self.args.device.type == "cpu":
            keep_freed_memory()
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        """Without the warning that a tied weight, which is saved once, lacks its second name."""
        tied = getattr(self.model, "_tied_weights_keys", None) or {}
        missing = [name for name in load_result.missing_keys if name not in tied]
        super()._issue_warnings_after_load(type(load_result)(missing, load_result.unexpected_keys))

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        if self.state.global_step >= self.state.max_steps:  # transformers would take one step beyond the last
            self.control.should_training_stop = True
        else:
            super()._run_epoch(*args, **kwargs)

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """The matrices; transformers would let registers and averaging weights decay too."""
        return decaying_parameters(model)

    # Stop on NaN

    def training_step(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        self._batch = inputs if isinstance(inputs, Mapping) else {}
        self._batch = dict(self._batch)  # losses may take keys out
        loss = super().training_step(model, inputs, *args, **kwargs)
        if not torch.isfinite(loss):
            self._stop(f"loss is {loss.item()}")
        return loss

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        # fp16 expects overflow: its scaler skips the step and lowers the scale.
        if self.accelerator.scaler is None and norm is not None and not torch.isfinite(torch.as_tensor(norm)):
            self._stop(f"gradient norm is {float(norm)}")
        return norm

    def _stop(self, what: str) -> None:
        rank = f"_{self.args.process_index}" if self.args.world_size > 1 else ""  # each process has a batch of its own
        path = Path(self.args.output_dir) / f"nan_batch{rank}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {name: value.contiguous() for name, value in self._batch.items() if isinstance(value, torch.Tensor)}
        save_file(tensors, path)
        raise FloatingPointError(
            f"{what} in step {self.state.global_step + 1}; training stopped, the batch is in {path}. A lower "
            "learning_rate or max_grad_norm, in a run of another name, is the usual remedy"
        )

    # Whole checkpoints

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._checkpoint_aside) if self._checkpoint_aside else super()._get_output_dir(trial)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        output_dir = Path(super()._get_output_dir(trial))
        name = f"checkpoint-{self.state.global_step}"
        # All processes write into the same folder; the main one makes and completes it.
        aside = output_dir / ".partial"
        if self.args.should_save:
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
        self.accelerator.wait_for_everyone()
        self._checkpoint_aside = aside
        try:
            with full_disk_named(output_dir):
                super()._save_checkpoint(model, trial)
        finally:
            self._checkpoint_aside = None
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            with folder_written_aside(output_dir / name) as folder:
                (aside / name / "training_args.bin").unlink(missing_ok=True)  # a pickle that nothing reads
                for file in (aside / name).iterdir():
                    file.rename(folder / file.name)
                (folder / MARKER).touch()
            shutil.rmtree(aside)
            self._rotate_whole_checkpoints(output_dir)
        self.accelerator.wait_for_everyone()

    def _rotate_whole_checkpoints(self, output_dir: Path) -> None:
        checkpoints = _checkpoints(output_dir)
        keep = self.args.save_total_limit or len(checkpoints)
        for old in checkpoints[:-keep]:
            (old / MARKER).unlink(missing_ok=True)  # first, so that a half-deleted one is not taken for a whole
            shutil.rmtree(old)

    # Nothing leaves the machine

    def _send_telemetry(self) -> None:
        pass

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        pass


class TimeLimit(TrainerCallback):
    """Ends the training with a checkpoint at the first step after `deadline`, in seconds of `time.monotonic`.

    With several processes the main one's clock counts, and is asked every tenth step, as asking makes all wait.
    """

    def __init__(self, deadline: float):
        self.deadline = deadline

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if args.world_size > 1 and state.global_step % 10:
            return
        late = [time.monotonic() >= self.deadline]
        broadcast_object_list(late)
        if late[0] and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = True


class MetricsFile(TrainerCallback):
    """Appends each log line to `metrics.jsonl` in `output_dir`, with the step and the seconds of training so far."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.path = Path(str(args.output_dir)) / "metrics.jsonl"
        self.seconds_before, self.start = 0.0, time.monotonic()
        if not state.is_world_process_zero:
            return
        kept = [line for line in read_metrics(self.path) if line["step"] <= state.global_step and state.global_step]
        self.seconds_before = kept[-1]["seconds"] if kept else 0.0
        with file_written_aside(self.path) as path:
            path.write_text("".join(json.dumps(line) + "\n" for line in kept), "utf-8")

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if state.is_world_process_zero and logs is not None and hasattr(self, "path"):
            seconds = self.seconds_before + time.monotonic() - self.start
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": state.global_step, "seconds": round(seconds, 2), **logs}) + "\n")


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a `metrics.jsonl`; none if there is no file. A last line cut short by a kill is left out."""
    lines = path.read_text("utf-8").split("\n")[:-1] if path.is_file() else []
    return [json.loads(line) for line in lines]


class TokenProgress(ProgressCallback):
    """transformers' progress bar with loss and tokens/s; log lines go to `metrics.jsonl` instead of the terminal."""

    training_bar: Any

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        super().on_train_begin(args, state, control, **kwargs)
        self.tokens_before, self.start, self.loss = state.num_input_tokens_seen, time.monotonic(), ""
        if self.training_bar is not None:
            self.training_bar.set_description(Path(str(args.output_dir)).name)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        super().on_step_end(args, state, control, **kwargs)
        if self.training_bar is not None:
            speed = (state.num_input_tokens_seen - self.tokens_before) / (time.monotonic() - self.start)
            self.training_bar.set_postfix_str(f"{speed:,.0f} tokens/s{self.loss}", refresh=False)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if logs and "loss" in logs:
            self.loss = f", loss {float(logs['loss']):.3f}"
