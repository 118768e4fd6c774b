"""Sources of pretraining text: local files, data sets of the Hub, presets; what is wrong with them is said at once."""

import gzip
import itertools
import json
import lzma
import random
import sys
from collections import Counter
from types import ModuleType

import pyarrow
import pyarrow.parquet
import pytest

from brandon_hf.data import Source, sources
from brandon_hf.data.presets import presets
from brandon_hf.data.readers import TEXT_PIECE, files_of, mixed_records, read_records

TEXTS = ["The sea is wide.", "Ünïcode — 雪\n\nand a second paragraph", "third"]


def compressed(data, ending):
    if ending == ".gz":
        return gzip.compress(data, mtime=0)  # the same name of a test in every process
    if ending == ".xz":
        return lzma.compress(data)
    if ending == ".zst":
        return pyarrow.Codec("zstd").compress(data, asbytes=True)
    return data


def jsonl(texts, **more):
    return "".join(json.dumps({"text": text} | more) + "\n" for text in texts).encode()


def parquet(texts):
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.table({"text": texts}), sink)
    return sink.getvalue().to_pybytes()


def texts_of(source, seed=0):
    return [document.text for document in source.documents(seed) if document is not None]


@pytest.mark.parametrize("ending", ["", ".gz", ".xz", ".zst"])
@pytest.mark.parametrize("kind", [".txt", ".jsonl", ".json", ".parquet"])
def test_every_format_gives_the_same_documents(tmp_path, kind, ending):
    data = {
        ".txt": "\n<|endoftext|>\n".join(TEXTS).encode(),
        ".jsonl": jsonl(TEXTS),
        ".json": json.dumps([{"text": text} for text in TEXTS]).encode(),
        ".parquet": parquet(TEXTS),
    }[kind]
    file = tmp_path / f"data{kind}{ending}"
    file.write_bytes(compressed(data, ending))
    source = Source(path=str(file))
    source.check()
    assert sorted(texts_of(source)) == sorted(TEXTS)


def test_text_without_separators_is_cut_at_paragraph_ends(tmp_path):
    paragraphs = [f"Paragraph {number}. " + "word " * 900 for number in range(60)]
    (tmp_path / "book.txt").write_text("\r\n\r\n".join(paragraphs), "utf-8", newline="")
    pieces = [record["text"] for _, record in read_records(tmp_path / "book.txt", "text")]
    assert len(pieces) > 2
    assert all(TEXT_PIECE / 2 < len(piece) <= TEXT_PIECE for piece in pieces[:-1])
    assert "\n\n".join(pieces) == "\n\n".join(paragraphs)


def test_a_long_line_without_end_is_cut_too(tmp_path):
    (tmp_path / "line.txt").write_text("é" * (3 * TEXT_PIECE), "utf-8")
    pieces = [record["text"] for _, record in read_records(tmp_path / "line.txt", "text")]
    assert max(map(len, pieces)) <= TEXT_PIECE
    assert "".join(pieces) == "é" * (3 * TEXT_PIECE)


def test_a_separator_inside_a_line_separates_nothing(tmp_path):
    (tmp_path / "a.txt").write_text("It says <|endoftext|>\nhere.\n<|endoftext|>\nSecond.", "utf-8")
    assert sorted(texts_of(Source(path=str(tmp_path)))) == ["It says <|endoftext|>\nhere.", "Second."]


GOOD = jsonl(TEXTS * 40, noise=[str(random.Random(0).random()) for _ in range(40)])


