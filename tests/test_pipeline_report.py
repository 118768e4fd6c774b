"""The report of a run: what it says, what it leaves out, and that no text of a model or a data set is obeyed."""

import json
import math
import re
from html.parser import HTMLParser

import pytest
import torch
from safetensors.torch import save_file

from brandon_hf.pipeline import plots, write_report

NASTY = "<script>alert(1)</script><img src=x onerror=alert(2)></pre></td>\"'|`[a](javascript:b)`\n# {{ 7 * 7 }} ![c](d)"
STEPS = {"teacher": 100, "phase1_pretrain": 100, "phase2_distill": 200, "phase3_sft": 300}
EVALUATED = {"step": 50, "num_input_tokens_seen": 5000, "eval_loss": 4.0}
VOID = {"meta", "link", "br", "img", "input", "hr"}


def sample(**fields):
    return {"question": "Who?", "answer": "Me.", "stopped": True, "right": True, **fields}


def held_out(**fields):
    return sample(category="sound", new_phrasing=False, **fields)


def samples(text="Some text.", **fields):
    questions = [held_out(**fields), held_out(right=False), held_out(right=False, stopped=False)]
    questions[0]["new_phrasing"] = True
    return {
        "figures": {
            "free texts": 2,
            "free texts with loops": 1,
            "repetition rate": 0.125,
            "distinct 2-grams": 0.75,
            "coherence length": 12.5,
            "answers that stop by themselves": 0.8,
            "knows its name": 1.0,
            "held-out questions": 3,
            "held-out questions answered": 1 / 3,
            "of these in phrasings never trained on": 1.0,
        },
        "free": [
            {"prompt": "Once", "chat": False, "text": text, "stopped": True, "loops": 0},
            {"prompt": "Tell me.", "chat": True, "text": "no no no no no", "stopped": False, "loops": 1},
        ],
        "name": [sample(question="Your name?", answer="Brandon.")],
        "questions": questions,
    }


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), "utf-8")


def write_log(folder, lines):
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")


def write_phase(folder, lines, before=3.0, after=2.0):
    for name, loss in (("before", before), ("evaluation", after)):
        values = {"validation_loss": loss, "validation_bits_per_byte": loss / 2, "chat_loss": loss + 1}
        write_json(folder / f"{name}.json", values)
    write_log(folder, lines)
    config = {"num_hidden_layers": 4, "block_repeat": 2, "hidden_size": 32, "qk_norm": True, "vocab_size": 1536}
    write_json(folder / "final" / "config.json", config)
    save_file({"embedding": torch.zeros(1536, 32), "norm": torch.zeros(32)}, folder / "final" / "model.safetensors")


def log(steps, **values):
    """Lines of a metrics.jsonl: `values` are functions of the step."""
    for step in range(10, steps + 1, 10):
        line = {"step": step, "seconds": step / 2.0, "num_input_tokens_seen": step * 100}
        yield line | {name: value(step) for name, value in values.items()}
    yield {"step": steps, "seconds": steps / 2.0, "num_input_tokens_seen": steps * 100, "train_loss": 1.0}


