"""Speed of a model as it is served: first token, tokens per second, memory, for each engine that can run it.

Each engine runs in a fresh process, so that its peak of memory and its compilation are its own. On CUDA the peak is
what torch allocated; elsewhere it is the largest resident size of the process (VmHWM), Python, torch, the loading and a
compilation included, so compare engines by it rather than read it as the model's need.
"""

import random
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from tqdm import tqdm
from transformers import AutoConfig, AutoModelForCausalLM, CompileConfig, GenerationConfig, PreTrainedModel
from transformers.generation.streamers import BaseStreamer
from transformers.utils import logging

from brandon_hf import runtime
from brandon_hf.environment import device_name

# The prompt, in an order that the seed decides: text, as drafting depends on what is written.
_SENTENCES = """The river runs through the old town and under two stone bridges.
In the morning the baker opens his shop and the smell of bread fills the street.
A child asked her teacher why the sky is blue, and the teacher drew a picture.
He put the letter on the table, closed the door and walked down to the harbour.
Most plants need water, light and a little soil to grow.
They counted the boats that came back before the storm.
What would you do if you found a key and did not know the door?
On Sundays my grandmother tells the same story, and every time it ends in another way.""".splitlines()


class Unsupported(ValueError):
    """An engine cannot run the model; the message is the reason, as the results state it."""


class Runner(NamedTuple):
    """A model ready to run: `run(prompt ids, new tokens, on_token)` calls `on_token` as each new token is there."""

    run: Callable[[list[int], int, Callable[[], None]], None]
    size_bytes: int  # of the model as loaded


class Source(NamedTuple):
    """The model that an engine loads, and how."""

    name: str  # folder, or name on the Hub
    dtype: str
    device: str
    trust_remote_code: bool = False


Engine = Callable[[Source], Runner]  # raises Unsupported


def transformers_engine(source: Source, static: bool = False, compiled: bool = False, mtp: bool = False) -> Runner:
    """`generate` of transformers, with a dynamic cache unless said otherwise.

    Raises:
        Unsupported: The model has no static cache, or no heads to draft with.
    """
    if Path(source.name).is_file():
        raise Unsupported("a blob runs in the C engine alone")
    model: Any = AutoModelForCausalLM.from_pretrained(
        source.name, dtype=getattr(torch, source.dtype), trust_remote_code=source.trust_remote_code
    ).eval()
    if static and (model._is_stateful or not model._supports_default_dynamic_cache()):
        raise Unsupported(f"{model.config.model_type} keeps a state of its own, there is no static cache for it")
    if mtp and not getattr(model.config, "num_mtp_heads", 0):
        raise Unsupported("the model has no multi-token-prediction heads (num_mtp_heads)")
    model.to(source.device)
    options: dict[str, Any] = {"disable_compile": not compiled}  # on CUDA a static cache alone compiles
    if static:
        options["cache_implementation"] = "static"
    if compiled:
        options["compile_config"] = CompileConfig(fullgraph=True)
        options["compile_config"]._compile_all_devices = True  # on the CPU too

    def run(prompt: list[int], new_tokens: int, on_token: Callable[[], None]) -> None:
        ids = torch.tensor([prompt], device=model.device)
        config = GenerationConfig(
            do_sample=False, max_new_tokens=new_tokens, min_new_tokens=new_tokens, pad_token_id=0, **options
        )
        extra = {"draft_with_mtp": True} if mtp else {}
        model.generate(
            ids, attention_mask=torch.ones_like(ids), generation_config=config, streamer=_Counter(on_token), **extra
        )

    return Runner(run, sum(tensor.nbytes for tensor in model.parameters()))


class _Counter(BaseStreamer):
    """Reports each new token; what `generate` puts first is the prompt."""

    def __init__(self, on_token: Callable[[], None]):
        self.on_token, self.in_prompt = on_token, True

    def put(self, value: torch.Tensor) -> None:
        for _ in range(0 if self.in_prompt else value.numel()):
            self.on_token()
        self.in_prompt = False

    def end(self) -> None:
        """Nothing is held back."""


