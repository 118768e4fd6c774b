"""Blobs in `brandon chat`, `brandon eval` and lm-eval: what they say and score is what the model folder does."""

import hashlib
import importlib.util
import io
import json
import types

import numpy as np
import pytest
import torch
from peers import CHATS, learn_by_heart, tiny_model, tiny_tokenizer

pytest.importorskip("gguf", reason="needs the export extra")
pytest.importorskip("lm_eval", reason="needs the eval extra")
if importlib.util.find_spec("brandon_hf.runtime._engine") is None:
    pytest.skip("the engine was not built: no C compiler at installation", allow_module_level=True)

from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.api.registry import get_model
from lm_eval.tasks import TaskManager
from tiny_benchmarks import outcomes, results, write_data
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from brandon_hf.cli import chat, main
from brandon_hf.evaluation import serving
from brandon_hf.evaluation.benchmarks import write_tasks
from brandon_hf.evaluation.engine_model import EngineModel, GeneratingEngine
from brandon_hf.evaluation.scoring import ScoringModel
from brandon_hf.evaluation.serving import ENGINES, Source, Unsupported, measure, time_engine
from brandon_hf.evaluation.writing import write
from brandon_hf.export import import_blob, write_blob
from brandon_hf.export.blob import write_model
from brandon_hf.runtime import Engine

SKY = "What colour is the sky?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model that has learned the chats by heart."""
    folder = tmp_path_factory.mktemp("engine") / "brandon"
    tokenizer = tiny_tokenizer()
    learn_by_heart(tiny_model(tokenizer), tokenizer, CHATS, steps=80).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)  # the other one has learned to pad
    return folder


@pytest.fixture(scope="module")
def blob(folder):
    write_blob(folder, folder.parent / "model.gguf")
    return folder.parent / "model.gguf"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def typed(blob, monkeypatch, capsys):
    """Runs `brandon chat` on the blob with lines from a pipe; returns status, stdout and stderr."""

    def run(*lines, options=("--greedy",), model=blob):
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        status = main(["chat", str(model), *options])
        out, err = capsys.readouterr()
        return status, out.strip().splitlines(), err.strip().splitlines()

    return run


# --- brandon chat -----------------------------------------------------------------------------------------------------


def test_each_line_is_a_turn_of_one_chat_and_reset_forgets_it(typed):
    status, out, _ = typed(SKY, "", "And grass?", options=("--greedy", "--system", "Be brief."))
    assert (status, out) == (0, ["The sky is blue.", "Grass is green."])
    assert typed("x", options=("--greedy", "--prompt", "Name a fruit."))[:2] == (0, ["An apple is a fruit."])
    status, out, err = typed("/reset", "/shout", "Say hello.", "/exit", "a")
    assert (status, out) == (2, ["Hello! How are you?"])
    assert "there is no command /shout" in err[-1]


def test_sampling_is_that_of_transformers_by_default_and_seeds_repeat_it(typed, blob):
    def options(*arguments):
        parser = __import__("argparse").ArgumentParser()
        chat.add_arguments(parser)
        given = chat.sampling_options(parser.parse_args(["model", *arguments]))
        return chat.EngineChat(Engine(blob), given, 9, None, 0).options

    assert options() == {"temperature": 0.7, "top_k": 50, "repetition_penalty": 1.0}
    assert options("--top-k", "5", "--top-p", "0.5")["top_k"] == 5
    assert options("--greedy")["temperature"] == 0
    hot = ("--temperature", "5", "--max-new-tokens", "20", "--prompt", "Name a fruit.", "--seed")
    once, again, other = (typed(options=(*hot, seed))[1] for seed in "112")
    assert once == again != other


def test_oldest_exchanges_leave_a_full_context(blob, capsys):
    engine = Engine(blob, context=150)
    conversation = chat.EngineChat(engine, {"do_sample": False}, 30, "Be brief.", None)
    sent = []
    engine.generate = lambda messages, **options: sent.append(messages) or iter(["a\x1b[31mb\x9b"])
    for number in range(8):
        conversation.answer(f"{SKY} {number}")
    assert sent[-1][0] == {"role": "system", "content": "Be brief."}
    assert sent[-1][-1] == {"role": "user", "content": f"{SKY} 7"}
    assert len(sent[-1]) < 15
    assert conversation.messages[-1]["content"] == "a[31mb"
    out, err = capsys.readouterr()
    assert out == "a[31mb\n" * 8
    assert err.count("forgotten") == 1
    with pytest.raises(ValueError, match="120 fit beside an answer of 30"):
        conversation.answer("why " * 150)


