"""Recipes: everything a run is made of, as YAML, checked before anything starts.

A recipe is a folder (`brandon_hf/recipes/<name>/` or one of yours) with `run.yaml` and, beside it, a file per section:
`model.yaml`, `pretrain.yaml`, `distill.yaml`, `sft.yaml`, `prefer.yaml`. A single YAML file with these as keys is a
recipe too. `extends: NAME` starts from another one. `KEY=VALUE` on the command line overrides any value.
"""

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import yaml
from transformers import TrainingArguments

from brandon_hf.data.chat import BUILTINS as CHAT_BUILTINS
from brandon_hf.data.chat import ChatSource
from brandon_hf.data.curation import CurationRules
from brandon_hf.data.presets import presets
from brandon_hf.data.readers import files_of
from brandon_hf.data.sources import BUILTINS, Source
from brandon_hf.modeling import BrandonConfig
from brandon_hf.pretrained import known_model
from brandon_hf.recipes import list_models, load_model_config
from brandon_hf.training.arguments import (
    DistillArguments,
    DPOArguments,
    GRPOArguments,
    InstructArguments,
    PretrainArguments,
    build_arguments,
)

PHASES = ("pretrain", "distill", "sft", "prefer")
PARTS = ("tokenizer", "corpus", "chat")  # what a run prepares from its data
FILES = ("model", *PHASES)  # sections that may have a file of their own in a recipe's folder
ARGUMENTS: dict[str, type[TrainingArguments]] = {
    "pretrain": PretrainArguments,
    "distill": DistillArguments,
    "sft": InstructArguments,
}
PREFERENCE_METHODS: dict[str, type[TrainingArguments]] = {"dpo": DPOArguments, "grpo": GRPOArguments}

T = TypeVar("T")


@dataclass(frozen=True)
class TokenizerSettings:
    """Where the tokenizer comes from: a folder or Hub name in `path`, or trained on the run's text."""

    path: str | None = None
    vocab_size: int | None = None  # default: the model's
    max_characters: int = 4_000_000  # of text to train it on


@dataclass(frozen=True)
class DataSettings:
    """What the run reads. `pretrain` and `chat` are sources (path, preset, mapping, or a list of them)."""

    folder: str | None = None  # where relative paths of sources start; unset: the working directory
    prepared: str | None = None  # folder of a run whose tokenizer, corpus and chats are used instead of all else here
    pretrain: Any = "synthetic"
    chat: Any = "synthetic"
    max_tokens: int | None = None  # of pretraining text
    max_epochs: int = 4  # how often a source may be read to fill its share of them
    validation_fraction: float = 0.01
    chat_validation_fraction: float = 0.05
    chat_joined: float = 0.0  # up to this share of the training chats go on from another one, in one conversation
    curation: Mapping[str, Any] = field(default_factory=dict)  # fields of CurationRules


@dataclass(frozen=True)
class TeacherSettings:
    """The teacher of phase 2: a model folder or Hub name in `path`, or trained first, on the run's own text."""

    path: str | None = None
    recipe: str | None = None  # whose model and pretrain settings apply
    model: Any = None
    pretrain: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SampleSettings:
    """What the finished model is asked, without any penalty or blocking of repetition."""

    free: int = 20  # texts written freely
    questions: int = 50  # held-out questions of the built-in world, if its chats are in the data
    max_new_tokens: int = 128
    temperature: float = 0.8
    top_k: int = 50