@pytest.fixture
def folder(tmp_path):
    """The directory of a finished run with a teacher and three phases."""
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "recipe.yaml").write_text(
        "name: tiny run\nphases: [pretrain, distill, sft]\nsamples: {top_k: 7}\n", "utf-8"
    )
    environment = {"python": "3.11.7", "system": "Linux x86_64", "packages": {"torch": "2.13.0"}, "device": "CPU"}
    environment |= {"threads": 2, "processes": 1, "cores": 2, "command": "brandon run --recipe demo --name x"}
    write_json(folder / "environment.json", environment)
    counts = {"documents": 10, "tokens": 4000, "bytes": 10_000}
    source = {"name": "stories", "licence": "CC0", "epochs": 2, "duplicates": 31, "filtered": 47, **counts}
    manifest = {"splits": {"train": counts, "validation": {**counts, "tokens": 123}}}
    manifest["sources"] = [{**source, "tokens": 3000}, {**source, "name": "facts", "tokens": 1000, "licence": None}]
    write_json(folder / "corpus" / "manifest.json", manifest)
    curation = {"rows": 9053, "kept": 8720, "dropped": {"refusal": 333}, "examples": {"refusal": ["I cannot do it."]}}
    write_json(folder / "chat" / "curation.json", {**curation, "sources": {"built in": {"rows": 9053, "kept": 8720}}})
    (folder / "chat" / "train.jsonl").write_text("{}\n" * 17)
    (folder / "chat" / "validation.jsonl").write_text("{}\n" * 3)
    for (name, steps), (before, after) in zip(STEPS.items(), ((8, 1.25), (8, 4), (4, 3.5), (3.5, 3.25)), strict=True):
        write_phase(folder / name, [*log(steps)][-1:], before, after)
    write_json(folder / "samples.json", samples())
    return folder


@pytest.fixture
def logged(folder):
    """The same with what the phases log on their way, for the plots."""
    curves = {name: {"loss": lambda step: 5 - step / 50, "learning_rate": lambda step: 1e-3} for name in STEPS}
    curves["phase2_distill"] |= {name: lambda step: 1.0 for name in ("divergence", "cross_entropy")}
    tuning = ("nll", "unlikelihood", "entropy", "mean_token_accuracy")
    curves["phase3_sft"] |= {name: lambda step: 0.5 for name in tuning}
    for name, steps in STEPS.items():
        write_log(folder / name, log(steps, **curves[name]))
    write_log(folder / "phase1_pretrain", [EVALUATED, *log(100, **curves["teacher"])])
    return folder