def test_interrupt_ends_an_answer_and_keeps_what_was_said(blob, capsys):
    conversation = chat.EngineChat(Engine(blob), {"do_sample": False}, 30, None, None)
    generate = conversation.engine.generate

    def interrupted(*args, **options):
        for number, piece in enumerate(generate(*args, **options)):
            if number == 6:
                raise KeyboardInterrupt
            yield piece

    conversation.engine.generate = interrupted
    conversation.answer("Name a fruit.")
    said = conversation.messages[-1]["content"]
    assert said
    assert "An apple is a fruit.".startswith(said)
    assert capsys.readouterr().out == said + "\n"
    conversation.engine.generate = generate
    conversation.messages = []
    conversation.answer("Say hello.")
    assert capsys.readouterr().out == "Hello! How are you?\n"


def test_wrong_files_and_options_are_one_line(typed, folder, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("no blob")
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = None
    write_model(tiny_model(tokenizer), tokenizer, tmp_path / "mute.gguf")
    for model, options, said in (
        (text, ["--greedy"], "text.txt: this is no GGUF file"),
        (tmp_path / "mute.gguf", ["--greedy"], "mute.gguf has no chat format"),
        (None, ["--max-new-tokens", "256"], "--max-new-tokens 256 must leave room in the context of 256 tokens"),
        (None, ["--top-p", "1.5"], "--top-p 1.5"),
    ):
        status, out, err = typed("hello", options=options, **({} if model is None else {"model": model}))
        assert (status, out, len(err)) == (2, [], 1)
        assert said in err[0]


# --- scoring ----------------------------------------------------------------------------------------------------------


def test_scores_are_those_of_the_logits_and_texts_that_are_too_long_lose_their_beginning(blob):
    model, fresh = EngineModel(str(blob), context=24), Engine(blob, context=24)
    ids = model.encode(" ".join(message["content"] for chat_ in CHATS for message in chat_))[:40]
    assert len(ids) == 40
    # what is asked for, and what of it is read
    pairs = [
        ((ids[:6], ids[6:9]), (ids[:6], ids[6:9])),
        ((ids[:6], ids[20:22]), (ids[:6], ids[20:22])),
        ((ids[:6], ids[6:9]), (ids[:6], ids[6:9])),
        ((ids[:24], ids[24:25]), (ids[:24], ids[24:25])),
        ((ids[:30], ids[30:33]), (ids[8:30], ids[30:33])),
        ((ids[:1], ids[1:]), (ids[:1], ids[16:])),
    ]
    for (_, (context, target)), (score, greedy) in zip(pairs, model.score([asked for asked, _ in pairs]), strict=True):
        rows = [torch.tensor(fresh.logits([*context, *target[:at]])).log_softmax(-1) for at in range(len(target))]
        assert score == pytest.approx(sum(float(row[one]) for row, one in zip(rows, target, strict=True)), abs=1e-3)
        assert greedy == all(int(row.argmax()) == one for row, one in zip(rows, target, strict=True))
    assert model._cut == [False] * 4 + [True] * 2


def test_scores_are_near_those_of_the_dequantised_folder(blob, tmp_path):
    import_blob(blob, tmp_path / "back")
    ours, theirs = EngineModel(str(blob)), ScoringModel(str(tmp_path / "back"))
    for name in ("prefix_token_id", "eot_token_id", "max_length"):
        assert getattr(ours, name) == getattr(theirs, name)
    texts = ["The sky is blue.", "What is two and two?", "<|bos|>It is four.", ""]
    for text in texts:
        for specials in (None, True, False):
            assert ours.tok_encode(text, specials) == theirs.tok_encode(text, specials)
    requests = [request("loglikelihood", pair) for pair in ((SKY, " The sky"), ("", "Grass is green."), ("a", "b"))]
    for mine, other in zip(ours.loglikelihood(requests), theirs.loglikelihood(requests), strict=True):
        assert mine[0] == pytest.approx(other[0], rel=0.1, abs=0.5)
    requests = [request("loglikelihood_rolling", (text * 20,)) for text in texts[:2]]
    windows = list(zip(ours.loglikelihood_rolling(requests), theirs.loglikelihood_rolling(requests), strict=True))
    for mine, other in windows:
        assert mine == pytest.approx(other, rel=0.05)


def request(kind, arguments):
    return Instance(request_type=kind, doc={}, arguments=arguments, idx=0, metadata=("task", 0, 1))


def test_a_context_that_continuations_share_is_computed_once(blob, monkeypatch):
    model = EngineModel(str(blob))
    read = []
    library = model.engine._library
    for name in ("bt_eval", "bt_score"):
        call = getattr(library, name)
        monkeypatch.setattr(library, name, lambda e, ids, n, *rest, call=call: read.append(n) or call(e, ids, n, *rest))
    context = list(range(5, 45))
    model.score([(context, [7, 8]), ([9, 9], [1]), (context, [50]), (context, [8, 9, 10])])
    assert sum(read) == 2 + 39 + 2 + 1 + 3  # the last token of a context again for each continuation


def test_texts_end_at_the_first_of_their_stop_sequences(blob):
    model = EngineModel(str(blob))
    prompt = model.engine.decode(model.engine.chat_ids(CHATS[1][:1]), specials=True)
    for options, expected in (
        ({"until": ["."]}, "An apple is a fruit"),
        ({"until": ["apple", "fruit"]}, "An "),
        ({"until": [], "max_gen_toks": 50}, "An apple is a fruit."),
        ({"until": [], "do_sample": False, "temperature": 1.0, "top_p": 0.5}, "An apple is a fruit."),
    ):
        assert model.generate_until([request("generate_until", (prompt, options))], True) == [expected]
    short = model.generate_until([request("generate_until", (prompt, {"until": [], "max_gen_toks": 3}))], True)[0]
    assert "An apple is a fruit.".startswith(short)
    assert len(short) < 15
    with pytest.raises(ValueError, match="no option num_beams"):
        model.generate_until([request("generate_until", (prompt, {"until": [], "num_beams": 2}))], True)


def test_lm_eval_knows_it_by_name(blob, data, tmp_path):
    assert get_model("brandon-engine") is EngineModel
    assert get_model("hf").__name__ == "HFLM"  # lm-eval's own are still there
    write_tasks(tmp_path, ["piqa"], data)
    found = simple_evaluate(
        "brandon-engine",
        model_args=f"pretrained={blob},kv=int8,kernel=portable",
        tasks=["piqa"],
        task_manager=TaskManager(include_path=str(tmp_path), include_defaults=False),
    )
    assert found["results"]["piqa"]["acc,none"] >= 0
    with pytest.raises(ValueError, match="runs on the CPU"):
        EngineModel(str(blob), device="cuda")


# --- brandon eval -----------------------------------------------------------------------------------------------------


def test_a_blob_is_evaluated_as_its_folder_is(blob, folder, data, tmp_path, capsys):
    arguments = ["--data", str(data), "--tasks", "arc_easy,lambada_openai,wikitext", "--output"]
    for model in (blob, folder):
        assert main(["eval", str(model), *arguments, str(tmp_path / model.name)]) == 0
    ours, theirs = (json.loads((tmp_path / model.name / "results.json").read_text()) for model in (blob, folder))
    about = ours["model"]
    assert about["weights_sha256"] == hashlib.sha256(blob.read_bytes()).hexdigest()
    assert about["size_bytes"] == blob.stat().st_size < theirs["model"]["size_bytes"]
    for same in ("parameters", "model_type", "context", "vocab_size", "tokenizer_sha256"):
        assert about[same] == theirs["model"][same], same
    assert ours["settings"]["dtype"] == "int8"
    assert ours["settings"]["engine"] == Engine(blob).info.kernel
    for same in ("prefix_token", "tokenizer_adds_bos", "bos", "seed"):
        assert ours["settings"][same] == theirs["settings"][same], same
    for task, metrics in theirs["results"].items():
        assert ours["results"][task].keys() == metrics.keys()
        for same in ("n", "truncated", "tokens", "bytes", "data_sha256"):
            assert ours["results"][task].get(same) == metrics.get(same), (task, same)
    close = {"rel": 0.02}
    assert ours["results"]["wikitext"]["bits_per_byte"] == pytest.approx(
        theirs["results"]["wikitext"]["bits_per_byte"], **close
    )
    before = (tmp_path / blob.name / "results.json").read_text()
    assert main(["eval", str(blob), *arguments, str(tmp_path / blob.name)]) == 0
    assert "was done before" in capsys.readouterr().err
    assert json.loads(before)["results"] == results(tmp_path / blob.name)


def test_other_protocols_go_through_the_engine_too(blob, data, tmp_path):
    options = ["--data", str(data), "--limit", "3", "--output", str(tmp_path)]
    assert main(["eval", str(blob), "--protocol", "original,stlm,strict,deycoding", *options]) == 0
    assert results(tmp_path / "original")["wikitext"]["n"] == 3
    assert results(tmp_path / "stlm")["arc_easy"]["n"] == 3
    assert results(tmp_path / "deycoding")["stories"]["tokens_per_second"] > 0
    lines = outcomes(tmp_path / "strict", "instructions")
    assert len(lines) == 3
    assert all(line["text"] for line in lines)


def test_generated_texts_are_those_of_the_folder(blob, folder):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    engine = GeneratingEngine(Engine(blob), model.config, model.generation_config.eos_token_id)
    prompts = [chat_[:-1] for chat_ in CHATS]
    ours, theirs = (
        write(one, tokenizer, prompts, max_new_tokens=20, log_probabilities=True) for one in (engine, model)
    )
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine.text, mine.ids, mine.stopped) == (other.text, other.ids, other.stopped)
        np.testing.assert_allclose(mine.log_probabilities, other.log_probabilities, atol=0.3)
    hot = {"max_new_tokens": 10, "do_sample": True, "temperature": 3.0, "top_k": 0, "top_p": 1.0}
    texts = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        texts.append([one.ids for one in write(engine, tokenizer, prompts[:2], batch_size=1, **hot)])
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--dtype", "float16"], "--dtype float16 is for model folders"),
        (["--device", "cuda"], "--device cuda is for model folders"),
        (["--batch-size", "4"], "--batch-size is for model folders"),
        (["--card"], "--card is made from the files of a model folder"),
    ],
)
def test_options_that_mean_nothing_for_a_blob_are_refused(blob, options, named, capsys):
    assert main(["eval", str(blob), *options]) == 2
    assert named in capsys.readouterr().err


