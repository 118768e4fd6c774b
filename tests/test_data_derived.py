"""Chats derived from text: mixed kinds, the same for a seed, nothing that models are measured with, clear errors."""

import itertools
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml
from tiny_texts import EXPLAINED, PAIRS, SENTENCES, STORY, write_texts

from brandon_hf.data.chat import load_chats
from brandon_hf.data.curation import curate
from brandon_hf.data.derived import KINDS, HeldOut, derived_chats, every_prompt
from brandon_hf.evaluation.generation import read_prompts

WITHOUT_FILES = [kind.name for kind in KINDS if not kind.sources]
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_texts(tmp_path_factory.mktemp("texts") / "pretrain")


def frozen_prompts():
    return every_prompt()


def rows_of(kinds, folder=None, seed=0, held_out=(), rows=400, **options):
    return list(derived_chats(folder, kinds, seed, held_out=held_out, rows=rows, **options))


def asked(row):
    return next(message["content"] for message in row["messages"] if message["role"] == "user")


def told(row):
    return row["messages"][-1]["content"]


def test_the_same_seed_gives_the_same_chats_and_another_seed_others(folder):
    first, again, other = (rows_of(None, folder, seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("kind", WITHOUT_FILES)
def test_a_kind_gives_the_rows_asked_for_in_many_wordings(kind):
    rows = rows_of([kind], rows=300)
    assert len(rows) == 300
    assert {row["kind"] for row in rows} == {kind}
    assert len({asked(row) for row in rows}) >= (150 if kind == "identity" else 240)


def test_every_chat_alternates_and_ends_with_an_answer_and_shows_no_template(folder):
    for row in rows_of(None, folder, rows=1500):
        messages = row["messages"]
        roles = [message["role"] for message in messages if message["role"] != "system"]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert roles
        for message in messages:
            text = message["content"]
            assert text.strip() == text != "", row
            assert not re.search(r"  |[|\0]", text), row
            if "JSON" not in str(messages):
                assert not set("{}[]") & set(text), row


def test_chats_are_short_enough_for_a_small_context(folder):
    for row in rows_of(None, folder, rows=1500):
        assert sum(len(message["content"].split()) for message in row["messages"]) < 230, row


def test_shares_are_kept_and_no_chat_is_there_twice():
    rows = rows_of(["numbers", "facts"], rows=420)
    counts = Counter(row["kind"] for row in rows)
    shares = {kind.name: kind.share for kind in KINDS}
    assert counts["numbers"] / counts["facts"] == pytest.approx(shares["numbers"] / shares["facts"], rel=0.05)
    assert len(rows) == 420
    assert len({str(row["messages"]).lower() for row in rows}) == 420
    assert [row["kind"] for row in rows] != sorted(row["kind"] for row in rows)


def test_a_kind_that_runs_dry_ends_early_and_the_report_says_so(folder):
    report = {}
    rows = rows_of(["explanations"], folder, rows=500, report=report)
    assert 0 < len(rows) <= len(EXPLAINED)
    assert report["explanations"].exhausted
    assert report["explanations"].rows == len(rows)


def test_texts_become_the_chats_of_their_kinds(folder):
    by_kind = {
        name: rows_of([name], folder, rows=300) for name in ("definitions", "explanations", "stories", "rewriting")
    }
    assert any("baker" in asked(row) and "who makes and sells bread" in told(row) for row in by_kind["definitions"])
    assert {told(row) for row in by_kind["explanations"]} <= set(EXPLAINED)
    assert any("rosion" in asked(row) and told(row) == EXPLAINED[0] for row in by_kind["explanations"])
    assert any(told(row).startswith(STORY[0]) for row in by_kind["stories"])
    assert any("goat" in asked(row).lower() and told(row) == " ".join(STORY) for row in by_kind["stories"])
    texts = {told(row) for row in by_kind["rewriting"]}
    assert texts & {sentence.upper() for sentence in SENTENCES}
    assert texts & set(PAIRS)
    assert any(
        told(row) == "The little town lies on a hill, and it has a famous market." for row in by_kind["rewriting"]
    )


def test_only_the_files_that_a_kind_needs_are_read(folder):
    assert rows_of(["stories"], folder, rows=3)  # gutenberg_00.jsonl beside them is no JSON
    (only := folder.parent / "only").mkdir(exist_ok=True)
    (only / "storybooks_ccby.jsonl.gz").write_bytes((folder / "storybooks_ccby.jsonl.gz").read_bytes())
    assert rows_of(["stories"], only, rows=3)


def test_rows_come_before_all_are_made():
    endless = derived_chats(None, ["numbers"], held_out=(), rows=10**9)
    assert len(list(itertools.islice(endless, 5))) == 5


# What is asked of finished models


def test_no_request_asks_what_the_frozen_prompts_ask():
    prompts = frozen_prompts()
    assert len(prompts) > 200
    words = {" ".join(prompt.lower().split()).strip(".?!") for prompt in prompts}
    excluded = HeldOut(prompts)
    rows = rows_of(WITHOUT_FILES, held_out=prompts, rows=4000)
    for row in rows:
        for message in row["messages"]:
            if message["role"] == "user":
                assert message["content"] not in excluded
                assert " ".join(message["content"].lower().split()).strip(".?!") not in words
    left_in = rows_of(WITHOUT_FILES, rows=4000)
    assert any(asked(row) in excluded for row in left_in), "the check has nothing to find"


def test_no_answer_is_one_that_a_frozen_prompt_wants_word_for_word():
    wanted = [
        value
        for row in read_prompts("strict")["instructions"]
        for check in row.check
        if check["kind"] in ("exact", "items_are")
        for value in ([check["value"]] if isinstance(check["value"], str) else [" ".join(map(str, check["value"]))])
    ]
    sentences = {" ".join(value.lower().split()) for value in wanted if len(value.split()) > 1}
    assert sentences
    for row in rows_of(WITHOUT_FILES, held_out=frozen_prompts(), rows=4000):
        assert " ".join(told(row).lower().replace(",", "").split()) not in sentences, row


@pytest.mark.parametrize(
    "request_",
    [
        "What is the capital city of Chile?",
        "what is the capital city of chile",
        "Tell me the capital of Chile.",
        "Please add 13 and 8",
        "How much is thirteen plus eight?",
        "What is 8 + 13?",
        "List three kinds of boats, please.",
        "Can you name 3 kinds of boats?",
    ],
)
def test_paraphrases_of_held_out_prompts_are_recognised(request_):
    assert request_ in HeldOut(["What is the capital city of Chile?", "What is 13 + 8?", "Name three kinds of boats."])


@pytest.mark.parametrize(
    "request_",
    [
        "What is the capital of Peru?",
        "What is 13 + 9?",
        "What is 13 - 8?",
        "Name four kinds of boats.",
        "What is your name?",
        "Tell me about boats.",
    ],
)
def test_other_requests_are_not_held_out(request_):
    assert request_ not in HeldOut(
        ["What is the capital city of Chile?", "What is 13 + 8?", "Name three kinds of boats."]
    )


def test_a_run_of_eight_words_of_a_held_out_prompt_is_recognised():
    prompt = "Far away in the hills a very small house was burning all night."
    assert "Continue: in the hills a very small house was" in HeldOut([prompt])
    assert "Continue: in the hills a small house" not in HeldOut([prompt])


# Errors


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"kinds": ["number"]}, ValueError, r"no kind of chats 'number'; did you mean numbers\?"),
        ({"kinds": ["xyz"]}, ValueError, "no kind of chats 'xyz'; there are definitions"),
        ({"kinds": []}, ValueError, "no kind of chats is named"),
        ({"kinds": ["facts", "facts"]}, ValueError, "'facts' is named twice"),
        ({"kinds": ["facts"], "rows": 0}, ValueError, "rows=0 must be"),
        ({"kinds": ["stories"]}, ValueError, "the kinds stories are made from text"),
    ],
)
def test_bad_input_is_refused_with_its_value(options, error, message):
    with pytest.raises(error, match=message):
        derived_chats(None, **{"held_out": (), **options})


