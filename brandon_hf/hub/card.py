"""Model cards, filled from files alone: the model's folder, the run that made it, its evaluation results."""

import json
import re
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import ModelCard, ModelCardData
from safetensors import SafetensorError, safe_open
from transformers import CONFIG_MAPPING, AutoConfig, AutoTokenizer

from brandon_hf.data.presets import presets
from brandon_hf.evaluation.reading import Result, finite
from brandon_hf.modeling import BrandonConfig

from .contents import without_paths
from .markdown import render
from .results import other_figures, results_of, runs_of, scores, weakest_paradigms

OWN_LICENCE = "Apache-2.0"  # of the built-in synthetic world
NOT_STATED = "not stated"
DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}  # as safetensors calls them
QUESTION = "What is your name?"  # where the run has no samples to take one from
ANSWER = 48  # new tokens that the instructions ask for, if the context has room for them


def model_card(
    model: Path,
    *,
    repo: str | None = None,
    packaged: bool = False,
    results: Path | None = None,
    run: Mapping[str, Any] | None = None,
    licence: str | None = None,
    licences: Mapping[str, str] | None = None,
    base: str | None = None,
) -> ModelCard:
    """The card of the model in folder `model`. What no file says is named as missing, never guessed.

    Args:
        repo: The model's name on the Hub, for the instructions; default: the folder.
        packaged: The model comes with this package, `repo` is its name there.
        results: Folder of `brandon eval`.
        run: What `pipeline.report.read_facts` says of the run that made the model, with the model's phase in `"phase"`.
        licence: Of the model, by the Hub's identifier (`apache-2.0`).
        licences: Source of data -> its licence, where the run does not record it.
        base: How the card calls the model that training started from; default: as the recipe does.

    Raises:
        ValueError: `model` is no complete model folder, the results are of another model, `licences` names no source,
            `base` is given and training started from none.
    """
    config = read_config(model)
    if licence is not None and not re.fullmatch(r"[a-z0-9.-]+", licence):
        raise ValueError(f"licence {licence!r} is no identifier of the Hub: write it like apache-2.0, mit or other")
    parameters, dtype, size = read_weights(model)
    measured = results_of(results, model) if results else []
    found = scores(measured)
    training = _training(run, licences or {})
    if base is not None:
        if training is None or not training["base_model"]:
            raise ValueError(f"base={base!r}: training started from no model, or no run says so")
        training["base_model"] = base
    question = _question(training)
    context = read_context(model)
    name = (repo or (run["name"] if run else "") or model.resolve().name).split("/")[-1]
    own = config["model_type"] == BrandonConfig.model_type
    data = ModelCardData(
        license=licence,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=[config["model_type"], *(["distillation"] if training and training["teacher"] else [])],
        datasets=training["hub"] or None if training else None,
        base_model=training["base_model_on_hub"] if training else None,
        model_name=name if found else None,  # without results it would stand in the metadata as it is
        eval_results=[score.as_eval_result() for score in found] or None,
    )
    missing = []
    if training is None:
        missing.append("data, hyper-parameters, hardware and time of training (the folder lies in no run directory)")
    if not measured:
        missing.append("evaluation results (made by brandon eval)")
    if licence is None:
        missing.append("the licence")
    page = render(
        "model_card.md.jinja",
        card_data=data.to_yaml(),
        name=name,
        repo=repo or without_paths(str(model)),
        packaged=packaged,
        config=config,
        architecture="Brandon-Tiny" if own else (config.get("architectures") or [config["model_type"]])[0],
        own=own,
        code="auto_map" in config,
        parameters=parameters,
        dtype=dtype,
        size=size,
        gguf=[(path.name, path.stat().st_size) for path in sorted(model.glob("*.gguf"))],
        licence=licence or NOT_STATED,
        missing=missing,
        context=context,
        chat=_chat(model, question, context),
        question=question,
        training=training,
        measured=[(result, runs_of(result)) for result in measured],
        scores=found,
        paradigms=weakest_paradigms(measured),
        figures=other_figures(measured),
        limits=_limits(measured, training),
    )
    return ModelCard(page)


