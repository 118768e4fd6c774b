"""Comparisons of models: tables, paired differences, errors, the page and the files beside it."""

import gzip
import json
import math
from html.parser import HTMLParser

import pytest

from brandon_hf.cli import eval_, main
from brandon_hf.evaluation.comparison import evaluated_folders, write_comparison
from brandon_hf.evaluation.phenomena import PHENOMENA

NASTY = "<script>alert(1)</script><img src=x onerror=alert(2)>|`[a](javascript:b)`"


def answers(task, share, n=20, first=0, **more):
    """Outcomes of which the first `share` is right."""
    return [{"task": task, "id": first + at, "acc": float(at < share * n), **more} for at in range(n)]


def write_results(folder, results, outcomes, protocol="standard", sha="a", settings=None, **more):
    folder.mkdir(parents=True, exist_ok=True)
    model = {"name": "fake/model", "parameters": 1000, "size_bytes": 4000, "model_type": "llama", "context": 64}
    document = {
        "protocol": protocol,
        "model": {**model, "vocab_size": 512, "weights_sha256": sha} | more,
        "settings": {"dtype": "float32", "batch_size": 8, "limit": None, "prefix_token": "<s>"} | (settings or {}),
        "environment": {"command": "brandon eval fake/model", "date": "2026-01-01", "device": "CPU", "system": "Linux"},
        "results": results,
    }
    (folder / "results.json").write_text(json.dumps(document))
    (folder / "outcomes.jsonl.gz").unlink(missing_ok=True)
    if outcomes is not None:
        with gzip.open(folder / "outcomes.jsonl.gz", "wt") as file:
            file.writelines(json.dumps(line) + "\n" for line in outcomes)
    return folder


def standard(folder, share, bits, **options):
    """Results of BLiMP (two paradigms), Winogrande and WikiText."""
    outcomes = [
        *answers("blimp_causative", share),
        *answers("blimp_wh_island", share / 2),
        *answers("winogrande", share),
        *({"task": "wikitext", "id": at, "loglikelihood": -bits * math.log(2) * (90 + at + at % 3), "bytes": 100 + at}
          for at in range(12)),
    ]  # fmt: skip
    nats = -sum(line["loglikelihood"] for line in outcomes if line["task"] == "wikitext")
    of = {task: sum(line["acc"] for line in outcomes if line["task"] == task) / 20 for task in
          ("blimp_causative", "blimp_wh_island", "winogrande")}  # fmt: skip
    results = {task: {"acc": acc, "acc_stderr": 0.1, "n": 20} for task, acc in of.items()}
    blimp = (of["blimp_causative"] + of["blimp_wh_island"]) / 2
    results["blimp"] = {"acc": blimp, "acc_stderr": 0.07, "n": 40}
    size = sum(range(100, 112))
    results["wikitext"] = {"bits_per_byte": nats / size / math.log(2), "n": 12, "bytes": size}
    return write_results(folder, results, outcomes, **options)


@pytest.fixture
def folders(tmp_path):
    return {
        name: standard(tmp_path / name, share, bits, sha=name)
        for name, share, bits in (("base", 0.4, 2.0), ("good", 0.8, 1.5), ("same", 0.4, 2.0))
    }


def machine_readable(folder):
    return json.loads((folder / "comparison.json").read_text())