def test_a_missing_folder_or_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: there is no such folder"):
        derived_chats(tmp_path / "nowhere", ["stories"], held_out=())
    (tmp_path / "other.jsonl").write_text('{"text": "a"}\n', "utf-8")
    with pytest.raises(FileNotFoundError, match=r"'stories' needs storybooks_ccby.jsonl .* there are other"):
        derived_chats(tmp_path, ["stories"], held_out=())


def test_rows_without_text_and_files_without_sentences_are_named(tmp_path):
    (tmp_path / "storybooks_ccby.jsonl").write_text('{"body": "a"}\n', "utf-8")
    (tmp_path / "wikisplit_sentences.jsonl").write_text('{"text": "none."}\n', "utf-8")
    with pytest.raises(ValueError, match=r"storybooks_ccby.jsonl, line 1: there is no text under 'text'; .* are body"):
        rows_of(["stories"], tmp_path)
    (tmp_path / "storybooks_ccby.jsonl").write_text('{"text": "none"}\n', "utf-8")
    with pytest.raises(ValueError, match="'rewriting' found no usable sentence in storybooks_ccby"):
        rows_of(["rewriting"], tmp_path)


# With the rest of the house, and on real text


def test_curation_keeps_nearly_all_of_them(folder, tmp_path):
    path = tmp_path / "chats.jsonl"
    from brandon_hf.data.derived import write_rows

    write_rows(derived_chats(folder, held_out=frozen_prompts(), rows=1500), path)
    chats = load_chats(str(path))
    kept, report = curate(chats)
    assert len(kept) > 0.97 * len(chats), report.dropped


@pytest.mark.skipif(not (SHARED / "pretrain").is_dir(), reason="the real text is not here")
@pytest.mark.slow
def test_real_text_gives_varied_short_chats():
    rows = rows_of(["stories", "definitions"], SHARED / "pretrain", held_out=frozen_prompts(), rows=1500)
    counts = Counter(row["kind"] for row in rows)
    assert counts["stories"] > 500
    assert counts["definitions"] > 500
    assert len({asked(row) for row in rows}) > 1300
    assert max(sum(len(message["content"].split()) for message in row["messages"]) for row in rows) < 230


def test_licences_stand_in_the_manifest(folder, tmp_path):
    from brandon_hf.data.derived import write_manifest

    report = {}
    rows_of(["stories", "facts"], folder, rows=30, report=report)
    write_manifest(tmp_path / "m.yaml", KINDS, report, seed=3)
    manifest = yaml.safe_load((tmp_path / "m.yaml").read_text("utf-8"))
    assert manifest["seed"] == 3
    assert manifest["kinds"]["stories"]["licence"].startswith("as stated for files of these names: CC BY 4.0")
    assert manifest["kinds"]["facts"]["licence"] == "Apache-2.0 (this package)"
    size = (folder / "storybooks_ccby.jsonl.gz").stat().st_size
    assert manifest["kinds"]["stories"]["files"] == {"storybooks_ccby.jsonl.gz": size}
    assert manifest["kinds"]["facts"]["files"] == {}
    assert manifest["rows"] == sum(kind["rows"] for kind in manifest["kinds"].values())
