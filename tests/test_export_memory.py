"""The memory that `brandon export` and `inspect` print is what the engine takes."""

import pytest
from blobs import KINDS, write_tiny

from brandon_hf.cli import main
from brandon_hf.cli.export import measure_memory, open_engine
from brandon_hf.export import read_blob
from brandon_hf.export.memory import CACHES, memory_budget


@pytest.fixture(scope="module", params=KINDS)
def blob(request, tmp_path_factory):
    return read_blob(write_tiny(request.param, tmp_path_factory.mktemp("blob") / "x.gguf"))


def needs_engine(blob):
    engine, reason = open_engine(blob.path)
    if engine is None:
        pytest.skip(reason)
    return engine


@pytest.mark.parametrize("context", [None, 5])
def test_the_estimate_of_each_part_is_the_engines_within_a_twentieth(blob, context):
    tiled = needs_engine(blob).info.kernel != "portable"
    ram = measure_memory(blob.path, context)
    estimate = memory_budget(blob, context)
    assert estimate.source == "an estimate"
    for kind in CACHES:
        measured = ram(kind, "portable")
        assert estimate.weights == pytest.approx(measured["weights"], rel=0.05)
        assert estimate.activations == pytest.approx(measured["activations"], rel=0.05)
        assert estimate.tokenizer == pytest.approx(measured["tokenizer"], rel=0.05)
        assert estimate.cache[kind] == pytest.approx(measured["kv"], rel=0.05)
        assert estimate.total[kind] == pytest.approx(measured["total"], rel=0.05)
        assert estimate.total[kind] >= measured["total"] - 4096
    if tiled:
        assert estimate.unpacked_weights == pytest.approx(ram("float32", "best")["weights"], rel=0.05)


def test_what_is_printed_is_what_the_engine_measures(blob, capsys):
    needs_engine(blob)
    ram = measure_memory(blob.path, 32)
    budget = memory_budget(blob, 32, ram)
    assert budget.source == "measured by the engine"
    assert budget.total == {kind: ram(kind, "portable")["total"] for kind in CACHES}
    assert budget.cache == {kind: ram(kind, "portable")["kv"] for kind in CACHES}
    assert budget.unpacked_weights == ram("float16", "best")["weights"]
    assert main(["inspect", str(blob.path), "--context", "32"]) == 0
    assert str(budget) in capsys.readouterr().out


def test_a_budget_of_more_than_a_gibibyte_is_not_tried(blob, monkeypatch):
    monkeypatch.setattr("brandon_hf.export.memory._LARGEST_MEASURED", 1000)
    budget = memory_budget(blob, None, lambda kind, kernel: pytest.fail("it opens an engine"))
    assert budget.source == "an estimate"
