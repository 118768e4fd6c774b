"""One model, measured: protocols carried out one after the other, results written after each task.

OUTPUT/results.json        with one protocol; with several, OUTPUT/<protocol>/results.json
       outcomes.jsonl.gz   beside it: what came of every single example
"""

import gzip
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer

from brandon_hf.environment import device_name, environment, has_bf16, relative
from brandon_hf.files import file_written_aside

from .benchmarks import (
    BENCHMARKS,
    OPTIONAL,
    RAW_TEXT,
    Outcomes,
    Results,
    benchmark_of,
    data_file,
    read_rows,
    tasks_of,
)
from .identity import files_sha256, tokenizer_sha256, weight_files, weights_sha256
from .judge import Judge

# Protocol: its tasks. What is no benchmark is generated text, or speed.
PROTOCOLS = {
    "standard": tuple(BENCHMARKS),
    "original": (*(name for name in BENCHMARKS if name != "mmlu"), "free", "instructions", "identity"),
    "stlm": tuple(name for name in BENCHMARKS if name != "lambada_openai"),
    "strict": ("free", "instructions", "identity"),
    "deycoding": ("stories",),
    "serving": ("serving",),
}


@dataclass(frozen=True)
class Settings:
    """What the figures may depend on, beside the model and the data."""

    dtype: str = "auto"  # of the weights; "auto" is that of the checkpoint
    device: str | None = None
    batch_size: int | None = None  # rows; by default as many as fit a number of tokens
    bos: bool | None = None  # whether texts begin with it; by default as the tokenizer does it
    limit: int | None = None  # examples of each task
    seed: int = 0
    trust_remote_code: bool = False


DEFAULT = Settings()


def evaluate_model(
    name: str,
    output: Path,
    *,
    protocols: Sequence[str] = ("standard",),
    tasks: Sequence[str] | None = None,
    data: Path | None = None,
    settings: Settings = DEFAULT,
    judge: Judge | None = None,
) -> list[Path]:
    """Evaluate a model folder, a model of the Hub or a blob; returns the `results.json` files.

    What `output` already holds of the same model and settings is not done again: an interrupted evaluation is continued
    by the same call, and tasks can be added.

    Args:
        tasks: benchmarks (`blimp`), parts of them (`blimp_<uid>`), kinds of generated text (`free`, ...); all tasks of
            each protocol by default.
        data: folder of the benchmarks' files; without it, they come from the Hub.
        judge: also marks the free texts and stories; see `judge.endpoint_judge`.

    Raises:
        ValueError, OSError: an option, a task, a file or the model is wrong; nothing was done yet.
    """
    if unknown := [protocol for protocol in protocols if protocol not in PROTOCOLS]:
        raise ValueError(f"there is no protocol {unknown[0]}: known are {', '.join(PROTOCOLS)}")
    if settings.limit is not None and settings.limit < 1:
        raise ValueError(f"limit={settings.limit} must be at least 1 example")
    offered = {task for protocol in protocols for task in PROTOCOLS[protocol]}
    for task in tasks or ():
        if (benchmark_of(task) or task) not in offered:
            raise ValueError(
                f"there is no task {task} in {', '.join(protocols)}: there are {', '.join(sorted(offered))}"
            )
    if settings.bos is not None and "standard" not in protocols:
        raise ValueError(f"bos={settings.bos} is for the protocol standard: {', '.join(protocols)} has its own rule")
    plan = {protocol: _planned(protocol, tasks, data) for protocol in protocols}
    evaluation = (_BlobEvaluation if Path(name).is_file() else _Evaluation)(name, data, settings, judge)
    alone = len(protocols) == 1
    begun = {protocol: _Written(_folder(output, protocol, alone), evaluation.about(protocol)) for protocol in protocols}
    for protocol, wanted in plan.items():
        for task, parts in wanted.items():
            begun[protocol].check_data(parts, evaluation.data_sha256(protocol, task))
    for protocol, wanted in plan.items():
        for task, parts in wanted.items():
            evaluation.carry_out(protocol, task, parts, begun[protocol])
    return [written.results_file for written in begun.values()]