@dataclass(frozen=True)
class Recipe:
    """A whole run; made by `load_recipe`."""

    name: str
    model: BrandonConfig
    phases: tuple[str, ...]
    seed: int
    tokenizer: TokenizerSettings
    data: DataSettings
    teacher: TeacherSettings
    samples: SampleSettings
    base_model: str | None  # a model the first phase starts from
    settings: Mapping[str, Mapping[str, Any]]  # of each phase, as in the YAML
    values: Mapping[str, Any]  # the whole of it, overrides included, as it is written to recipe.yaml

    def arguments(self, phase: str, output_dir: Path) -> Any:
        """The settings of `phase` as the arguments of its trainer."""
        settings = dict(self.settings[phase])
        cls = ARGUMENTS.get(phase)
        if cls is None:
            method = settings.pop("method", "dpo")
            if method not in PREFERENCE_METHODS:
                raise ValueError(f"prefer.method={method!r} is unknown: choose one of {', '.join(PREFERENCE_METHODS)}")
            cls = PREFERENCE_METHODS[method]
        return build_arguments(cls, {"seed": self.seed, **settings}, phase, output_dir)

    def teacher_arguments(self, output_dir: Path) -> PretrainArguments:
        """The settings of the teacher's pretraining."""
        settings = {"seed": self.seed, **self.teacher.pretrain}
        return build_arguments(PretrainArguments, settings, "teacher.pretrain", output_dir)

    def teacher_model(self) -> BrandonConfig:
        """The configuration of a teacher that is trained here."""
        return _model(self.teacher.model, "teacher.model")

    def pretrain_sources(self) -> list[Source]:
        """The sources of pretraining text; the built-in one has the recipe's seed."""
        sources = Source.from_recipe(_located(self.data.pretrain, self.data.folder, "pretrain"))
        return [_seeded(source, self.seed) for source in sources]

    def chat_sources(self) -> list[ChatSource]:
        """The sources of chats; the built-in one has the recipe's seed."""
        if self.data.prepared is not None:
            report = json.loads((Path(self.data.prepared).expanduser() / "chat/curation.json").read_text("utf-8"))
            return [
                ChatSource(**{"builtin" if name == "synthetic" else "path": name}, weight=of.get("weight"))
                for name, of in report["sources"].items()
            ]
        sources = ChatSource.from_recipe(_located(self.data.chat, self.data.folder, "chat"))
        return [_seeded(source, self.seed) for source in sources]

    def curation(self) -> CurationRules:
        return _settings(CurationRules, self.data.curation, "data.curation")


def list_recipes() -> list[str]:
    """The names `load_recipe` takes, sorted."""
    return sorted(path.name for path in files("brandon_hf.recipes").iterdir() if (path / "run.yaml").is_file())