class Page(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += f" {data}"


def test_table_has_values_errors_chance_and_counts(folders, tmp_path):
    lines = [line.split() for line in write_comparison(folders, tmp_path / "out").splitlines()]
    assert ["BLiMP", "Winogrande", "WikiText-2"] in lines
    assert ["good", "60.0", "±", "7.0", "80.0", "±", "10.0"] in [line[:7] for line in lines]
    assert ["chance", "50.0", "50.0", "-"] in lines
    assert ["examples", "40", "20", "12"] in lines


def test_differences_are_paired_and_against_the_first(folders, tmp_path):
    write_comparison(folders, tmp_path / "out")
    found = {
        (d["model"], d["task"]): d for d in machine_readable(tmp_path / "out")["protocols"]["standard"]["differences"]
    }
    assert {model for model, _ in found} == {"good", "same"}
    good = found["good", "blimp"]
    assert good["mean"] == pytest.approx(0.3)
    # strata: 8 of 20 and 4 of 20 became right, the variance of each is that of its differences
    error = math.sqrt(sum(p * (1 - p) * 20 / 19 / 20 for p in (0.4, 0.2))) / 2
    assert (good["high"] - good["low"]) / 2 == pytest.approx(2.024 * error, rel=1e-3)
    assert good["verdict"] == "better"
    assert found["good", "winogrande"]["n"] == 20
    assert found["good", "wikitext"]["mean"] < 0
    assert found["good", "wikitext"]["verdict"] == "better"  # fewer bits
    assert {d["verdict"] for (model, _), d in found.items() if model == "same"} == {"no difference shown"}


def test_all_files_say_the_same(folders, tmp_path):
    text = write_comparison(folders, tmp_path / "out")
    page = Page(tmp_path / "out" / "index.html").text
    markdown = (tmp_path / "out" / "comparison.md").read_text("utf-8")
    assert "+30.0" in text
    for said in ("60.0 ± 7.0", "+30.0", "better", "no difference shown", "brandon eval fake/model"):
        assert said in page
        assert said in markdown
    for picture in (tmp_path / "out" / "plots").iterdir():
        assert f"(plots/{picture.name})" in markdown
        assert picture.read_bytes().startswith(b"\x89PNG")
    assert not list((tmp_path / "out").glob(".*"))


def test_one_model_has_a_page_without_differences(folders, tmp_path):
    text = write_comparison({"good": folders["good"]}, folders["good"])
    assert "60.0 ± 7.0" in text
    assert "against" not in text
    assert "against" not in Page(folders["good"] / "index.html").text.replace("against parameters", "")
    assert machine_readable(folders["good"])["protocols"]["standard"]["differences"] == []


def test_page_needs_nothing_from_outside(folders, tmp_path):
    write_comparison(folders, tmp_path / "out")
    page = Page(tmp_path / "out" / "index.html")
    links = [value for name, value in page.attributes if name in ("src", "href", "srcset", "data")]
    assert links
    assert all(link.startswith("data:image/png;base64,") for link in links)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    alts = [value for name, value in page.attributes if name == "alt"]
    assert len(alts) == page.tags.count("img")
    assert any("good, 1,000 parameters: BLiMP 60.0" in alt for alt in alts)


def test_nothing_in_results_becomes_markup(tmp_path):
    clean, nasty = tmp_path / "clean", tmp_path / "nasty"
    for folder, text in ((clean, "x"), (nasty, NASTY)):
        settings = [{"dtype": text}, {"dtype": "y"}]
        named = {
            f"{text} {at}": standard(folder / str(at), 0.5, 2.0, sha=str(at), settings=settings[at], model_type=text)
            for at in (0, 1)
        }
        write_comparison(named, folder / "out")
    pages = [Page(folder / "out" / "index.html") for folder in (clean, nasty)]
    assert set(pages[0].tags) == set(pages[1].tags)
    assert not any(name.startswith("on") for name, _ in pages[1].attributes)
    markdown = (nasty / "out" / "comparison.md").read_text("utf-8")
    assert "<script" not in markdown
    assert "[a](" not in markdown


def test_other_examples_are_an_error_that_names_task_and_counts(folders, tmp_path):
    write_results(folders["good"], {"winogrande": {"acc": 0.8, "n": 10}}, answers("winogrande", 0.8, n=10), sha="good")
    with pytest.raises(ValueError, match=r"winogrande: good .* 10 examples and base on 20, 10 of them .* --limit"):
        write_comparison(folders, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    shifted = answers("winogrande", 0.8, first=5)
    write_results(folders["good"], {"winogrande": {"acc": 0.8, "n": 20}}, shifted, sha="good")
    with pytest.raises(ValueError, match=r"winogrande: .* 20 examples and base on 20, 10 of them"):
        write_comparison(folders, tmp_path / "out")


def test_other_paradigms_and_other_documents_are_errors(folders, tmp_path):
    one = answers("blimp_causative", 0.5)
    write_results(folders["good"], {"blimp": {"acc": 0.5, "n": 20}}, one, sha="good")
    with pytest.raises(ValueError, match="good was evaluated on 1 paradigms and base on 2"):
        write_comparison(folders, tmp_path / "out")
    lines = [{"task": "wikitext", "id": at, "loglikelihood": -100 * math.log(2), "bytes": 50} for at in range(12)]
    write_results(folders["good"], {"wikitext": {"bits_per_byte": 2.0, "n": 12}}, lines, sha="good")
    with pytest.raises(ValueError, match="wikitext: 12 of 12 documents of good and base differ in their bytes"):
        write_comparison(folders, tmp_path / "out")


def test_paradigms_are_found_in_the_lines_of_published_protocols(tmp_path):
    lines = [*answers("blimp", 0.2, part="a"), *answers("blimp", 1.0, first=20, part="b")]
    results = {"blimp": {"acc": 0.6, "n": 40}}
    other = [*answers("blimp", 0.6, part="a"), *answers("blimp", 1.0, first=20, part="b")]
    folders = {
        "x": write_results(tmp_path / "x", results, lines, "original"),
        "y": write_results(tmp_path / "y", {"blimp": {"acc": 0.8, "n": 40}}, other, "original"),
    }
    write_comparison(folders, tmp_path / "out")
    (found,) = machine_readable(tmp_path / "out")["protocols"]["original"]["differences"]
    error = math.sqrt(0.4 * 0.6 * 20 / 19 / 20) / 2  # nothing differs in the second paradigm
    assert (found["high"] - found["low"]) / 2 == pytest.approx(2.024 * error, rel=1e-3)


@pytest.mark.parametrize(
    ("outcomes", "reason"),
    [
        (None, "no examples in an outcomes.jsonl.gz"),
        (answers("winogrande", 0.1), "not the mean of its examples"),
        ([{"task": "winogrande", "id": 0}], "not given for each example"),
    ],
)
def test_difference_without_examples_is_left_out_and_said(folders, tmp_path, outcomes, reason):
    write_results(folders["good"], {"winogrande": {"acc": 0.8, "n": 20}}, outcomes, sha="good")
    text = write_comparison(folders, tmp_path / "out")
    note = f"No interval for Winogrande acc of good: {reason}."
    assert note in text
    assert note in Page(tmp_path / "out" / "index.html").text


def test_settings_that_differ_are_said(tmp_path):
    settings = ({"limit": 20, "prefix_token": "<s>"}, {"limit": None, "prefix_token": "<|bos|>", "batch_size": 1})
    folders = {f"m{at}": standard(tmp_path / str(at), 0.5, 2.0, sha=str(at), settings=settings[at]) for at in (0, 1)}
    text = write_comparison(folders, tmp_path / "out")
    assert "limit differs: 20 for m0; None for m1" in text
    assert "batch_size" not in text
    assert "prefix_token" not in text  # each tokenizer has its own
    folders["m2"] = standard(tmp_path / "2", 0.5, 2.0, sha="2", settings={"prefix_token": None})
    assert "prefix_token differs" in write_comparison(folders, tmp_path / "out")
    assert "20 for m0" in " ".join(Page(tmp_path / "out" / "index.html").text.split())


def mmlu(folder, protocol, shares, sha):
    """Results of MMLU with 30 and 10 examples: in `standard` a task per subject, whose ids begin anew, else a part."""
    outcomes = []
    for subject, n, share in (("anatomy", 30, shares[0]), ("virology", 10, shares[1])):
        if protocol == "standard":
            outcomes += answers(f"mmlu_{subject}", share, n)
        else:
            outcomes += answers("mmlu", share, n, first=len(outcomes), part=subject)
    results = {"mmlu": {"acc": sum(line["acc"] for line in outcomes) / 40, "n": 40}}
    if protocol == "standard":
        results |= {f"mmlu_{subject}": {"acc": 0.5, "n": 20} for subject in ("anatomy", "virology")}
    return write_results(folder, results, outcomes, protocol, sha=sha)


@pytest.mark.parametrize("protocol", ["standard", "stlm"])
def test_all_subjects_of_mmlu_count_by_their_examples(tmp_path, protocol):
    folders = {
        "x": mmlu(tmp_path / "x", protocol, (0.5, 0.2), "x"),
        "y": mmlu(tmp_path / "y", protocol, (0.6, 0.8), "y"),
    }
    write_comparison(folders, tmp_path / "out")
    found = machine_readable(tmp_path / "out")["protocols"][protocol]
    assert [result["task"] for result in found["results"]] == ["mmlu"]
    (difference,) = found["differences"]
    p = (3 + 6) / 40  # right in y only
    assert difference["mean"] == pytest.approx(p)
    assert difference["n"] == 40
    half = 2.023 * math.sqrt(p * (1 - p) / 39)
    assert (difference["low"], difference["high"]) == pytest.approx((p - half, p + half), rel=1e-3)


@pytest.mark.parametrize("benchmark", ["blimp", "mmlu"])
def test_parts_of_a_benchmark_are_columns_where_the_whole_is_missing(tmp_path, benchmark):
    tasks = f"{benchmark}_a", f"{benchmark}_b"
    for name, share in (("x", 0.5), ("y", 0.8)):
        lines = [line for task in tasks for line in answers(task, share)]
        results = {task: {"acc": share, "acc_stderr": 0.1, "n": 20} for task in tasks}
        write_results(tmp_path / name, results, lines, sha=name)
    text = write_comparison({name: tmp_path / name for name in "xy"}, tmp_path / "out")
    label = {"blimp": "BLiMP", "mmlu": "MMLU"}[benchmark]
    assert text.splitlines()[0].split() == [label, "a", label, "b"]
    assert "80.0 ± 10.0" in text
    found = machine_readable(tmp_path / "out")["protocols"]["standard"]["differences"]
    assert [(d["task"], round(d["mean"], 6), d["verdict"]) for d in found] == [(task, 0.3, "better") for task in tasks]


def per_character(folder, factor, characters=100):
    """WikiText of the protocol `stlm`."""
    lines = [{"task": "wikitext", "id": at, "loglikelihood": -factor * (100 + 7 * (at % 3)), "characters": characters}
             for at in range(12)]  # fmt: skip
    value = math.exp(-sum(line["loglikelihood"] for line in lines) / 12 / characters)
    results = {"wikitext": {"character_perplexity": value, "n": 12, "characters": 12 * characters}}
    return write_results(folder, results, lines, "stlm", sha=folder.name)


def test_perplexity_per_character_has_error_and_interval(tmp_path):
    folders = {"x": per_character(tmp_path / "x", 1.0), "y": per_character(tmp_path / "y", 0.9)}
    write_comparison(folders, tmp_path / "out")
    found = machine_readable(tmp_path / "out")["protocols"]["stlm"]
    x, y = (found["results"][0]["models"][name] for name in "xy")
    spread = math.sqrt((49 + 0 + 49) * 4 / 11)  # of 100, 107 and 114, four times each
    assert x["error"] == pytest.approx(x["value"] * spread / math.sqrt(12) / 100)
    (difference,) = found["differences"]
    assert difference["mean"] == pytest.approx(y["value"] - x["value"])
    error = (x["value"] - 0.9 * y["value"]) * spread / math.sqrt(12) / 100
    assert difference["high"] - difference["mean"] == pytest.approx(2.201 * error, rel=1e-3)
    assert difference["verdict"] == "better"
    per_character(tmp_path / "y", 0.9, 90)
    with pytest.raises(ValueError, match="12 of 12 documents of y and x differ in their characters"):
        write_comparison(folders, tmp_path / "out")


def test_other_data_of_a_task_is_an_error(tmp_path):
    def piqa(name, digest):
        results = {"piqa": {"acc": 0.5, "acc_norm": 0.5, "n": 20, "data_sha256": digest}}
        return write_results(tmp_path / name, results, answers("piqa", 0.5, acc_norm=1.0), sha=name)

    folders = {"x": piqa("x", "a" * 64), "y": piqa("y", None), "z": piqa("z", "a" * 64)}
    assert "piqa" not in write_comparison(folders, tmp_path / "out").replace("PIQA", "")
    piqa("z", "b" * 64)
    with pytest.raises(
        ValueError, match=r"piqa: z and x were evaluated on different data .*bbbbbbbbbbbb .* same --data"
    ):
        write_comparison(folders, tmp_path / "out")


def speeds(folder, first_token, skipped=None, **more):
    timed = {f"time_to_first_token{end}": first_token * by for end, by in (("", 1), ("_min", 0.5), ("_max", 2))}
    timed |= {"tokens_per_second": 1234.4, "latency": 0.256, "warm_up_seconds": 3.21}
    timed |= {"peak_memory_bytes": None, "size_bytes": 3776512}
    engines = {"eager": timed, "mtp": {"skipped": skipped} if skipped else timed | {"peak_memory_bytes": 5e8}}
    serving = {"engines": engines, "prompt_tokens": 64, "new_tokens": 128, "repeats": 5} | more
    return write_results(folder, {"serving": serving}, None, "serving", sha=folder.name)


def test_serving_is_a_table_over_engines(tmp_path):
    one = speeds(tmp_path / "one", 0.0125, "no | heads")
    for folders in ({"one": one}, {"one": one, "two": speeds(tmp_path / "two", 0.025, new_tokens=96)}):
        text = write_comparison(folders, tmp_path / "out")
        page = " ".join(Page(tmp_path / "out" / "index.html").text.split())
        markdown = (tmp_path / "out" / "comparison.md").read_text("utf-8")
        for document in (text, page, markdown):
            said = ["first token, ms", "tokens/s", "latency, s", "peak memory, MB", "model, MB", "warm-up, s"]
            said += ["12.5 (6.2 - 25.0)", "1,234", "0.26", "3.8", "3.2", "skipped: no", "Prompt of 64 tokens"]
            if len(folders) > 1:
                said += ["25.0 (12.5 - 50.0)", "500", "128 / 96 new tokens"]
            assert [words for words in said if words not in document] == []
        assert "one, mtp: skipped: no | heads" in text
        assert "| one | eager | 12.5 (6.2 - 25.0) | 1,234 | 0.26 | - | 3.8 | 3.2 |" in markdown
        rows = [
            line.replace("\\|", "") for line in markdown.splitlines() if line.startswith(("| one | ", "| model | e"))
        ]
        assert {row.count("|") for row in rows[-3:]} == {9}
        assert ("new_tokens differs: 128 for one; 96 for two" in text) == (len(folders) > 1)
    found = machine_readable(tmp_path / "out")["protocols"]["serving"]["engines"]
    assert [(row["model"], row["engine"]) for row in found] == [
        (m, e) for m in ("one", "two") for e in ("eager", "mtp")
    ]
    assert found[1]["skipped"] == "no | heads"


def test_examples_that_lost_their_beginning_are_said(tmp_path):
    results = {"piqa": {"acc": 0.5, "acc_norm": 0.6, "n": 20, "truncated": 3}}
    text = write_comparison({"m": write_results(tmp_path / "m", results, None)}, tmp_path / "out")
    assert "m: 3 of 20 examples of piqa were longer than its context" in text
    assert "acc norm, %" in text


def test_several_protocols_of_one_model_are_read_together(tmp_path):
    standard(tmp_path / "m" / "standard", 0.5, 2.0)
    engines = {"engines": {"eager": {"tokens_per_second": 90.0}, "compiled": {"tokens_per_second": 150.0}}}
    write_results(tmp_path / "m" / "serving", {"serving": engines}, None, "serving")
    text = write_comparison({"m": tmp_path / "m"}, tmp_path / "out")
    assert text.index("WikiText-2") < text.index("compiled")
    assert "150" in text
    write_results(tmp_path / "m" / "serving", {"serving": engines}, None, "serving", sha="b")
    with pytest.raises(ValueError, match="are of different models"):
        write_comparison({"m": tmp_path / "m"}, tmp_path / "out")
    standard(tmp_path / "m" / "again", 0.5, 2.0)
    with pytest.raises(ValueError, match="are both of protocol standard"):
        write_comparison({"m": tmp_path / "m"}, tmp_path / "out")


def test_damaged_results_are_named(folders, tmp_path):
    (folders["good"] / "outcomes.jsonl.gz").write_bytes(b"\x1f\x8b\x08 not gzip")
    with pytest.raises(ValueError, match=r"outcomes\.jsonl\.gz is damaged"):
        write_comparison(folders, tmp_path / "out")
    (folders["good"] / "results.json").write_text("[]")
    with pytest.raises(ValueError, match=r"good/results\.json is not a result of `brandon eval`"):
        write_comparison(folders, tmp_path / "out")
    with pytest.raises(ValueError, match="is not a results folder"):
        write_comparison({"x": tmp_path / "nothing"}, tmp_path / "out")


def test_example_that_is_there_twice_is_an_error(folders, tmp_path):
    write_results(folders["good"], {"piqa": {"acc": 1.0, "n": 2}}, [{"task": "piqa", "id": 0, "acc": 1.0}] * 2)
    folders["base"] = folders["good"]
    with pytest.raises(ValueError, match="example 0 of task piqa twice"):
        write_comparison(folders, tmp_path / "out")


@pytest.fixture
def evaluations(monkeypatch):
    """Calls of a stand-in for `evaluate_model`, which writes results."""
    calls = []

    def evaluate_model(name, output, **options):
        calls.append((name, output, options))
        standard(output, 0.5, 2.0, sha=name)

    monkeypatch.setattr(eval_, "evaluate_model", evaluate_model)
    monkeypatch.setattr(eval_, "check_folder", lambda name: None)
    monkeypatch.setattr(eval_, "find_spec", lambda name: object())
    return calls


def test_models_are_evaluated_and_results_are_read(folders, tmp_path, evaluations, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "demo" / "phase3_sft" / "final").mkdir(parents=True)
    (tmp_path / "runs" / "demo" / "phase3_sft" / "final" / "config.json").write_text("{}")
    models = ["base", "runs/demo/phase3_sft/final", "small=hub/SmolLM-135M"]
    options = ["--output", "out", "--tasks", "blimp,winogrande", "--limit", "7", "--data", "files"]
    assert main(["compare", *models, *options]) == 0
    assert [(name, output.name) for name, output, _ in evaluations] == [
        ("runs/demo/phase3_sft/final", "demo-phase3_sft"),
        ("hub/SmolLM-135M", "small"),
    ]
    given = evaluations[0][2]
    assert (given["protocols"], given["tasks"], given["data"].name) == (["standard"], ["blimp", "winogrande"], "files")
    assert given["settings"].limit == 7
    said = capsys.readouterr().out
    assert "against base" in said
    assert "comparison: out/index.html" in said
    assert (tmp_path / "out" / "index.html").is_file()


def test_model_folder_with_results_of_its_publisher_is_evaluated(folders, tmp_path):
    model = tmp_path / "downloaded"
    standard(model / "eval", 0.9, 1.0)
    (model / "config.json").write_text("{}")
    evaluated: list[object] = []
    found = evaluated_folders(
        [str(folders["base"]), str(model)], tmp_path / "out", lambda *call: evaluated.append(call)
    )
    assert evaluated == [(str(model), tmp_path / "out" / "downloaded")]
    assert found == {"base": folders["base"], "downloaded": tmp_path / "out" / "downloaded"}


def test_an_exported_file_is_evaluated(folders, tmp_path):
    blob = tmp_path / "model.gguf"
    blob.touch()
    evaluated: list[object] = []
    evaluated_folders([str(folders["base"]), f"blob={blob}"], tmp_path / "out", lambda *call: evaluated.append(call))
    assert evaluated == [(str(blob), tmp_path / "out" / "blob")]


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (["base"] * 9, "9 models cannot be compared"),
        (["base", "../{}/base"], "are both called base: say NAME="),
        (["base", "no/such/folder"], "no/such/folder is neither a results folder"),
        (["base", "absent.gguf"], r"absent\.gguf is neither a results folder"),
        (["base", "../x=good"], "a name has letters"),
    ],
)
def test_models_that_cannot_be_compared_are_refused_before_anything_is_evaluated(
    folders, tmp_path, monkeypatch, models, message
):
    evaluated: list[object] = []
    monkeypatch.chdir(tmp_path)
    arguments = ["hub/name", *(model.format(tmp_path.name) for model in models)][-9:]
    with pytest.raises(ValueError, match=message):
        evaluated_folders(arguments, tmp_path / "out", lambda *call: evaluated.append(call))
    assert evaluated == []


def test_one_model_is_no_comparison(folders, tmp_path):
    with pytest.raises(ValueError, match="1 models cannot be compared: 2 to 8 can"):
        evaluated_folders([str(folders["base"])], tmp_path / "out", print)


def test_blimp_has_67_paradigms_in_12_phenomena():
    paradigms = [uid for uids in PHENOMENA.values() for uid in uids]
    assert (len(PHENOMENA), len(paradigms), len(set(paradigms))) == (12, 67, 67)
