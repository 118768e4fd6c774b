"""Benchmarks on tiny files: the figures are lm-eval's, nothing is dropped, what is wrong is said before work starts."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

pytest.importorskip("lm_eval", reason="needs the eval extra")

from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from lm_eval.tasks.wikitext.preprocess_wikitext import wikitext_detokenizer
from peers import tiny_model, tiny_tokenizer
from tiny_benchmarks import NOUNS, ROWS, SEVEN, outcomes, results, write_data, write_llama, write_rows

from brandon_hf.cli import main
from brandon_hf.environment import environment
from brandon_hf.evaluation.benchmarks import BENCHMARKS, tasks_of, write_tasks
from brandon_hf.evaluation.evaluate import Settings, evaluate_model
from brandon_hf.evaluation.scoring import ScoringModel

PERPLEXITIES = ("perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def llama(tmp_path_factory) -> Path:
    return write_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def brandon(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("brandon")
    tokenizer = tiny_tokenizer()
    tiny_model(tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def standard(llama, data, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("standard")
    evaluate_model(str(llama), output, data=data)
    return output


# Protocol standard


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_figures_are_those_of_lm_eval_called_directly(llama, data, tmp_path, dtype):
    evaluate_model(str(llama), tmp_path / "out", data=data, settings=Settings(dtype=dtype, batch_size=3))
    tasks = [task for some in tasks_of(SEVEN, data).values() for task in some]
    write_tasks(tmp_path / "tasks", tasks, data)
    direct = simple_evaluate(
        HFLM(str(llama), device="cpu", dtype=dtype, batch_size=3, softmax_dtype="float32", logits_cache=False),
        tasks=tasks,
        task_manager=TaskManager(include_path=str(tmp_path / "tasks"), include_defaults=False),
        bootstrap_iters=10,
    )["results"]
    ours = results(tmp_path / "out")
    close = 1e-6 if dtype == "float32" else 1e-2  # in bfloat16, who shares a batch shows in a score
    for task in tasks:
        for metric in ("acc", "acc_stderr", "acc_norm", "acc_norm_stderr", *PERPLEXITIES):
            assert (metric in ours[task]) == (f"{metric},none" in direct[task]), (task, metric)
            if metric in ours[task]:
                assert ours[task][metric] == pytest.approx(direct[task][f"{metric},none"], rel=close), (task, metric)


def call_counter(call, shapes):
    """`call`, noting the shape of its first argument."""

    def counting(inputs, *args, **kwargs):
        shapes.append(tuple(inputs.shape))
        return call(inputs, *args, **kwargs)

    return counting


def save_other(folder, kind):
    """A model that keeps no keys and values, or those of its last tokens only."""
    tokenizer = tiny_tokenizer()
    if kind == "mamba":
        model = MambaForCausalLM(MambaConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1))
    else:
        config = MistralConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=64,
            sliding_window=8,
        )
        model = MistralForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.model_max_length = 64
    tokenizer.save_pretrained(folder)
    return folder


def test_every_example_is_counted_and_has_an_outcome(standard):
    found = results(standard)
    sizes = {task: ours["n"] for task, ours in found.items()}
    assert sizes["blimp"] == len(ROWS["blimp"]) == sum(n for task, n in sizes.items() if task.startswith("blimp_"))
    for task in ("hellaswag", "arc_easy", "piqa", "winogrande"):
        lines = outcomes(standard, task)
        assert len(lines) == sizes[task] == len(NOUNS)
        assert found[task]["acc"] == pytest.approx(sum(line["acc"] for line in lines) / len(lines))
    assert sizes["wikitext"] == 3


def test_blimp_is_the_mean_of_its_paradigms_with_their_errors(standard):
    found = results(standard)
    parts = [ours for task, ours in found.items() if task.startswith("blimp_")]
    assert len(parts) == found["blimp"]["parts"] == 3
    assert found["blimp"]["acc"] == pytest.approx(sum(part["acc"] for part in parts) / 3)
    assert found["blimp"]["acc_stderr"] == pytest.approx(math.sqrt(sum(part["acc_stderr"] ** 2 for part in parts)) / 3)


def test_wikitext_is_given_per_token_too(standard, llama):
    tokenizer = AutoTokenizer.from_pretrained(llama)
    wikitext = results(standard)["wikitext"]
    nats = wikitext["bits_per_byte"] * math.log(2) * wikitext["bytes"]
    assert wikitext["token_perplexity"] == pytest.approx(math.exp(nats / wikitext["tokens"]))
    text = wikitext_detokenizer(ROWS["wikitext2_document_level_test"][0])
    assert outcomes(standard, "wikitext")[0]["tokens"] == len(tokenizer(text)["input_ids"])


@pytest.mark.parametrize("bos", [True, False])
def test_the_bos_setting_is_lm_evals(llama, data, tmp_path, bos):
    evaluate_model(str(llama), tmp_path / "ours", tasks=["lambada_openai"], data=data, settings=Settings(bos=bos))
    write_tasks(tmp_path / "tasks", ["lambada_openai"], data)
    direct = simple_evaluate(
        HFLM(str(llama), device="cpu", dtype="float32", add_bos_token=bos),
        tasks=["lambada_openai"],
        task_manager=TaskManager(include_path=str(tmp_path / "tasks"), include_defaults=False),
        bootstrap_iters=0,
    )["results"]["lambada_openai"]
    assert results(tmp_path / "ours")["lambada_openai"]["perplexity"] == pytest.approx(direct["perplexity,none"], 1e-6)
    assert json.loads((tmp_path / "ours/results.json").read_text())["settings"]["bos"] is bos


def test_a_model_of_ours_is_scored_as_its_forward_pass_says(brandon, data, tmp_path):
    evaluate_model(str(brandon), tmp_path, tasks=["blimp_causative"], data=data)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(brandon), AutoTokenizer.from_pretrained(brandon)
    rows = [row for row in ROWS["blimp"] if row["UID"] == "causative"]
    for row, line in zip(rows, outcomes(tmp_path, "blimp_causative"), strict=True):
        for sentence, score in zip((row["sentence_good"], row["sentence_bad"]), line["loglikelihoods"], strict=True):
            # lm-eval puts a space before every answer, this one too.
            target = tokenizer(f" {sentence}", add_special_tokens=False)["input_ids"]
            ids = torch.tensor([[tokenizer.bos_token_id, *target]])
            logs = model(ids).logits.log_softmax(-1)[0, :-1].gather(1, ids[0, 1:, None])
            assert score == pytest.approx(float(logs.sum()), abs=1e-3)


def test_bfloat16_does_not_round_log_probabilities(llama):
    half = ScoringModel(str(llama), dtype="bfloat16")
    score, _ = half.score([([0], list(range(10, 40)))])[0]
    assert score != float(torch.tensor(score).bfloat16())


@pytest.mark.parametrize("kind", ["llama", "brandon", "mamba", "sliding"])
def test_a_context_is_read_once_for_all_its_continuations(kind, request, tmp_path, monkeypatch):
    """Where the model keeps keys and values of every token; the scores are those of one text at a time."""
    folder = request.getfixturevalue(kind) if kind in ("llama", "brandon") else save_other(tmp_path / kind, kind)
    pairs = [
        ([0, *range(5, 5 + length)], target) for length in (9, 14, 20, 0) for target in ([7], [8, 9, 10], [30, 31])
    ]
    pairs += [([0, *range(40, 52)], [9, 8]), ([0, *range(50, 50 + 60)], [3] * 4), ([0, *range(50, 50 + 60)], [4] * 9)]
    pairs[4:4] = [([0, *range(60, 69)], [6, 5, 4]), ([0, *range(60, 69)], [7])]
    plain = ScoringModel(str(folder), dtype="float32", batch_size=1).score(pairs)
    model = ScoringModel(str(folder), dtype="float32")
    shapes = []
    monkeypatch.setattr(model, "_model_call", call_counter(model._model_call, shapes))
    found = model.score(pairs)
    assert [score for score, _ in found] == pytest.approx([score for score, _ in plain], abs=1e-4)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in plain]
    alone = {"llama": 3, "brandon": 1}.get(kind, len(pairs))  # the context of the Llama is 64 tokens
    assert sum(rows for rows, _ in shapes) == alone, shapes
    monkeypatch.setattr(model.model, "forward", None)  # what was scored once is known
    assert model.score(pairs) == found


def test_examples_longer_than_the_context_are_cut_on_the_left_and_counted(llama, data, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    long = "The sky is blue and green. " * 40
    rows = [{"text": f"{long} it is blue"}, {"text": "The sky is blue"}, {"text": "it " + "blue" * 90}]
    write_rows(folder / "lambada_openai_test.jsonl", rows)
    evaluate_model(str(llama), tmp_path / "out", tasks=["lambada_openai"], data=folder)
    found = results(tmp_path / "out")["lambada_openai"]
    assert (found["n"], found["truncated"]) == (3, 2)
    scores = [line["loglikelihoods"][0] for line in outcomes(tmp_path / "out", "lambada_openai")]
    model, tokenizer = AutoModelForCausalLM.from_pretrained(llama), AutoTokenizer.from_pretrained(llama)
    ids = torch.tensor([tokenizer(rows[0]["text"])["input_ids"][-65:]])
    logs = model(ids[:, :-1]).logits.log_softmax(-1)[0, -1]
    last = tokenizer(" blue", add_special_tokens=False)["input_ids"]
    if len(last) == 1:
        assert scores[0] == pytest.approx(float(logs[last[0]]), abs=1e-3)
    assert all(math.isfinite(score) for score in scores)


def test_single_paradigms_and_mmlu_run_on_request(llama, data, tmp_path):
    write_rows(tmp_path / "mmlu_test.jsonl", ROWS["mmlu_test"])
    evaluate_model(str(llama), tmp_path / "out", tasks=["mmlu"], data=tmp_path)
    found = results(tmp_path / "out")
    assert found["mmlu"]["n"] == found["mmlu_anatomy"]["n"] == 4
    evaluate_model(str(llama), tmp_path / "one", tasks=["blimp_causative"], data=data, settings=Settings(limit=2))
    assert {task: ours["n"] for task, ours in results(tmp_path / "one").items()} == {"blimp_causative": 2}


# Folders, resuming, errors


def test_an_evaluation_continues_where_it_was_cut_off(llama, data, tmp_path, monkeypatch):
    from brandon_hf.evaluation import standard as module

    evaluate = module.evaluate_standard

    def cut_off(model, tasks, *others):
        if tasks == ["piqa"]:
            raise KeyboardInterrupt
        return evaluate(model, tasks, *others)

    monkeypatch.setattr(module, "evaluate_standard", cut_off)
    with pytest.raises(KeyboardInterrupt):
        evaluate_model(str(llama), tmp_path, tasks=["arc_easy", "piqa"], data=data)
    assert list(results(tmp_path)) == ["arc_easy"]
    done = []

    def only_missing(model, tasks, *others):
        done.extend(tasks)
        return evaluate(model, tasks, *others)

    monkeypatch.setattr(module, "evaluate_standard", only_missing)
    evaluate_model(str(llama), tmp_path, tasks=["arc_easy", "piqa"], data=data)
    assert done == ["piqa"]
    assert list(results(tmp_path)) == ["arc_easy", "piqa"]
    assert len(outcomes(tmp_path, "arc_easy")) == len(outcomes(tmp_path, "piqa")) == len(NOUNS)


def test_results_of_other_settings_are_not_mixed(llama, brandon, data, tmp_path):
    evaluate_model(str(llama), tmp_path, tasks=["piqa"], data=data, settings=Settings(limit=2))
    with pytest.raises(ValueError, match="limit=2, not None: choose another --output"):
        evaluate_model(str(llama), tmp_path, tasks=["piqa"], data=data)
    with pytest.raises(ValueError, match="weights_sha256"):
        evaluate_model(str(brandon), tmp_path, tasks=["piqa"], data=data, settings=Settings(limit=2))


def test_results_of_other_data_are_not_mixed(llama, data, tmp_path):
    evaluate_model(str(llama), tmp_path / "out", tasks=["piqa"], data=data)
    write_rows(tmp_path / "piqa_validation.jsonl", ROWS["piqa_validation"][:3])
    write_rows(tmp_path / "winogrande_xl_validation.jsonl", ROWS["winogrande_xl_validation"])
    with pytest.raises(ValueError, match="piqa was evaluated on other data"):
        evaluate_model(str(llama), tmp_path / "out", tasks=["winogrande", "piqa"], data=tmp_path)
    assert list(results(tmp_path / "out")) == ["piqa"]


def test_another_tokenizer_is_another_model(llama, data, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(llama, folder)
    evaluate_model(str(folder), tmp_path / "out", tasks=["piqa"], data=data)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = "{{ messages }}"
    tokenizer.save_pretrained(folder)
    with pytest.raises(ValueError, match="tokenizer_sha256"):
        evaluate_model(str(folder), tmp_path / "out", tasks=["piqa"], data=data)


def test_each_task_keeps_the_run_that_made_it(llama, data, tmp_path):
    for task in ("piqa", "winogrande"):
        evaluate_model(str(llama), tmp_path, tasks=[task], data=data)
    document = json.loads((tmp_path / "results.json").read_text())
    assert [run["tasks"] for run in document["runs"]] == [["piqa"], ["winogrande"]]
    assert document["environment"]["seconds"] == pytest.approx(sum(run["seconds"] for run in document["runs"]))


def test_a_protocol_that_is_added_gets_a_folder_of_its_own(llama, data, tmp_path):
    evaluate_model(str(llama), tmp_path, tasks=["piqa"], data=data)
    evaluate_model(str(llama), tmp_path, protocols=["stlm"], tasks=["piqa"], data=data)
    evaluate_model(str(llama), tmp_path, protocols=["standard", "stlm"], tasks=["piqa", "winogrande"], data=data)
    assert set(results(tmp_path)) == set(results(tmp_path / "stlm")) == {"piqa", "winogrande"}
    assert not (tmp_path / "standard").exists()


def test_an_error_that_nobody_knows_is_left_out(llama, data, tmp_path):
    evaluate_model(str(llama), tmp_path, tasks=["blimp"], data=data, settings=Settings(limit=1))
    assert "acc_stderr" not in results(tmp_path)["blimp"]


def test_batches_shrink_with_the_vocabulary(llama):
    model = ScoringModel(str(llama))
    small = model._rows(64)
    model.model.config.vocab_size = 10_000_000
    assert model._rows(64) < small


def test_several_protocols_have_a_folder_each(llama, data, tmp_path):
    evaluate_model(str(llama), tmp_path, protocols=["standard", "stlm"], tasks=["piqa"], data=data)
    for protocol in ("standard", "stlm"):
        assert json.loads((tmp_path / protocol / "results.json").read_text())["protocol"] == protocol


def test_the_command_is_written_without_secrets(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/usr/bin/brandon", "eval", "/a/b/c/d", "--judge", "http://me:pass@host/v1?key=k"])
    assert environment()["command"] == "brandon eval .../c/d --judge http://host/v1"


def test_no_absolute_path_is_written(llama, data, standard):
    text = (standard / "results.json").read_text()
    assert str(llama) not in text
    assert str(data) not in text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{broken", "line 2 is no JSON"),
        ('{"goal": "a", "sol1": 7, "sol2": "c", "label": 1}', "line 2: piqa needs 'sol1', found 7"),
        ("[1]", "line 2 is no JSON object"),
        ('{"goal": "a", "sol1": "b", "sol2": "c"}', "line 2: piqa needs 'label', found None"),
        ('{"goal": "a", "sol1": "b", "sol2": "c", "label": 2}', "line 2: label 2 must be 0 or 1"),
        ('{"goal": "a", "sol1": "", "sol2": "c", "label": 1}', "line 2: 'sol1' is empty"),
    ],
)
def test_a_corrupt_line_is_named_before_any_work(llama, tmp_path, line, message):
    first = json.dumps(ROWS["piqa_validation"][0])
    (tmp_path / "piqa_validation.jsonl").write_text(f"{first}\n{line}\n")
    with pytest.raises(ValueError, match=message):
        evaluate_model(str(llama), tmp_path / "out", tasks=["piqa"], data=tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("hellaswag_validation", {"endings": [None, "b"]}, "the answers must be two texts or more"),
        ("hellaswag_validation", {"label": "4"}, "'4' is none of the answers' labels"),
        ("arc_easy_test", {"choices": {"text": ["a", "b"], "label": "AB"}}, "with the labels 'AB'"),
        ("arc_easy_test", {"answerKey": "E"}, "'E' is none of the answers' labels"),
        ("winogrande_xl_validation", {"sentence": "No blank."}, "must hold one blank"),
        ("lambada_openai_test", {"text": "It is blue "}, "a passage and its last word"),
        ("blimp", {"UID": "nonsense"}, "lm-eval has no task blimp_nonsense"),
    ],
)
def test_a_row_that_cannot_be_scored_is_named(llama, tmp_path, name, change, message):
    write_rows(tmp_path / f"{name}.jsonl", [ROWS[name][0] | change])
    task = next(task for task, benchmark in BENCHMARKS.items() if benchmark.file == name)
    with pytest.raises(ValueError, match=message):
        evaluate_model(str(llama), tmp_path / "out", tasks=[task], data=tmp_path)


def test_a_file_that_is_cut_off_is_named(llama, data, tmp_path):
    whole = (data / "piqa_validation.jsonl.gz").read_bytes()
    (tmp_path / "piqa_validation.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"piqa_validation\.jsonl\.gz is broken"):
        evaluate_model(str(llama), tmp_path / "out", tasks=["piqa"], data=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tasks", "nonsense"], "there is no task nonsense in standard"),
        (["--tasks", "blimp_nonsense"], "there is no task blimp_nonsense: blimp has 3 parts, the nearest blimp_"),
        (["--tasks", "mmlu"], "has neither mmlu_test.jsonl.gz nor mmlu_test.jsonl"),
        (["--protocol", "nonsense"], "there is no protocol nonsense"),
        (["--protocol", "stlm", "--tasks", "blimp_causative"], "scores whole benchmarks, not blimp_causative"),
        (["--protocol", "stlm", "--bos", "never"], "bos=False is for the protocol standard"),
        (["--judge", "http://127.0.0.1:1"], "--judge URL and --judge-model NAME belong together"),
        (["--limit", "0"], "limit=0 must be at least 1"),
        (["--batch-size", "0"], "--batch-size 0 must be at least 1"),
    ],
)
def test_the_command_says_what_is_wrong_in_one_line(llama, data, tmp_path, capsys, arguments, message):
    status = main(["eval", str(llama), "--data", str(data), "--output", str(tmp_path / "out"), *arguments])
    assert status == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_missing_data_folder_and_a_missing_file_are_named(llama, tmp_path, capsys):
    assert main(["eval", str(llama), "--data", str(tmp_path / "none"), "--output", str(tmp_path / "out")]) == 2
    assert "there is no such folder" in capsys.readouterr().err
    assert main(["eval", str(llama), "--data", str(tmp_path), "--output", str(tmp_path / "out")]) == 2
    assert "has neither blimp.jsonl.gz nor blimp.jsonl" in capsys.readouterr().err


def test_a_model_folder_that_is_none_is_named(data, tmp_path, capsys):
    assert main(["eval", str(tmp_path / "none"), "--data", str(data), "--output", str(tmp_path / "out")]) == 2
    assert f"there is no folder {tmp_path / 'none'}" in capsys.readouterr().err


def test_a_folder_is_not_looked_for_on_the_hub_and_results_are_no_model(standard, data, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    for name, message in {
        "mine/nope": "there is no folder mine/nope",
        str(standard): "it holds the results of one",
    }.items():
        assert main(["eval", name, "--data", str(data), "--output", str(tmp_path / "out")]) == 2
        assert message in capsys.readouterr().err


def test_what_is_done_is_said_and_not_done_again(llama, data, tmp_path, capsys):
    for said in ("winogrande: done in", "winogrande: was done before"):
        evaluate_model(str(llama), tmp_path, tasks=["winogrande"], data=data)
        assert said in capsys.readouterr().err


def test_a_tokenizer_without_bos_conditions_on_eos_and_the_result_says_so(llama, data, tmp_path):
    folder = tmp_path / "model"
    AutoModelForCausalLM.from_pretrained(llama).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(llama)
    tokenizer.bos_token = None
    tokenizer._tokenizer.post_processor = None
    tokenizer.save_pretrained(folder)
    evaluate_model(str(folder), tmp_path / "out", tasks=["blimp_causative"], data=data)
    settings = json.loads((tmp_path / "out/results.json").read_text())["settings"]
    assert (settings["prefix_token"], settings["tokenizer_adds_bos"]) == (tokenizer.eos_token, False)


def test_a_processor_that_is_slower_in_bfloat16_is_said_so(llama, data, tmp_path, monkeypatch, capsys):
    for fast in (True, False):
        monkeypatch.setattr("brandon_hf.evaluation.evaluate.has_bf16", lambda fast=fast: fast)
        settings = Settings(dtype="bfloat16", limit=1, device="cpu")
        evaluate_model(str(llama), tmp_path / str(fast), tasks=["piqa"], data=data, settings=settings)
        assert ("--dtype float32" in capsys.readouterr().err) is not fast