def load_recipe(source: str, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe with the name or path `source`, with `overrides` such as `pretrain.max_steps=100`.

    Raises:
        ValueError: there is no such recipe, a key is unknown, or values contradict each other.
    """
    values = _read(source)
    for override in overrides:
        _override(values, override)
    return make_recipe(values, Path(source).stem)


def make_recipe(values: Mapping[str, Any], name: str) -> Recipe:
    """A recipe from its values, all sections in one mapping; see `load_recipe`."""
    known = {"name", "phases", "seed", "tokenizer", "data", "teacher", "samples", "base_model", *FILES}
    _check_keys(values, known, "")
    phases = tuple(values.get("phases", ("pretrain", "sft")))
    for phase in phases:
        if phase not in PHASES:
            raise ValueError(f"phases: there is no phase {phase!r}; there are {', '.join(PHASES)}")
    if list(phases) != sorted(phases, key=PHASES.index) or len(set(phases)) < len(phases) or not phases:
        raise ValueError(f"phases={list(phases)} must be some of {', '.join(PHASES)}, in this order")
    seed = values.get("seed", 42)
    if not isinstance(seed, int):
        raise ValueError(f"seed={seed!r} must be a whole number")
    for phase in PHASES:
        if not isinstance(values.get(phase) or {}, Mapping):
            raise ValueError(f"{phase}={values[phase]!r} must be a mapping of settings")
    settings = {phase: dict(values.get(phase) or {}) for phase in PHASES}
    base_model = values.get("base_model")
    if base_model is not None and "pretrain" in phases and len(phases) > 1:
        phases = phases[1:]  # that model is pretrained; pretraining alone continues it
    recipe = Recipe(
        name=str(values.get("name", name)),
        model=_model(values.get("model"), "model"),
        phases=phases,
        seed=seed,
        tokenizer=_settings(TokenizerSettings, values.get("tokenizer"), "tokenizer"),
        data=_settings(DataSettings, values.get("data"), "data"),
        teacher=_teacher(values.get("teacher")),
        samples=_settings(SampleSettings, values.get("samples"), "samples"),
        base_model=None if base_model is None else known_model(str(base_model)),
        settings=settings,
        values=values,
    )
    _check(recipe)
    return recipe


def _check(recipe: Recipe) -> None:
    """Everything that can be known to be wrong before anything is read or trained."""
    nowhere = Path("unused")
    for phase in recipe.phases:
        arguments = recipe.arguments(phase, nowhere)
        if phase in ("pretrain", "distill") and arguments.max_steps < 1:
            raise ValueError(f"{phase}.max_steps={arguments.max_steps} must be at least 1")
    _check_sources(recipe)
    recipe.curation()
    data, samples = recipe.data, recipe.samples
    for name in ("validation_fraction", "chat_validation_fraction"):
        if not 0 < getattr(data, name) < 1:
            raise ValueError(f"data.{name}={getattr(data, name)} must lie between 0 and 1: phases are measured on it")
    if not 0 <= data.chat_joined < 1:
        raise ValueError(f"data.chat_joined={data.chat_joined} must be at least 0 and below 1")
    if data.max_epochs < 1:
        raise ValueError(f"data.max_epochs={data.max_epochs} must be at least 1")
    if data.max_tokens is not None and (not isinstance(data.max_tokens, int) or data.max_tokens < 1):
        raise ValueError(f"data.max_tokens={data.max_tokens!r} must be a number of tokens, at least 1")
    vocabulary = recipe.tokenizer.vocab_size
    if vocabulary is not None and (not isinstance(vocabulary, int) or vocabulary < 300):
        raise ValueError(f"tokenizer.vocab_size={vocabulary!r} must be at least 300: all bytes and specials")
    for name, most in (("free", 20), ("questions", 100)):
        if getattr(samples, name) > most:
            raise ValueError(f"samples.{name}={getattr(samples, name)} must be at most {most}")
    if samples.temperature <= 0 or samples.top_k < 1 or samples.max_new_tokens < 1:
        raise ValueError(f"samples: temperature, top_k and max_new_tokens must be positive, not {samples}")
    if "distill" in recipe.phases and recipe.teacher.path is None:
        if recipe.teacher.model is None:
            raise ValueError("phase distill needs a teacher: set teacher.path, teacher.recipe or teacher.model")
        recipe.teacher_model()
        if recipe.teacher_arguments(nowhere).max_steps < 1:
            raise ValueError("teacher.pretrain.max_steps must be at least 1")


def _check_sources(recipe: Recipe) -> None:
    data = recipe.data
    for name in ("folder", "prepared"):
        value = getattr(data, name)
        if value is not None and not (isinstance(value, str) and Path(value).expanduser().is_dir()):
            raise ValueError(f"data.{name}={value!r}: there is no such folder")
    if data.prepared is not None:
        for part in PARTS:
            if not (Path(data.prepared).expanduser() / part).is_dir():
                raise ValueError(f"data.prepared={data.prepared}: {part}/ is missing: name the folder of a run")
        world = json.loads((Path(data.prepared).expanduser() / "corpus/manifest.json").read_text("utf-8"))["seed"]
        if world != recipe.seed and any(source.builtin for source in recipe.chat_sources()):
            raise ValueError(
                f"seed={recipe.seed}: data.prepared={data.prepared} holds the built-in world of seed={world}, whose "
                f"held-out questions are others: set seed={world}"
            )
        return
    sources: list[Source | ChatSource] = [*recipe.pretrain_sources(), *recipe.chat_sources()]
    for source in sources:
        if source.path is not None:
            try:
                files_of(source.path)
            except FileNotFoundError as error:
                if data.folder is not None or Path(source.path).is_absolute():
                    raise
                raise FileNotFoundError(f"{error}. Set data.folder if relative paths start elsewhere") from error


def _read(source: str) -> dict[str, Any]:
    """The values of a recipe by name, folder or file, with what it extends."""
    path = Path(source).expanduser()
    if not path.exists():
        if source not in list_recipes():
            near = difflib.get_close_matches(source, list_recipes(), n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(list_recipes())}"
            raise ValueError(f"recipe {source!r} is neither a folder, a file nor a known name; {hint}")
        path = Path(str(files("brandon_hf.recipes") / source))
    if path.is_dir():
        if not (path / "run.yaml").is_file():
            raise ValueError(f"recipe {path} has no run.yaml")
        values = _yaml(path / "run.yaml")
        for section in FILES:
            if (path / f"{section}.yaml").is_file():
                values[section] = _merged(_yaml(path / f"{section}.yaml"), values.get(section) or {})
    else:
        values = _yaml(path)
    base = values.pop("extends", None)
    return _merged(_read(str(base)), values) if base else values


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over`; mappings are merged, everything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _override(values: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise ValueError(f"{override!r} is no override: write KEY=VALUE, such as pretrain.max_steps=100")
    *parents, key = path.split(".")
    for parent in parents:
        if values.get(parent) is None:
            values[parent] = {}
        elif not isinstance(values[parent], dict):
            if parent not in ("model", "teacher"):
                raise ValueError(f"{override!r}: {parent} is {values[parent]!r} and has no {key!r} in it")
            values[parent] = {"base": values[parent]}
        values = values[parent]
    try:
        values[key] = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"{override!r}: the value is no YAML: {error}") from error


def _model(value: Any, where: str) -> BrandonConfig:
    """A model by name (`10m_enhanced`), or by fields, which may start from one (`base: 10m_enhanced`)."""
    if value is None:
        raise ValueError(f"{where} is missing: a name ({', '.join(list_models())}) or fields of BrandonConfig")
    if isinstance(value, str):
        return load_model_config(value)
    fields_ = dict(value)
    if base := fields_.pop("base", None):
        return load_model_config(base, **fields_)
    _check_keys(fields_, {entry.name for entry in fields(BrandonConfig)}, f"{where}.")
    return BrandonConfig(**fields_)


def _teacher(values: Any) -> TeacherSettings:
    teacher = _settings(TeacherSettings, values, "teacher")
    if isinstance(teacher.path, str):
        teacher = replace(teacher, path=known_model(teacher.path))
    if teacher.path is not None and (teacher.recipe or teacher.model):
        raise ValueError(f"teacher.path={teacher.path!r} is trained already: remove teacher.recipe and teacher.model")
    if teacher.recipe is None:
        return teacher
    base = _read(teacher.recipe)
    model = teacher.model if teacher.model is not None else base.get("model")
    return TeacherSettings(None, teacher.recipe, model, _merged(base.get("pretrain") or {}, teacher.pretrain))


def _settings(cls: type[T], values: Any, section: str) -> T:
    """A dataclass of settings from the recipe's mapping; the types of plain numbers and texts are checked."""
    values = {} if values is None else values
    if not isinstance(values, Mapping):
        raise ValueError(f"{section}={values!r} must be a mapping")
    entries = {entry.name: entry for entry in fields(cls)}  # type: ignore[arg-type]  # cls is a dataclass
    _check_keys(values, entries.keys(), f"{section}.")
    for key, value in values.items():
        default = entries[key].default
        if isinstance(default, (int, float)) and not isinstance(default, bool):
            allowed = (int,) if isinstance(default, int) else (int, float)
            if value is not None and (not isinstance(value, allowed) or isinstance(value, bool) or value < 0):
                raise ValueError(f"{section}.{key}={value!r} must be a number, at least 0 (default {default})")
    return cls(**values)


def _check_keys(values: Mapping[str, Any], known: Any, prefix: str) -> None:
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), list(known), n=1)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"there are {', '.join(sorted(known))}"
            raise ValueError(f"unknown key {prefix}{key} in the recipe; {hint}")