class Page(HTMLParser):
    """The tags of a page with their attributes, its text, and whether every tag is closed in order."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text, self.open = [], [], "", []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.text += " " if tag in ("td", "th", "dt", "dd") else ""

    def handle_data(self, data):
        self.text += data


def page_of(folder):
    write_report(folder)
    return Page((folder / "report.html").read_text("utf-8"))


def squeezed(text):
    return " ".join(text.split())


def test_summary_has_the_figures_of_the_run(folder):
    summary = dict(re.split(r"  +", line, maxsplit=1) for line in write_report(folder).splitlines())
    assert summary == {
        "held-out questions answered": "1 of 3 (33 %)",
        "in phrasings never trained on": "1 of 1 (100 %)",
        "knows its name": "1 of 1 times",
        "answers that stop by themselves": "80 %",
        "free texts with loops": "1 of 2",
        "tokens trained on": "60,000",  # without the teacher's
        "training": "5.8 minutes",  # with the teacher's
    }


FACTS = (
    "A model of 49,184 parameters, trained in 3 phases on CPU.",
    "top-k 7",
    "8.000 → 4.000",
    "1.750 → 1.625",
    "4.500 → 4.250",
    "8.000 → 1.250",  # the teacher
    "4,000 tokens to train on, 123 held out; 2.50 bytes per token.",
    "8,720 of 9,053 chats kept, 17 for training, 3 held out.",
    "I cannot do it.",
    "The teacher has 49,184 parameters: 4 layers, hidden size 32.",
    "brandon run --recipe demo --name x",
    "phases: [pretrain, distill, sft]",
)


def test_page_says_the_facts(folder):
    page = page_of(folder)
    text = squeezed(page.text)
    for fact in FACTS:
        assert fact in text
    for row in ("stories 3,000 75 % 10 2 31 47 CC0", "query-key norm yes", "repetition rate 0.125", "torch 2.13.0"):
        assert row in text
    assert "Phase 2: distillation 20,000 1.7 min 200" in text
    assert "not finished" not in text
    assert page.open == []


def test_markdown_says_the_same_facts(folder):
    write_report(folder)
    text = (folder / "report.md").read_text("utf-8")
    for fact in FACTS:
        assert fact in text
    for row in (
        "| stories | 3,000 | 75 % | 10 | 2 | 31 | 47 | CC0 |",
        "| query-key norm | yes |",
        "| torch | 2.13.0 |",
    ):
        assert row in text
    assert "| Who? | Me. | **wrong**, did not stop |" in text
    assert "```yaml\nname: tiny run\n" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in rows)


def test_every_picture_that_the_markdown_names_is_there(logged):
    write_report(logged)
    named = re.findall(r"!\[[^]]*\]\(([^)]*)\)", (logged / "report.md").read_text("utf-8"))
    assert "report_files/distill-divergence-from-the-teacher.svg" in named
    assert sorted(named) == sorted(f"report_files/{path.name}" for path in (logged / "report_files").iterdir())
    for name in named:
        assert (logged / name).read_text("utf-8").lstrip().startswith("<?xml")


def test_plots_show_what_each_phase_logged(logged):
    titles = [value for name, value in page_of(logged).attributes if name == "aria-label"]
    assert titles == [
        "held-out loss after each phase",
        *("loss", "learning rate"),
        *("loss", "divergence from the teacher", "cross-entropy", "learning rate"),
        *("loss", "negative log-likelihood", "unlikelihood", "entropy", "accuracy of tokens", "learning rate"),
        *("loss", "learning rate"),
    ]
    validation = (logged / "report_files" / "pretrain-loss.svg").read_text("utf-8")
    assert "validation" in validation
    assert "validation" not in (logged / "report_files" / "sft-loss.svg").read_text("utf-8")


def test_page_needs_nothing_from_outside_and_its_names_are_unique(logged):
    page = page_of(logged)
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    links = [value for name, value in page.attributes if name in ("src", "href", "xlink:href", "data", "srcset")]
    assert links
    assert all(link.startswith("#") and link[1:] in ids for link in links)
    assert not {"script", "link", "img", "iframe", "object", "image"} & set(page.tags)
    html = (logged / "report.html").read_text("utf-8")
    assert "@import" not in html
    assert all(name in ids for name in re.findall(r"url\(#([^)]*)\)", html))
    assert "url(" not in re.sub(r"url\(#", "", html)


def test_wrong_answers_and_loops_are_marked(folder):
    page = page_of(folder)
    assert squeezed(page.text).count("✗ wrong · sound") == 2 * 2  # at the top, and among all
    assert "✗ wrong · sound · cut off: it did not stop" in squeezed(page.text)
    assert squeezed(page.text).count("✗ loops · cut off at the limit") == 2
    assert ("class", "answered wrong") in page.attributes


def test_no_text_of_model_or_data_becomes_html(folder):
    clean = page_of(folder)
    nasty = samples(text=NASTY, question=NASTY, answer=NASTY)
    nasty["questions"][1]["category"] = nasty["free"][1]["prompt"] = nasty["free"][1]["text"] = NASTY
    nasty["name"][0]["answer"] = NASTY
    write_json(folder / "samples.json", nasty)
    for name, change in (
        ("environment.json", lambda value: value.update(command=NASTY, device=NASTY, packages={NASTY: NASTY})),
        ("corpus/manifest.json", lambda value: value["sources"][0].update(name=NASTY, licence=NASTY)),
        ("chat/curation.json", lambda value: value.update(dropped={NASTY: 1}, examples={NASTY: [NASTY]})),
        ("phase3_sft/final/config.json", lambda value: value.update(mlp_type=NASTY)),
    ):
        value = json.loads((folder / name).read_text("utf-8"))
        change(value)
        write_json(folder / name, value)
    recipe = {"name": NASTY, "phases": ["pretrain", "distill", "sft"]}
    write_json(folder / "recipe.yaml", recipe)  # JSON is YAML
    page = page_of(folder)
    assert set(page.tags) == set(clean.tags)
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert page.open == []
    assert page.text.count(NASTY) >= 15
    assert "49" not in re.findall(r"# (\S+) !\[c\]", page.text)


def test_no_text_of_model_or_data_becomes_markdown(folder):
    nasty = samples(text=NASTY, question=NASTY, answer=NASTY)
    write_json(folder / "samples.json", nasty)
    environment = json.loads((folder / "environment.json").read_text("utf-8"))
    write_json(folder / "environment.json", {**environment, "command": "brandon ````\n# heading", "device": NASTY})
    write_report(folder)
    text = (folder / "report.md").read_text("utf-8")
    assert "<script" not in text
    assert "<img" not in text
    assert r"\[a\](javascript:b)" in text
    assert not re.search(r"(?<!\\)\[a(?<!\\)\]\(", text)
    row = next(line for line in text.splitlines() if line.startswith("| &lt;script"))
    assert len(re.findall(r"(?<!\\)\|", row)) == 4  # three cells
    assert "`````bash\nbrandon ````\n# heading\n`````\n" in text


def test_run_that_has_only_begun_has_a_report_too(tmp_path):
    (tmp_path / "recipe.yaml").write_text("phases: [pretrain, sft]\n", "utf-8")
    assert write_report(tmp_path) == ""
    text = squeezed(Page((tmp_path / "report.html").read_text("utf-8")).text)
    assert "Still to come: Phase 1: pretraining, Phase 3: instruction tuning." in text
    for heading in ("What it writes", "What each phase contributed", "Data", "Model"):
        assert heading not in text


@pytest.mark.parametrize(
    ("missing", "heading"),
    [
        ("samples.json", "What it writes"),
        ("environment.json", "The command that made this run"),
        ("corpus/manifest.json", "tokens to train on"),
        ("chat/curation.json", "Chats"),
        ("phase2_distill/metrics.jsonl", "20,000 1.7 min 200"),
        ("phase3_sft/final/config.json", None),
        ("phase1_pretrain/before.json", "8.000 → 4.000"),
        ("phase1_pretrain/evaluation.json", "8.000 → 4.000"),
        ("teacher/final/model.safetensors", "The teacher has"),
    ],
)
def test_what_is_missing_leaves_its_part_out(folder, missing, heading):
    if heading:
        assert heading in squeezed(page_of(folder).text)
    (folder / missing).unlink()
    text = squeezed(page_of(folder).text)
    assert heading is None or heading not in text
    assert "What each phase contributed" in text


def test_phase_under_way_is_shown_as_unfinished(folder):
    for path in (folder / "phase3_sft" / "final").iterdir():
        path.unlink()
    (folder / "phase3_sft" / "final").rmdir()
    with (folder / "phase3_sft" / "metrics.jsonl").open("a") as log_file:
        log_file.write('{"step": 310, "sec')  # what a kill leaves
    text = squeezed(page_of(folder).text)
    assert "Phase 3: instruction tuning (unfinished) 30,000" in text
    assert "Still to come: Phase 3: instruction tuning." in text


def test_long_logs_are_averaged_into_light_pictures(folder):
    write_log(folder / "phase1_pretrain", log(100_000, loss=lambda step: 2 + (step // 10) % 2))
    write_report(folder)
    assert len((folder / "report_files" / "pretrain-loss.svg").read_text("utf-8")) < 40_000


def test_values_that_are_not_finite_are_no_points_of_a_curve():
    lines = [{"step": step, "loss": loss} for step, loss in enumerate([3.0, math.nan, 2.0, math.inf, 1.0])]
    assert plots._curve(lines, "loss") == ([0.0, 2.0, 4.0], [3.0, 2.0, 1.0])


def test_same_run_gives_the_same_report(logged):
    write_report(logged)
    first = (logged / "report.html").read_bytes()
    write_report(logged)
    assert (logged / "report.html").read_bytes() == first
    assert not list(logged.glob(".*"))  # nothing half-written is left


def test_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"is not the directory of a run: it has no recipe\.yaml"):
        write_report(tmp_path)