def _folder(output: Path, protocol: str, alone: bool) -> Path:
    """Where the results of a protocol are, or are to be: `output` itself for the only one in it."""
    if (output / protocol / "results.json").is_file():
        return output / protocol
    at_top = output / "results.json"
    if at_top.is_file():
        return output if json.loads(at_top.read_text("utf-8"))["protocol"] == protocol else output / protocol
    return output if alone and not any(output.glob("*/results.json")) else output / protocol


def _planned(protocol: str, tasks: Sequence[str] | None, data: Path | None) -> dict[str, list[str]]:
    """The tasks to carry out, each with its parts: the 67 of `blimp`, itself otherwise.

    Reads the files, so that what is wrong with one is known before work starts.
    """
    offered = PROTOCOLS[protocol]
    wanted = [task for task in dict.fromkeys(tasks or offered) if (benchmark_of(task) or task) in offered]
    if tasks is None:
        wanted = [task for task in wanted if task not in OPTIONAL or (data is not None and _has(data, task))]
    benchmarks = [task for task in wanted if benchmark_of(task)]
    parts = {task: [task] for task in wanted}
    if protocol == "standard":
        parts |= tasks_of(benchmarks, data)
    elif benchmarks and data is None:
        raise ValueError(f"the protocol {protocol} reads local files: --data FOLDER")
    elif part := next((task for task in benchmarks if task not in BENCHMARKS), None):
        raise ValueError(f"the protocol {protocol} scores whole benchmarks, not {part}")
    if data is not None:
        for task in benchmarks:
            read_rows(data, str(benchmark_of(task)))
        if protocol == "original" and "wikitext" in benchmarks:
            data_file(data, RAW_TEXT)
    return parts


def _has(data: Path, benchmark: str) -> bool:
    return any((data / f"{BENCHMARKS[benchmark].file}{ending}").is_file() for ending in (".jsonl", ".jsonl.gz"))