def read_config(model: Path) -> dict[str, Any]:
    """`config.json` of a model folder.

    Raises:
        ValueError: it is missing, or no model's.
    """
    path = model / "config.json"
    if not path.is_file():
        raise ValueError(f"{model} is no model folder: it has no config.json")
    try:
        config = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    if not isinstance(config, dict) or "model_type" not in config:
        raise ValueError(f"{path} is no model's configuration: it has no model_type")
    return config


def read_context(model: Path) -> int | None:
    """The most tokens the model reads, by its configuration; `None` if that states no number, as with Mamba."""
    config: Any = read_config(model)
    if config["model_type"] in CONFIG_MAPPING:  # knows the field by its other names, and its default
        config = AutoConfig.from_pretrained(model, local_files_only=True, trust_remote_code=False).get_text_config()
        return getattr(config, "max_position_embeddings", None)
    return config.get("max_position_embeddings")


def read_weights(model: Path) -> tuple[int, str, int]:
    """Of the safetensors files: number of stored weights, their dtype, their bytes. Only headers are read.

    Raises:
        ValueError: there are none, one is damaged, or a shard of the index is missing.
    """
    files = sorted(model.glob("*.safetensors"))
    for index in model.glob("*.safetensors.index.json"):
        shards = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
        if absent := sorted(shards - {file.name for file in files}):
            raise ValueError(f"{model} is incomplete: {absent[0]} is missing, which {index.name} names")
    if not files:
        raise ValueError(f"{model} holds no weights (*.safetensors)")
    parameters, dtypes = 0, set()
    for file in files:
        try:
            with safe_open(file, "numpy") as weights:
                for key in weights.keys():  # noqa: SIM118  # no dict
                    tensor = weights.get_slice(key)
                    parameters += prod(tensor.get_shape())
                    dtypes.add(tensor.get_dtype())
        except SafetensorError as error:
            raise ValueError(f"{file} is damaged or incomplete: {error}") from error
    return (
        parameters,
        ", ".join(sorted(DTYPES.get(name, name) for name in dtypes)),
        sum(file.stat().st_size for file in files),
    )


def _chat(model: Path, question: str, context: int | None) -> dict[str, Any] | None:
    """How the model's tokenizer writes a chat, its template, and the room for an answer to `question`, in tokens.

    `None` without a tokenizer, empty without a template.
    """
    if not (model / "tokenizer_config.json").is_file():
        return None
    tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
    if not tokenizer.chat_template:
        return {}
    messages = [{"role": "user", "content": question}]
    text = str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
    room = ANSWER
    if context is not None:
        room = max(1, min(ANSWER, context - len(tokenizer(text, add_special_tokens=False)["input_ids"])))
    return {"template": str(tokenizer.chat_template), "example": text, "room": room}


# The run


def _training(run: Mapping[str, Any] | None, licences: Mapping[str, str]) -> dict[str, Any] | None:
    """What the run says of how this model was made: its phase and those before it."""
    if run is None:
        if licences:
            raise ValueError("licences of data are stated for a model in its run directory; this one lies in none")
        return None
    recipe = yaml.safe_load(run["recipe"])
    order = [*recipe["phases"]] if run["phase"] != "teacher" else ["teacher"]
    kept = order[: order.index(run["phase"]) + 1]
    phases = [phase for phase in run["phases"] if phase.key in kept]
    distilled = "distill" in kept
    teachers = [phase for phase in run["phases"] if phase.key == "teacher" and distilled]
    teacher_path = (recipe.get("teacher") or {}).get("path")
    chats = run["chats"] if {"sft", "prefer"} & set(kept) else None
    base = recipe.get("base_model")
    sources = _sources(run["corpus"], chats, licences)
    return {
        "name": run["name"],
        "phases": [*phases, *teachers],
        "recipe": run["recipe"],
        "environment": run["environment"],
        "seconds": sum(phase.seconds or 0 for phase in [*phases, *teachers]),
        "tokens": sum(phase.tokens or 0 for phase in phases),
        "corpus": run["corpus"],
        "chats": chats,
        "sources": sources,
        "hub": sorted({source["hub"] for source in sources if source["hub"]}),
        "base_model": base,
        "base_model_on_hub": base
        if base and re.fullmatch(r"[\w.-]+/[\w.-]+", base) and not Path(base).exists()
        else None,
        "teacher": _teacher(teachers[0] if teachers else None, teacher_path) if distilled else "",
        "samples": run["samples"] if run["phase"] == recipe["phases"][-1] else None,
        "categories": run["categories"],
        "settings": run["settings"],
    }