def c_engine(source: Source) -> Runner:
    """The engine of `brandon_hf.runtime`, one thread on the CPU: with a blob, or one that is made of a model folder.

    Raises:
        Unsupported: The model cannot become a blob, another device was asked for, or the engine was not built.
    """
    if torch.device(source.device).type != "cpu":
        raise Unsupported(f"it runs on the CPU, not on {source.device}")
    try:
        if Path(source.name).is_file():
            engine = runtime.Engine(source.name)
        else:
            if find_spec("gguf") is None:
                raise Unsupported("a blob is made with gguf: pip install 'brandon-hf[export]'")
            with TemporaryDirectory() as folder:
                blob = str(Path(folder) / "model.gguf")
                # in another process, for the peak of memory to be the engine's
                with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                    pool.submit(_export, source.name, blob).result()
                engine = runtime.Engine(blob)
    except (OSError, ValueError) as error:
        raise Unsupported(str(error)) from error

    def run(prompt: list[int], new_tokens: int, on_token: Callable[[], None]) -> None:
        for _ in engine.generate_ids(prompt, max_new_tokens=new_tokens, stop=False):
            on_token()

    return Runner(run, engine.info.file_bytes)


def _export(folder: str, output: str) -> None:
    from brandon_hf.export import write_blob  # needs gguf

    write_blob(folder, output)


ENGINES: dict[str, Engine] = {
    "eager": transformers_engine,
    "static_cache": partial(transformers_engine, static=True),
    "compiled": partial(transformers_engine, static=True, compiled=True),
    "mtp": partial(transformers_engine, mtp=True),
    "c_engine": c_engine,
}