# --- speed ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def here(monkeypatch):
    """Engines run in this process: a new one takes seconds to start."""

    class Pool:
        def __init__(self, *args):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *args):
            pass

        def submit(self, function, *args):
            return types.SimpleNamespace(result=lambda: function(*args))

    monkeypatch.setattr(serving, "ProcessPoolExecutor", Pool)


def test_the_engine_is_timed_with_a_blob_and_with_a_folder(blob, folder, here):
    for source in (blob, folder):
        figures = time_engine(ENGINES["c_engine"], Source(str(source), "float32", "cpu"), [1, 5, 6], 40, 1)
        assert 0 < figures["time_to_first_token"] < figures["latency"]
        assert figures["size_bytes"] == blob.stat().st_size
    found = measure(blob, tiny_tokenizer(), prompt_tokens=200, new_tokens=200, repeats=1)["serving"]
    assert found["prompt_tokens"] + found["new_tokens"] == 256
    assert found["engines"]["c_engine"]["tokens_per_second"] > 0
    assert {
        name: entry.get("skipped") for name, entry in found["engines"].items() if name != "c_engine"
    } == dict.fromkeys(("eager", "static_cache", "compiled", "mtp"), "a blob runs in the C engine alone")


def test_what_the_engine_cannot_run_is_skipped_with_the_reason(blob, here, tmp_path, monkeypatch):
    config = LlamaConfig(
        vocab_size=300, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    for source, said in (
        (Source(str(blob), "int8", "cuda"), "it runs on the CPU, not on cuda"),
        (Source(str(tmp_path), "float32", "cpu"), "model_type='llama'"),
        (Source(str(tmp_path / "config.json"), "float32", "cpu"), "no GGUF file"),
    ):
        with pytest.raises(Unsupported, match=said):
            ENGINES["c_engine"](source)
    monkeypatch.setattr(serving, "find_spec", lambda name: None)
    with pytest.raises(Unsupported, match="made with gguf: pip install"):
        ENGINES["c_engine"](Source(str(tmp_path), "float32", "cpu"))