@pytest.mark.parametrize(
    ("name", "data", "found"),
    [
        ("a.jsonl.gz", compressed(GOOD, ".gz")[:-100], "a.jsonl.gz: corrupt or cut off"),
        ("a.jsonl.xz", compressed(GOOD, ".xz")[:-100], "a.jsonl.xz: corrupt or cut off"),
        ("a.jsonl.zst", compressed(GOOD, ".zst")[:-40], "a.jsonl.zst: .*[Tt]runcated"),
        ("a.jsonl.gz", GOOD, "a.jsonl.gz: cannot be read: Not a gzipped file"),
        ("a.jsonl.xz", GOOD, "a.jsonl.xz: corrupt or cut off: .*format"),
        ("a.jsonl.gz", compressed(b"", ".gz"), "a.jsonl.gz: the file is empty"),
        ("a.parquet", parquet(TEXTS)[:-10], "a.parquet: corrupt or cut off"),
        ("a.parquet", parquet([]), "a.parquet: the file is empty"),
        ("a.jsonl", b"", "a.jsonl: the file is empty"),
        ("a.txt", b"\n \n", "a.txt: the file is empty"),
        ("a.jsonl", jsonl(TEXTS) + b'{"text": "cut', "a.jsonl, line 4: not valid JSON .*cut"),
        ("a.jsonl", b"[1]\n", r"a.jsonl, line 1: found \[1\], not an object"),
        ("a.json", b'{"text": "one"}', "a.json: found .*not a JSON list"),
        ("a.jsonl", jsonl(TEXTS) + b'{"text": "\xff"}\n', "a.jsonl, line 4: not valid UTF-8 .byte ff"),
        ("a.txt", b"fine\nfine\n\xe4 Latin 1\n", "a.txt, line 3: not valid UTF-8 .byte e4"),
        ("a.jsonl", b'{"story": "x", "id": 1}\n', "a.jsonl, line 1: there is no column 'text'; .* 'story', 'id'"),
        ("a.jsonl", jsonl(TEXTS) + b'{"story": "x"}\n', "a.jsonl, line 4: there is no column 'text'"),
        ("a.jsonl", b'{"text": 7}\n', "a.jsonl, line 1: column 'text' holds int 7, not text"),
        ("a.jsonl", b'{"text": "\\ud800"}\n', "a.jsonl, line 1: .*U.D800"),
    ],
)
def test_bad_files_are_named_with_line_and_finding(tmp_path, name, data, found):
    (tmp_path / name).write_bytes(data)
    with pytest.raises((OSError, ValueError), match=found):
        texts_of(Source(path=str(tmp_path)))


def test_check_reads_the_first_record_of_every_file(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.jsonl").write_bytes(jsonl(TEXTS))
    source = Source(path=str(tmp_path))
    source.check()
    (tmp_path / "2.jsonl").write_bytes(b'{"body": "x"}\n')
    with pytest.raises(ValueError, match=r"2.jsonl, line 1: there is no column 'text'; the columns are 'body'"):
        source.check()


def test_check_looks_for_the_columns_of_filters(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(jsonl(TEXTS, lang="en"))
    Source(path=str(tmp_path), filters={"lang": "en"}).check()
    with pytest.raises(ValueError, match="no column 'language'; the columns are 'text', 'lang'"):
        Source(path=str(tmp_path), filters={"language": "en"}).check()


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda folder: None, "no such file or folder"),
        (lambda folder: folder.mkdir(), "holds no file to read"),
        (lambda folder: (folder.mkdir(), (folder / "a.csv").write_text("text")), "holds no file to read"),
    ],
)
def test_a_path_without_files_is_refused(tmp_path, make, found):
    make(tmp_path / "corpus")
    with pytest.raises((OSError, ValueError), match=found):
        files_of(str(tmp_path / "corpus"))


def test_a_single_file_of_another_format_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("text")
    with pytest.raises(ValueError, match=r"a.csv: unknown kind of file; readable are .txt"):
        files_of(str(tmp_path / "a.csv"))


def test_folders_and_globs_find_files_below_and_no_hidden_ones(tmp_path):
    (tmp_path / "below").mkdir()
    for name in ("b.jsonl", "below/a.txt.gz", ".hidden.jsonl", "README.md"):
        (tmp_path / name).write_text("x")
    assert [file.name for file in files_of(str(tmp_path))] == ["b.jsonl", "a.txt.gz"]
    assert [file.name for file in files_of(str(tmp_path / "**" / "*.gz"))] == ["a.txt.gz"]


def test_a_folder_is_mixed_in_proportion_to_file_sizes_from_the_start(tmp_path):
    # Equal bytes in short and in long documents, and a third file with half as many.
    for name, count, length in (("short", 4000, 100), ("long", 200, 2000), ("half", 100, 2000)):
        (tmp_path / f"{name}.jsonl").write_bytes(jsonl(name[0] * length for _ in range(count)))
    shares = Counter()
    for _, record in mixed_records(files_of(str(tmp_path)), "text", random.Random(0)):
        shares[record["text"][0]] += len(record["text"])
        if shares.total() > 300_000:
            break
    assert shares["s"] / shares.total() == pytest.approx(0.4, abs=0.06)
    assert shares["l"] / shares.total() == pytest.approx(0.4, abs=0.06)
    assert shares["h"] / shares.total() == pytest.approx(0.2, abs=0.06)