def measure(
    model: str | Path | PreTrainedModel,
    tokenizer: Any,
    *,
    engines: list[str] | None = None,
    prompt_tokens: int = 64,
    new_tokens: int = 128,
    repeats: int = 5,
    seed: int = 0,
    dtype: str | torch.dtype = "float32",
    device: str | None = None,
    trust_remote_code: bool = False,
) -> dict[str, Any]:
    """Time greedy generation at batch 1: a prompt of `prompt_tokens` and always `new_tokens` after it.

    Both are shortened alike where the model's context is shorter; the results say to what.

    Args:
        model: Folder, name on the Hub, blob, or a model, which is saved for the engines' processes.
        engines: Names in `ENGINES`, by default all of them.
        repeats: Runs that count; one before them, which compiles, does not (`warm_up_seconds`).
        seed: Decides the order of the prompt's sentences.
        device: By default the accelerator, or the CPU where there is none.
        trust_remote_code: Whether to run code that comes with the model.

    Returns:
        `{"serving": {"engines": {name: figures}, "size_bytes", "device", ...}}`. The figures are
        `time_to_first_token` (s), `latency` (s, of the whole answer) and `tokens_per_second` (`new_tokens` / latency),
        each the median with `_min` and `_max`, `warm_up_seconds`, `peak_memory_bytes` (None where the system does not
        tell it) and `size_bytes`. An engine that cannot run the model has `{"skipped": reason}` instead.

    Raises:
        ValueError: An option is out of range, or no engine could run the model.
        OSError: There is no such model.
    """
    names = list(ENGINES) if engines is None else list(engines)
    if unknown := [name for name in names if name not in ENGINES]:
        raise ValueError(f"there is no engine {unknown[0]}: {', '.join(ENGINES)}")
    for name, value in (("prompt_tokens", prompt_tokens), ("new_tokens", new_tokens), ("repeats", repeats)):
        if value < 1:
            raise ValueError(f"{name}={value} must be at least 1")
    dtype = str(dtype).removeprefix("torch.")
    if not isinstance(getattr(torch, dtype, None), torch.dtype):
        raise ValueError(f"there is no dtype {dtype}: float32, bfloat16, float16")
    device = device or str(torch.accelerator.current_accelerator() or "cpu")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # the latter where torch was built without it
        raise ValueError(f"there is no device {device} here: {str(error).splitlines()[0]}") from error
    context = _context(model, trust_remote_code)
    if context and (total := prompt_tokens + new_tokens) > context:
        prompt_tokens, new_tokens = (max(1, length * context // total) for length in (prompt_tokens, new_tokens))
    prompt = prompt_ids(tokenizer, prompt_tokens, seed)
    with ExitStack() as stack:
        folder = str(model)
        if isinstance(model, PreTrainedModel):
            folder = stack.enter_context(TemporaryDirectory())
            model.save_pretrained(folder)
        figures = {}
        for name in tqdm(names, desc="serving", unit="engine", disable=None):
            source = Source(folder, dtype, device, trust_remote_code)
            figures[name] = _in_fresh_process(ENGINES[name], source, prompt, new_tokens, repeats)
    measured = [entry for entry in figures.values() if "skipped" not in entry]
    if not measured:
        reasons = "; ".join(f"{name}: {entry['skipped']}" for name, entry in figures.items())
        raise ValueError(f"no engine could run the model: {reasons}")
    serving = {
        "engines": figures,
        "size_bytes": measured[0]["size_bytes"],
        "device": device_name(device),
        "dtype": dtype,
        "prompt_tokens": prompt_tokens,
        "new_tokens": new_tokens,
        "repeats": repeats,
    }
    return {"serving": serving}


def _context(model: str | Path | PreTrainedModel, trust_remote_code: bool) -> int | None:
    """The tokens that the model reads at once, if it says so."""
    if not isinstance(model, PreTrainedModel) and Path(model).is_file():
        return runtime.Engine(model).info.context
    config = model.config if isinstance(model, PreTrainedModel) else None
    config = config or AutoConfig.from_pretrained(str(model), trust_remote_code=trust_remote_code)
    return getattr(config.get_text_config(), "max_position_embeddings", None)


def prompt_ids(tokenizer: Any, length: int, seed: int) -> list[int]:
    """`length` ids of sentences in an order that `seed` decides, repeated as often as need be."""
    sentences = random.Random(seed).sample(_SENTENCES, len(_SENTENCES))
    ids = tokenizer(" ".join(sentences) + " ", add_special_tokens=False, verbose=False)["input_ids"]
    return [*ids * (length // len(ids) + 1)][:length]


def _in_fresh_process(engine: Engine, *args: Any) -> dict[str, Any]:
    """`time_engine` in a process of its own, or why it failed there."""
    try:
        with ProcessPoolExecutor(1, get_context("spawn"), _start, (torch.get_num_threads(),)) as pool:
            return pool.submit(time_engine, engine, *args).result()
    except Unsupported as reason:
        return {"skipped": str(reason)}
    except Exception as error:  # no compiler, no memory, ...: the other engines still count, and the results say it
        return {"skipped": f"failed: {type(error).__name__}: {' '.join(str(error).split())[:300]}"}


def _start(threads: int) -> None:
    torch.set_num_threads(threads)
    logging.disable_progress_bar()


def time_engine(engine: Engine, source: Source, prompt: list[int], new_tokens: int, repeats: int) -> dict[str, Any]:
    """One engine's figures, measured in this process; see `measure`.

    Raises:
        Unsupported: The engine cannot run the model.
        RuntimeError: It wrote another number of tokens than asked for.
    """
    runner = engine(source)
    runs = [_time_run(runner, prompt, new_tokens) for _ in range(1 + repeats)]
    first, latencies = zip(*runs[1:], strict=True)
    figures: dict[str, Any] = {}
    for metric, values in (
        ("time_to_first_token", first),
        ("tokens_per_second", [new_tokens / latency for latency in latencies]),
        ("latency", latencies),
    ):
        figures |= {metric: statistics.median(values), f"{metric}_min": min(values), f"{metric}_max": max(values)}
    return figures | {
        "warm_up_seconds": runs[0][1],
        "peak_memory_bytes": peak_memory(source.device),
        "size_bytes": runner.size_bytes,
    }


def _time_run(runner: Runner, prompt: list[int], new_tokens: int) -> tuple[float, float]:
    """Seconds to the first token and to the last."""
    times: list[float] = []
    start = time.perf_counter()
    runner.run(prompt, new_tokens, lambda: times.append(time.perf_counter()))
    latency = time.perf_counter() - start
    if len(times) != new_tokens:
        raise RuntimeError(f"{len(times)} tokens were written, {new_tokens} were asked for")
    return times[0] - start, latency


def peak_memory(device: str) -> int | None:
    """Bytes: the largest use of this process so far, on CUDA what torch allocated there; None if nothing tells it."""
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform != "linux":
        return None
    # getrusage would also count what the parent held when it started this process.
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)