def _located(value: Any, folder: str | None, section: str) -> Any:
    """Sources as a recipe states them, relative paths seen from `folder`; presets and built-ins keep their names."""
    if folder is None:
        return value
    if isinstance(value, list | tuple):
        return [_located(item, folder, section) for item in value]
    if isinstance(value, Mapping) and isinstance(value.get("path"), str):
        return {**value, "path": _located(value["path"], folder, "")}
    builtins = {"pretrain": BUILTINS, "chat": CHAT_BUILTINS}.get(section, ())
    if isinstance(value, str) and not (section and (value in builtins or value in presets(section))):
        return str(Path(folder).expanduser() / Path(value).expanduser())
    return value


def _seeded(source: Any, seed: int) -> Any:
    """One seed for the whole built-in world: with another one, held-out questions would be in the text."""
    if source.builtin is None:
        return source
    if source.seed not in (0, seed):
        raise ValueError(f"source {source.name}: its seed is the recipe's, seed={seed}, not {source.seed}")
    return type(source)(**{**_shallow(source), "seed": seed})


def _shallow(instance: Any) -> dict[str, Any]:
    return {entry.name: getattr(instance, entry.name) for entry in fields(instance)}


class _Loader(yaml.SafeLoader):
    """YAML 1.2's numbers: 8e-4 is one, which PyYAML takes for text."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$|^[-+]?\.(?:inf|nan)$"),
    list("-+0123456789."),
)


def _yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.load(path.read_text("utf-8"), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no YAML: {error}") from error
    if values is not None and not isinstance(values, dict):
        raise ValueError(f"{path} must hold a mapping, not {type(values).__name__}")
    return values or {}


def to_yaml(recipe: Recipe) -> str:
    """The resolved recipe, ready to be read again."""
    return yaml.safe_dump({"name": recipe.name, **_plain(recipe.values)}, sort_keys=False, allow_unicode=True)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