def test_more_files_than_are_open_at_once_are_all_read(tmp_path):
    texts = [f"file {number} record {record}" for number in range(80) for record in range(3)]
    for number in range(80):
        (tmp_path / f"{number}.jsonl").write_bytes(jsonl(texts[3 * number : 3 * number + 3]))
    assert Counter(texts_of(Source(path=str(tmp_path)))) == Counter(texts)


def test_what_is_not_needed_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_BUFFER_DOCUMENTS", 10)
    (tmp_path / "a.jsonl").write_bytes(jsonl(f"document {number}" for number in range(100)) + b"broken")
    documents = Source(path=str(tmp_path)).documents(0)
    assert len(list(itertools.islice(documents, 50))) == 50
    with pytest.raises(ValueError, match="line 101"):
        list(documents)


def test_the_order_is_random_and_repeatable(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_BUFFER_DOCUMENTS", 50)
    texts = [f"document {number}" for number in range(300)]
    (tmp_path / "a.jsonl").write_bytes(jsonl(texts))
    source = Source(path=str(tmp_path))
    first = texts_of(source, seed=1)
    assert sorted(first) == sorted(texts)
    numbers = [int(text.split()[1]) for text in first]
    assert 0.4 < sum(a < b for a, b in itertools.pairwise(numbers)) / len(numbers) < 0.6
    assert texts_of(source, seed=1) == first
    assert texts_of(source, seed=2) != first


@pytest.mark.parametrize(
    ("options", "passing"),
    [
        ({"filters": {"lang": "en"}}, {"a", "bb"}),
        ({"filters": {"lang": ["en", "fr"]}}, {"a", "bb", "cccc"}),
        ({"filters": {"score": {"min": 2}}}, {"bb", "cccc"}),
        ({"filters": {"score": {"min": 2, "max": 2.5}, "lang": "en"}}, {"bb"}),
        ({"min_characters": 2}, {"bb", "cccc", "ddddd"}),
        ({"min_characters": 2, "max_characters": 4}, {"bb", "cccc"}),
    ],
)
def test_filters_let_only_what_matches_pass(tmp_path, options, passing):
    records = [
        ("a", "en", 1),
        ("bb", "en", 2),
        ("cccc", "fr", 3),
        ("ddddd", "de", None),
        ("  ", "en", 2),
        (None, "en", 2),
    ]
    lines = (json.dumps({"text": text, "lang": lang, "score": score}) for text, lang, score in records)
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    source = Source(path=str(tmp_path), **options)
    assert set(texts_of(source)) == passing
    assert sum(document is None for document in source.documents(0)) == len(records) - len(passing)


def test_typographic_quotes_become_straight_only_on_request(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(jsonl(["\u201cIt\u2019s \u2018me\u2019,\u201d she said \u2014 \u00e9."]))
    assert texts_of(Source(path=str(tmp_path))) == ["\u201cIt\u2019s \u2018me\u2019,\u201d she said \u2014 \u00e9."]
    straight = "\"It's 'me',\" she said \u2014 \u00e9."
    assert texts_of(Source(path=str(tmp_path), straight_quotes=True)) == [straight]
    with pytest.raises(ValueError, match="straight_quotes=1 must be true or false"):
        Source(path="x", straight_quotes=1)


def test_a_comparison_of_text_with_a_number_is_an_error(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(jsonl(TEXTS, score="high"))
    with pytest.raises(ValueError, match=r"a.jsonl, line 1: score='high' cannot be compared with {'min': 2}"):
        texts_of(Source(path=str(tmp_path), filters={"score": {"min": 2}}))


def test_a_recipe_names_a_path_a_preset_or_the_synthetic_corpus(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tinystories").mkdir()  # what exists goes before a preset of the same name
    (tmp_path / "a.txt").write_text("x")
    assert Source.from_recipe("tinystories") == [Source(path="tinystories")]
    assert Source.from_recipe("*.txt") == [Source(path="*.txt")]
    assert Source.from_recipe("synthetic") == [Source(builtin="synthetic")]
    assert [source.hub for source in Source.from_recipe("simplestories")] == ["SimpleStories/SimpleStories"]
    assert Source.from_recipe("simplestories")[0].text_column == "story"
    several = Source.from_recipe(["a.txt", {"path": "a.txt", "weight": 2}])
    assert several == [Source(path="a.txt"), Source(path="a.txt", weight=2)]


def test_the_sources_of_a_preset_share_its_weight():
    mixture = Source.from_recipe({"preset": "brandon-pretrain", "weight": 2})
    assert [source.hub or source.builtin for source in mixture] == [
        "wikimedia/wikipedia",
        "HuggingFaceTB/smollm-corpus",
        "synthetic",
    ]
    assert [source.weight for source in mixture] == pytest.approx([0.8, 0.6, 0.6])


@pytest.mark.parametrize(
    ("recipe", "found"),
    [
        ("no-such-thing", "'no-such-thing' is no existing file, folder or glob .*no preset .*tinystories"),
        ({"path": "x", "wieght": 2}, "unknown key 'wieght'; did you mean weight"),
        ({"path": "x", "hub": "y"}, "exactly one of path, hub and builtin; found path and hub"),
        ({"weight": 2}, "found none of them"),
        ({"preset": "tinystorys"}, "no preset 'tinystorys'; choose one of .*tinystories"),
        ({"preset": "tinystories", "split": "x"}, "beside preset stands only weight, not split"),
        ({"path": "x", "weight": 0}, "weight=0 must be a positive number"),
        ({"path": "x", "weight": "much"}, "weight='much' must be a number"),
        ({"preset": "tinystories", "weight": "much"}, "weight='much' must be a number"),
        ({"builtin": "imagined"}, "no builtin 'imagined'; there is synthetic"),
        ({"path": "x", "filters": {"score": {"least": 3}}}, "filter 'score': .* must have the keys min, max or both"),
        ({"path": "x", "min_characters": 9, "max_characters": 3}, "no document passes min_characters=9"),
        ([], "the list of sources is empty"),
        (7, "not 7"),
    ],
)
def test_a_wrong_recipe_is_refused_with_what_would_be_right(recipe, found):
    with pytest.raises(ValueError, match=found):
        Source.from_recipe(recipe)


@pytest.mark.parametrize("name", presets("pretrain"))
def test_every_preset_reads_columns_its_schema_has(name):
    about = presets("pretrain")[name]["sources"]
    for source, schema in zip(Source.from_recipe({"preset": name}), about, strict=True):
        assert source.builtin or {source.text_column, *source.filters} <= set(schema["columns"])


def test_a_hub_data_set_is_streamed(tmp_path):
    # load_dataset takes a folder in place of a name on the Hub and streams it the same way.
    (tmp_path / "train.parquet").write_bytes(parquet(TEXTS))
    source = Source(hub=str(tmp_path))
    source.check()
    assert sorted(texts_of(source)) == sorted(TEXTS)


def test_a_hub_data_set_without_the_column_or_split_is_refused(tmp_path):
    (tmp_path / "train.parquet").write_bytes(parquet(TEXTS))
    with pytest.raises(ValueError, match="row 1: there is no column 'story'; the columns are 'text'"):
        Source(hub=str(tmp_path), text_column="story").check()
    with pytest.raises(ValueError, match=r"cannot be read from the Hub: .*validation"):
        Source(hub=str(tmp_path), split="validation").check()
    with pytest.raises(OSError, match="source nobody/nothing-here: the data set cannot be read from the Hub"):
        Source(hub="nobody/nothing-here").check()


def test_the_synthetic_corpus_is_read_with_its_seed(monkeypatch):
    generator = ModuleType("brandon_hf.data.synthetic")
    generator.documents = lambda seed: (f"seed {seed}, document {number}" for number in range(3))
    monkeypatch.setitem(sys.modules, "brandon_hf.data.synthetic", generator)
    assert sorted(texts_of(Source(builtin="synthetic", seed=5))) == [
        f"seed 5, document {number}" for number in range(3)
    ]


def test_a_folder_leaves_out_the_test_split_beside_its_training_split(tmp_path):
    for name in ("sums_train.jsonl", "sums_test.jsonl", "valid_test.jsonl", "other.jsonl"):
        (tmp_path / name).write_text('{"text": "some text"}\n')
    assert [file.name for file in files_of(str(tmp_path))] == ["other.jsonl", "sums_train.jsonl", "valid_test.jsonl"]
    assert [file.name for file in files_of(str(tmp_path / "sums_test.jsonl"))] == ["sums_test.jsonl"]