def _teacher(phase: Any, path: str | None) -> str:
    if path:
        return f"{path}, which the recipe names"
    if phase is None or phase.config is None or phase.parameters is None:
        return "trained in the same run, whose files are gone"
    layers, width = (phase.config.get(name) for name in ("num_hidden_layers", "hidden_size"))
    return f"{phase.parameters:,} parameters ({layers} layers, hidden size {width}), trained in the same run"


def _sources(
    corpus: Mapping[str, Any] | None, chats: Mapping[str, Any] | None, licences: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Every source of text and chats with its licence: stated, recorded by the run, or that of a known data set."""
    known = {
        source["hub"]: source.get("licence")
        for preset in (*presets("pretrain").values(), *presets("chat").values())
        for source in preset.get("sources", [preset])
        if "hub" in source
    }
    rows = []
    inputs = corpus["inputs"]["sources"] if corpus else []
    for source, origin in zip(corpus["sources"] if corpus else [], inputs, strict=True):
        licence = source["licence"] or known.get(origin["hub"]) or (OWN_LICENCE if origin["builtin"] else None)
        rows.append(
            {"kind": "text", "hub": origin["hub"], "amount": f"{source['tokens']:,} tokens"}
            | {"name": source["name"], "licence": licence, "generated": bool(origin["builtin"])}
        )
    for name, counts in (chats["sources"] if chats else {}).items():
        hub = name.split()[0] if name.split()[0] in known else None
        generated = name == "synthetic"
        licence = OWN_LICENCE if generated else counts.get("licence") or known.get(hub)
        rows.append(
            {"kind": "chats", "hub": hub, "amount": f"{counts['kept']:,} chats"}
            | {"name": name, "licence": licence, "generated": generated}
        )
    names = {row["name"] for row in rows}
    if unknown := sorted(licences.keys() - names):
        raise ValueError(f"the run has no source {unknown[0]!r}; it has {', '.join(sorted(names))}")
    return [row | {"licence": licences.get(row["name"], row["licence"]) or NOT_STATED} for row in rows]


def _question(training: Mapping[str, Any] | None) -> str:
    samples = training["samples"] if training else None
    asked = samples["questions"] if samples else []
    return next((question["question"] for question in asked if question["right"]), QUESTION)


def _limits(measured: Sequence[Result], training: Mapping[str, Any] | None) -> dict[str, Any]:
    """Figures of failure: shares of texts with loops and of texts that stop, and questions it gets wrong."""
    free = {result.protocol: result.results["free"] for result in measured if "free" in result.results}
    asked = {result.protocol: result.results["instructions"] for result in measured if "instructions" in result.results}
    samples = training["samples"] if training else None
    figures = samples["figures"] if samples else {}
    # The protocol `strict` decodes without any penalty, as the samples of the run; `original` suppresses repetition.
    plain = _free(free["strict"]) if "strict" in free else {"loops": None, "stop_rate": None, "texts": None}
    if plain["loops"] is None and figures.get("free texts"):
        texts = figures["free texts"]
        plain |= {"loops": figures["free texts with loops"] / texts, "texts": texts}
    return {
        "plain": plain,
        "penalised": _free(free["original"]) if "original" in free else None,
        "answers_stop": finite(asked["strict"].get("stop_rate"))
        if "strict" in asked
        else figures.get("answers that stop by themselves"),
        "wrong": [question for question in samples["questions"] if not question["right"]] if samples else [],
        "questions": len(samples["questions"]) if samples else 0,
        "truncated": sorted(
            {task for result in measured for task, values in result.results.items() if finite(values.get("truncated"))}
        ),
    }


def _free(values: Mapping[str, Any]) -> dict[str, float | None]:
    names = {"loops": "sequence_loops", "stop_rate": "stop_rate", "texts": "n"}
    return {name: finite(values.get(metric)) for name, metric in names.items()}