class _Written:
    """What a folder holds of a protocol, and what is added to it."""

    def __init__(self, folder: Path, about: dict[str, Any]):
        self.results_file, self._outcomes_file = folder / "results.json", folder / "outcomes.jsonl.gz"
        self.document = about | {"runs": [], "results": {}}
        self._environment = about["environment"]
        self._outcomes: Outcomes = []
        if not self.results_file.is_file():
            return
        before = json.loads(self.results_file.read_text("utf-8"))
        known = {**before["settings"], **before["model"], "protocol": before["protocol"]}
        now = {key: about["model"][key] for key in ("weights_sha256", "tokenizer_sha256")}
        for what, value in {"protocol": about["protocol"], **now, **about["settings"]}.items():
            if known.get(what) != value:
                was = known.get(what)
                raise ValueError(
                    f"{self.results_file} was made with {what}={was}, not {value}: choose another --output"
                )
        self.document = before | {"environment": about["environment"]}
        with gzip.open(self._outcomes_file, "rt", encoding="utf-8") as lines:
            outcomes = map(json.loads, lines)
            self._outcomes = [line for line in outcomes if line["task"] in self.results]

    @property
    def results(self) -> Results:
        """Metrics of the tasks that are done."""
        return self.document["results"]

    def check_data(self, parts: Sequence[str], sha256: str | None) -> None:
        """Raise a ValueError if a task that is done was done on other data."""
        for part in parts:
            if part in self.results and self.results[part].get("data_sha256") != sha256:
                raise ValueError(f"{self.results_file}: {part} was evaluated on other data: choose another --output")

    def add(self, results: Results, outcomes: Outcomes, more: dict[str, Any], seconds: float) -> None:
        """Write the outcomes first: the results say what of them counts."""
        self._outcomes += outcomes
        self.document["settings"] |= more
        self.document["runs"].append({"tasks": list(results), **self._environment, "seconds": round(seconds, 1)})
        total = sum(run["seconds"] for run in self.document["runs"])
        self.document["environment"] = self._environment | {"seconds": round(total, 1)}
        with file_written_aside(self._outcomes_file) as aside, gzip.open(aside, "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in self._outcomes)
        self.document["results"] = {**self.results, **results}
        with file_written_aside(self.results_file) as aside:
            aside.write_text(json.dumps(self.document, indent=1, ensure_ascii=False) + "\n", "utf-8")


class _Evaluation:
    """A model and the ways to measure it. Weights are loaded when something is computed."""

    def __init__(self, name: str, data: Path | None, settings: Settings, judge: Judge | None):
        self.name, self.data, self.settings, self.judge = name, data, settings, judge
        self.device, self.config, self.tokenizer = self._opened()

    def _opened(self) -> tuple[str, Any, Any]:
        """Device, configuration and tokenizer."""
        trust = self.settings.trust_remote_code
        return (
            self.settings.device or str(torch.accelerator.current_accelerator() or "cpu"),
            AutoConfig.from_pretrained(self.name, trust_remote_code=trust),
            AutoTokenizer.from_pretrained(self.name, trust_remote_code=trust),
        )

    @cached_property
    def model(self) -> Any:
        """The `ScoringModel`."""
        from .scoring import ScoringModel  # imports lm-eval, which takes seconds

        model = ScoringModel(
            self.name,
            dtype=self.settings.dtype,
            device=self.device,
            batch_size=self.settings.batch_size,
            bos=self.settings.bos,
            trust_remote_code=self.settings.trust_remote_code,
        )
        if self.device == "cpu" and model.model.dtype == torch.bfloat16 and not has_bf16():
            print("this CPU is faster in float32 than in bfloat16: --dtype float32", file=sys.stderr)
        return model

    @property
    def writer(self) -> Any:
        """What `generation.run_protocol` takes."""
        return self.model.model

    @property
    def dtype(self) -> str:
        """Of the weights."""
        return str(self.model.model.dtype).removeprefix("torch.")

    @cached_property
    def about_model(self) -> dict[str, Any]:
        """Which model it is, and its size."""
        model: Any = self.model.model
        files, config = weight_files(Path(self.name)), self.config.get_text_config()
        return {
            "name": relative(self.name),
            "parameters": model.num_parameters(),
            "size_bytes": sum(file.stat().st_size for file in files) or model.get_memory_footprint(),
            "model_type": config.model_type,
            "context": self.model.max_length,
            "vocab_size": config.vocab_size,
            "weights_sha256": weights_sha256(Path(self.name)) or getattr(self.config, "_commit_hash", None),
            "tokenizer_sha256": tokenizer_sha256(self.tokenizer),
        }

    def about(self, protocol: str) -> dict[str, Any]:
        """The parts of results.json that are known beforehand."""
        bos = {"standard": self.settings.bos, "original": False, "stlm": True}.get(protocol)
        settings = asdict(self.settings) | {"dtype": self.dtype, "bos": bos}
        del settings["trust_remote_code"]
        if protocol in ("original", "strict", "deycoding") and self.judge is not None:
            settings["judge"] = getattr(self.judge, "__name__", type(self.judge).__name__)
        return {
            "protocol": protocol,
            "model": self.about_model,
            "settings": settings
            | {
                "device": self.device,
                "prefix_token": self.tokenizer.convert_ids_to_tokens(self.model.prefix_token_id),
                "tokenizer_adds_bos": self.tokenizer(" a")["input_ids"][:1] == [self.tokenizer.bos_token_id],
            },
            "environment": environment("lm_eval")
            | {"date": datetime.now(timezone.utc).date().isoformat(), "device": device_name(self.device)},
        }

    def data_sha256(self, protocol: str, task: str) -> str | None:
        """The hash of the file that a task reads; `None` for prompts of ours and data of the Hub."""
        benchmark = benchmark_of(task)
        if benchmark is None or self.data is None:
            return None
        raw = protocol == "original" and benchmark == "wikitext"
        return files_sha256([data_file(self.data, RAW_TEXT if raw else BENCHMARKS[benchmark].file)])

    def carry_out(self, protocol: str, task: str, parts: list[str], written: _Written) -> None:
        """Do what is missing of a task, add it to what is written, and say so."""
        title = f"{relative(self.name)}, {protocol}: {task}"
        missing = [part for part in parts if part not in written.results]
        if not missing and task in written.results:
            print(f"{title}: was done before", file=sys.stderr)
            return
        start = time.monotonic()
        if missing:
            print(title, file=sys.stderr)
            self.model.doing = task
            results, outcomes, more = self._measured(protocol, task, missing)
            if sha256 := self.data_sha256(protocol, task):
                results = {part: {**figures, "data_sha256": sha256} for part, figures in results.items()}
            written.add(results, outcomes, more, time.monotonic() - start)
        if task not in written.results:
            from .standard import mean_over_parts

            mean = mean_over_parts(task, {part: written.results[part] for part in parts})
            written.add({task: {**mean, "data_sha256": self.data_sha256(protocol, task)}}, [], {}, 0.0)
        print(f"{title}: done in {time.monotonic() - start:.0f} s", file=sys.stderr)

    def _measured(self, protocol: str, task: str, parts: list[str]) -> tuple[Results, Outcomes, dict[str, Any]]:
        limit, seed = self.settings.limit, self.settings.seed
        if task == "serving":
            from .serving import measure

            figures = measure(
                self.name,
                self.tokenizer,
                seed=seed,
                dtype=self.dtype,
                device=self.device,
                trust_remote_code=self.settings.trust_remote_code,
            )
            return figures, [], {}
        if benchmark_of(task) is None:
            from .generation import protocol_settings, run_protocol

            model, tokenizer = self.writer, self.tokenizer
            results, outcomes = run_protocol(
                protocol, model, tokenizer, tasks=[task], limit=limit, seed=seed, judge=self.judge
            )
            return results, outcomes, {"generation": protocol_settings(protocol, tokenizer, limit=limit, seed=seed)}
        if protocol == "standard":
            from .standard import evaluate_standard

            return *evaluate_standard(self.model, parts, self.data, limit), {}
        from .published import evaluate_original, evaluate_stlm

        evaluate = evaluate_original if protocol == "original" else evaluate_stlm
        assert self.data is not None  # `_planned` saw to it
        return *evaluate(self.model, task, self.data, limit), {}


class _BlobEvaluation(_Evaluation):
    """A blob, measured through the C engine."""

    def _opened(self) -> tuple[str, Any, Any]:
        from brandon_hf.export.reading import read_blob  # needs gguf
        from brandon_hf.export.tokenizer import build_tokenizer

        self.blob = read_blob(self.name)
        return "cpu", self.blob.config, build_tokenizer(self.blob.tokenizer, self.blob.config.max_position_embeddings)

    @cached_property
    def model(self) -> Any:
        """The `EngineModel`."""
        from .engine_model import EngineModel  # imports lm-eval, which takes seconds

        return EngineModel(self.name, bos=self.settings.bos, tokenizer=self.tokenizer)

    @property
    def writer(self) -> Any:
        """The engine, as `generation.run_protocol` takes it."""
        from .engine_model import GeneratingEngine

        return GeneratingEngine(self.model.engine, self.config, self.blob.stop_ids)

    @property
    def dtype(self) -> str:
        """Of the weights in blocks."""
        return f"int{self.blob.bits}"

    @cached_property
    def about_model(self) -> dict[str, Any]:
        """As of a folder; the hash is that of the whole file."""
        return {
            "name": relative(self.name),
            "parameters": sum(parameter.size for parameter in self.blob.parameters.values()),
            "size_bytes": self.blob.size,
            "model_type": self.config.model_type,
            "context": self.model.max_length,
            "vocab_size": self.config.vocab_size,
            "weights_sha256": hashlib.sha256(Path(self.name).read_bytes()).hexdigest(),
            "tokenizer_sha256": tokenizer_sha256(self.tokenizer),
        }

    def about(self, protocol: str) -> dict[str, Any]:
        """As of a folder, with the kernel of the engine."""
        about = super().about(protocol)
        about["settings"]["engine"] = self.model.engine.info.kernel
        return about
