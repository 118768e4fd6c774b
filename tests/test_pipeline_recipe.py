"""Recipes: read, overridden, checked before anything starts; each of ours trains at reduced width."""

from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from tiny_run import tiny_values, write_text

from brandon_hf.pipeline import Run, list_recipes, load_recipe
from brandon_hf.pipeline.recipe import PHASES, make_recipe, to_yaml
from brandon_hf.recipes import list_models


@pytest.fixture
def values(tmp_path):
    return tiny_values(tmp_path)


@pytest.fixture
def collection(tmp_path):
    """The folder that the recipes on our collection of text start from, its files empty."""
    folder = tmp_path / "collection"
    for name in ("10m_fast", "5m", "5m_more"):
        values = yaml.safe_load((files("brandon_hf.recipes") / name / "run.yaml").read_text("utf-8"))
        for source in [*values["data"].get("pretrain", []), *values["data"].get("chat", [])]:
            if "path" in source:
                path = folder / source["path"]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
    return folder


def test_every_model_has_a_recipe_and_the_pipelines_too():
    names = {"10m_optimal", "10m_fast", "10m_combined", "10m_enhanced_v2", "5m", "5m_chat", "5m_more"}
    assert set(list_models()) | names <= set(list_recipes())


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_is_valid_as_it_stands(name, collection):
    recipe = load_recipe(name, [f"data.folder={collection}"])
    assert recipe.phases == tuple(phase for phase in PHASES if phase in recipe.phases)


@pytest.mark.parametrize("name", ["10m_fast", "5m", "5m_chat", "5m_more"])
def test_a_recipe_on_the_collection_states_each_licence_and_names_the_folder_it_misses(name, collection, monkeypatch):
    recipe = load_recipe(name, [f"data.folder={collection}"])
    for source in [*recipe.pretrain_sources(), *recipe.chat_sources()]:
        assert source.licence
    monkeypatch.chdir(collection.parent)
    with pytest.raises(FileNotFoundError, match=r"gutenberg_00\.jsonl\.xz.*Set data\.folder"):
        load_recipe(name)


def test_the_optimal_recipe_holds_the_published_settings(tmp_path):
    recipe = load_recipe("10m_optimal")
    assert recipe.model.num_hidden_layers == 24
    assert recipe.teacher_model().hidden_size == 384
    pretrain, distill, sft = (recipe.arguments(phase, tmp_path) for phase in recipe.phases)
    assert (pretrain.max_steps, distill.max_steps, sft.max_steps) == (15_000, 7_500, 12_000)
    assert (pretrain.learning_rate, distill.learning_rate, sft.learning_rate) == (8e-4, 4e-4, 2e-5)
    assert (pretrain.adam_beta1, pretrain.adam_beta2, pretrain.weight_decay) == (0.9, 0.95, 0.1)
    assert pretrain.lr_scheduler_kwargs["num_decay_steps"] == 2900
    assert (distill.divergence, distill.temperature, distill.alpha) == ("reverse_kl", 2.0, 0.5)
    assert (sft.label_smoothing, sft.unlikelihood_alpha, sft.entropy_beta) == (0.1, 0.5, 0.01)
    assert sft.weight_decay == 0.01


