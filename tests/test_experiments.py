"""What benchmarks/experiments.py plans and reports; the training itself is the pipeline's."""

import argparse
import importlib
import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file


@pytest.fixture
def experiments(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "benchmarks"))
    module = importlib.import_module("experiments")
    monkeypatch.setattr(module, "DOCS", tmp_path)
    yield module
    for name in ("experiments", "findings", "variants", "ablations"):
        sys.modules.pop(name, None)


@pytest.fixture
def options(tmp_path):
    return argparse.Namespace(work=tmp_path / "work", questions=["rate"], variants=None, seeds=[1, 2])


def row(experiments, question, name, **figures):
    columns = dict.fromkeys([*experiments.MEASURED, "mean", "blimp"], 2.0)
    return {"changes": experiments.stated(question, name), "parameters": 1000, **columns, **figures}


def record(experiments, runs):
    (experiments.DOCS / "experiments.json").write_text(json.dumps({"about": {}, "runs": runs}), "utf-8")


def test_every_variant_is_a_recipe_and_changes_what_it_says(experiments, options):
    for variants in experiments.QUESTIONS.values():
        for name, changes in variants.items():
            values = experiments.recipe_values(changes, 5, options)
            assert all(values[phase]["seed"] == 5 for phase in values["phases"]), name
            assert not {"mixture", "tokens", "average", "start"} & values.keys(), name
    faster = experiments.recipe_values(experiments.QUESTIONS["rate"]["rate 6e-3"], 1, options)
    assert faster["pretrain"]["learning_rate"] == 6e-3
    assert experiments.BASE["pretrain"]["learning_rate"] == 3e-3
    longer = experiments.recipe_values(experiments.QUESTIONS["longer"]["half books, longer"], 1, options)
    assert longer["data"]["max_tokens"] == 4 * experiments.TOKENS
    assert longer["data"]["prepared"] != faster["data"]["prepared"]


def test_what_is_recorded_is_not_planned_again_unless_its_variant_changed(experiments, options):
    assert len(experiments.plan(options)) == 8
    recorded = row(experiments, "rate", "rate 6e-3")
    record(experiments, {"rate 6e-3": {"1": recorded, "2": recorded | {"changes": {"pretrain.learning_rate": 5e-3}}}})
    planned = [job for job in experiments.plan(options) if job[1] == "rate 6e-3"]
    assert planned == [("rate", "rate 6e-3", 2)]


def test_a_model_that_others_start_from_is_trained_before_them(experiments, options):
    options.questions, options.variants, options.seeds = ["distillation"], ["reverse KL"], [3]
    jobs = [job[1:] for job in experiments.plan(options)]
    assert jobs == [("half books", 3), ("30M-shaped", 3), ("reverse KL", 3)]
    experiments.pretrained("30M-shaped", 3, options).mkdir(parents=True)
    assert [job[1:] for job in experiments.plan(options)] == [("half books", 3), ("reverse KL", 3)]


def test_the_second_half_of_a_run_reads_another_mixture_and_goes_on_from_the_first(experiments, options):
    for name, changes in experiments.QUESTIONS["order and batches"].items():
        first = experiments.QUESTIONS["first halves"][changes["start"]]
        assert first.get("mixture", "half books") != changes["mixture"], name
        values = experiments.recipe_values(changes, 1, options)
        assert values["base_model"] == str(experiments.pretrained(changes["start"], 1, options)), name
        steps, size = (values["pretrain"][key] for key in ("max_steps", "per_device_train_batch_size"))
        assert steps * size * experiments.CONTEXT == pytest.approx(experiments.TOKENS / 2, rel=0.01), name
    shares = [experiments.MIXTURES[name] for name in ("half books", "half books, drawn again")]
    assert shares[0] == shares[1]
    assert list(shares[0]) != list(shares[1])


def test_effects_are_paired_by_seed(experiments):
    base = {str(seed): row(experiments, "rate", "half books", mean=mean) for seed, mean in enumerate((1.0, 3.0, 9.0))}
    other = {
        seed: row(experiments, "rate", "rate 6e-3", mean=base[seed]["mean"] + gap)
        for seed, gap in (("0", 0.1), ("1", 0.3))
    }
    page = experiments.page({"half books": base, "rate 6e-3": other}, {"books": (3, 4000)}, 100)
    effect = next(line for line in page.splitlines() if line.startswith("| rate 6e-3 against half books"))
    assert "| 0, 1 |" in effect
    assert "+0.200 ± 0.141" in effect
    assert "books 3 documents, 4,000 bytes" in page


def test_a_variant_is_compared_with_what_it_differs_from(experiments):
    figures = dict.fromkeys(importlib.import_module("variants").COLUMNS["original"], 1.0)
    runs = {
        name: {"1": row(experiments, "original", name, **figures | {"chat_loss": loss})}
        for name, loss in (("baseline", 4.5), ("enhanced", 4.25), ("dream", 4.75))
    }
    page = experiments.page(runs, {}, 100)
    assert "| dream against enhanced |" in page
    assert "+0.500" in page
    assert "+0.250" not in page


def test_what_helped_is_said_where_the_seeds_agree_and_not_otherwise(experiments):
    def verdicts(*gaps):
        base = {str(seed): row(experiments, "rate", "half books", mean=2.0 + seed) for seed in range(3)}
        other = {str(seed): row(experiments, "rate", "rate 6e-3", mean=2 + seed + gap) for seed, gap in enumerate(gaps)}
        page = experiments.page({"half books": base, "rate 6e-3": other}, {}, 100)
        line = next(line for line in page.splitlines() if line.startswith("| rate 6e-3 | half books | mean |"))
        return line.split("|")[-4:-1]

    assert verdicts(-0.03, -0.02, -0.04) == [" -0.030 ± 0.010 ", " 3 ", " better "]
    assert verdicts(0.03, 0.02, 0.04)[-1] == " worse "
    # Student's t at 97.5 % is 4.30 for two degrees of freedom: +-0.025 at a deviation of 0.01
    assert verdicts(-0.024, -0.014, -0.034)[-1] == " not shown "
    assert verdicts(-0.026, -0.016, -0.036)[-1] == " better "
    assert verdicts(-0.5) == [" -0.500 ", " 1 ", " one seed "]


def test_averaged_weights_are_the_mean_of_the_last_checkpoints(experiments, tmp_path):
    final = tmp_path / "phase1_pretrain/final"
    for number, value in ((90, 9.0), (100, 1.0), (200, 2.0), (300, 6.0)):
        folder = final.parent / f"checkpoint-{number}"
        folder.mkdir(parents=True)
        save_file({"weight": torch.full((2,), value)}, folder / "model.safetensors")
    final.mkdir()
    averaged = experiments.average(final, 3)
    assert load_file(averaged / "model.safetensors")["weight"].tolist() == [3.0, 3.0]
    with pytest.raises(FileNotFoundError, match="4 checkpoints, 5 are to be averaged"):
        experiments.average(final, 5)


def test_a_run_that_fails_ends_the_command_with_an_error(experiments, options, monkeypatch, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit(3)\n")
    monkeypatch.setattr(experiments, "__file__", str(broken))
    options.work.mkdir()
    options.workers = 2
    assert experiments.run_all([("rate", "rate 6e-3", 1), ("rate", "half books", 1)], options) == 2
    assert experiments.load() == {}