@pytest.mark.slow
@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_trains_two_steps_at_reduced_width(name, tmp_path, collection):
    text, chat = write_text(tmp_path)
    overrides = [f"data.folder={collection}"]
    if load_recipe(name, overrides).base_model:  # which cannot be narrowed
        overrides += ["base_model=null", "phases=[pretrain, sft]"]
    full = load_recipe(name, overrides)
    heads = full.model.num_attention_heads
    small = [f"hidden_size={4 * heads}", "intermediate_size=16", "vocab_size=320", "max_position_embeddings=64"]
    repeats = full.model.block_repeat * full.model.num_loops
    small.append(f"num_hidden_layers={2 * repeats}")
    steps = ["max_steps=2", "warmup_steps=1", "per_device_train_batch_size=2", "gradient_accumulation_steps=1"]
    steps += ["torch_compile=false", "bf16=false", "per_device_eval_batch_size=2"]
    overrides += [f"data.pretrain={text}", f"data.chat={chat}", "data.max_tokens=2000", "data.validation_fraction=0.1"]
    overrides += ["tokenizer.vocab_size=320", *(f"model.{setting}" for setting in small)]
    overrides += [f"{phase}.{step}" for phase in full.phases for step in steps]
    overrides += [f"{phase}.decay_steps=1" for phase in full.phases if phase != "sft"]
    if "distill" in full.phases:
        teacher = full.teacher_model()
        overrides += [f"teacher.model.{setting}" for setting in small[1:4]]
        overrides += [f"teacher.model.hidden_size={4 * teacher.num_attention_heads}"]
        overrides += [f"teacher.model.num_hidden_layers={2 * teacher.block_repeat}"]
        overrides += [f"teacher.pretrain.{step}" for step in [*steps, "decay_steps=1"]]
        if full.teacher.recipe:  # its model is a whole one, to be changed field by field
            overrides.append(f"teacher.model.base={full.teacher.recipe}")
    run = Run(load_recipe(name, overrides), tmp_path / "run")
    final = run.execute()
    assert run.load(final).config.max_position_embeddings == 64


def test_overrides_reach_any_depth_and_read_numbers_as_yaml_1_2(tmp_path):
    recipe = load_recipe(
        "demo",
        ["pretrain.learning_rate=8e-4", "model.hidden_size=64", "samples.free=3", "data.curation.english_only=no"],
    )
    assert recipe.arguments("pretrain", tmp_path).learning_rate == 8e-4
    assert recipe.model.hidden_size == 64
    assert recipe.samples.free == 3
    assert recipe.curation().english_only is False


def test_a_named_model_can_be_changed_field_by_field():
    recipe = load_recipe("10m_optimal", ["model.num_registers=0"])
    assert (recipe.model.num_registers, recipe.model.hidden_size) == (0, 256)


def test_a_recipe_is_a_folder_or_one_file_and_extends_another(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "run.yaml").write_text("extends: demo\nseed: 3\n")
    (folder / "sft.yaml").write_text("max_steps: 11\n")
    one = tmp_path / "one.yaml"
    one.write_text("extends: demo\nseed: 3\nsft: {max_steps: 11}\n")
    for source in (folder, one):
        recipe = load_recipe(str(source))
        assert recipe.seed == 3
        assert recipe.settings["sft"]["max_steps"] == 11
        assert recipe.settings["pretrain"] == load_recipe("demo").settings["pretrain"]


def test_the_written_recipe_reads_back_as_itself(values, tmp_path):
    path = tmp_path / "again.yaml"
    path.write_text(to_yaml(make_recipe(values, "tiny")))
    assert load_recipe(str(path)).values == {**yaml.safe_load(path.read_text())}
    assert load_recipe(str(path)).settings == make_recipe(values, "tiny").settings


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["pretrain.max_step=3"], "unknown key pretrain.max_step; did you mean pretrain.max_steps?"),
        (["pretrian.max_steps=3"], "unknown key pretrian in the recipe; did you mean pretrain?"),
        (["data.pretrained=x"], "unknown key data.pretrained in the recipe; did you mean data.pretrain?"),
        (["model.hidden=3"], "unknown key model.hidden"),
        (["data.pretrain=/no/such/file"], "/no/such/file"),
        (["data.chat=/no/such/file"], "/no/such/file"),
        (["pretrain.warmup_steps=0.6", "pretrain.decay_steps=0.6"], "longer than training, max_steps="),
        (["pretrain.warmup_steps=100000"], "does not end before the training"),
        (["pretrain.max_steps=0"], "needs max_steps"),
        (["distill.divergence=reverse"], "divergence='reverse' is unknown: choose one of forward_kl"),
        (["phases=[sft, pretrain]"], "in this order"),
        (["phases=[pretrain, cook]"], "there is no phase 'cook'"),
        (["teacher={}"], "phase distill needs a teacher"),
        (["teacher.path=/somewhere"], "is trained already"),
        (["samples.free=-1"], "samples.free=-1 must be a number"),
        (["samples.questions=1000"], "samples.questions=1000 must be at most 100"),
        (["samples.temperature=0"], "must be positive"),
        (["data.validation_fraction=0"], "data.validation_fraction=0 must lie between 0 and 1"),
        (["data.chat_joined=1"], "data.chat_joined=1 must be at least 0 and below 1"),
        (["data.chat_joined=half"], "data.chat_joined='half' must be a number"),
        (["data.max_epochs=0"], "data.max_epochs=0 must be at least 1"),
        (["tokenizer.vocab_size=12"], "tokenizer.vocab_size=12 must be at least 300"),
        (["data.pretrain={path: /no/such}"], "/no/such"),
        (["pretrain=3"], "pretrain=3 must be a mapping"),
        (["pretrain.learning_rate=abc"], "pretrain.learning_rate='abc' must be a number"),
        (["pretrain.per_device_train_batch_size=0"], "per_device_train_batch_size=0 must be at least 1"),
        (["distill.mixture=0.3"], "has no mixture"),
        (["distill.z_loss=1e-4"], "has no effect in distillation"),
        (["distill.on_policy=true", "distill.divergence=skew_reverse_kl"], "does not work on-policy"),
        (["pretrain.report_to=tensorbord"], "report_to='tensorbord' is unknown"),
        (["pretrain.report_to=comet_ml"], "report_to='comet_ml' needs its package"),
        (["sft.packing=true"], "unknown key sft.packing"),
        (["seed=x"], "seed='x' must be a whole number"),
        (["nonsense"], "'nonsense' is no override: write KEY=VALUE"),
        (["data.curation.max_answers=3"], "unknown key data.curation.max_answers"),
        (["prefer.method=ppo", "phases=[pretrain, prefer]"], "prefer.method='ppo' is unknown"),
    ],
)
def test_what_cannot_work_is_said_before_anything_starts(change, message):
    with pytest.raises((ValueError, OSError), match=r".") as raised:
        load_recipe("demo", change)
    assert message in str(raised.value)


def test_relative_paths_start_at_the_folder_of_the_data(values, tmp_path, monkeypatch):
    folder = tmp_path / "[collection]"  # no pattern
    folder.mkdir()
    (folder / "synthetic").mkdir()  # a built-in source keeps its name
    text, chat = write_text(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    data = {"pretrain": [{"path": "text.jsonl"}, text, "synthetic"], "chat": "chat.jsonl", "folder": "~/[collection]"}
    recipe = make_recipe({**values, "data": data}, "tiny")
    assert [source.path for source in recipe.pretrain_sources()] == [text, text, None]
    assert [source.path for source in recipe.chat_sources()] == [chat]
    with pytest.raises(FileNotFoundError, match=r"t\*\.jsonl.*Set data\.folder if relative paths start elsewhere"):
        make_recipe({**values, "data": {"pretrain": {"path": "t*.jsonl"}}}, "tiny")
    with pytest.raises(ValueError, match=r"data\.folder=5: there is no such folder"):
        make_recipe({**values, "data": {**data, "folder": 5}}, "tiny")


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 10m_optimal"):
        load_recipe("10m_optimum")


def test_broken_yaml_names_the_file(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("a: [1")
    with pytest.raises(ValueError, match=r"broken\.yaml is no YAML"):
        load_recipe(str(path))
    Path(path).write_text("- a\n")
    with pytest.raises(ValueError, match="must hold a mapping"):
        load_recipe(str(path))


def test_the_built_in_world_has_the_recipes_seed_everywhere():
    recipe = load_recipe("demo", ["seed=9"])
    assert [source.seed for source in recipe.pretrain_sources() + recipe.chat_sources()] == [9, 9]
    with pytest.raises(ValueError, match="its seed is the recipe's, seed=9, not 4"):
        load_recipe("demo", ["seed=9", "data.chat={builtin: synthetic, seed: 4}"])


def test_a_model_to_start_from_makes_pretraining_unnecessary():
    assert load_recipe("demo", ["base_model=somewhere"]).phases == ("distill", "sft")
    assert load_recipe("demo", ["base_model=somewhere", "phases=[pretrain]"]).phases == ("pretrain",)
