"""Pipelines, streamers, stop strings, sequence classification and lm-eval take a Brandon as they take any model."""

from threading import Thread

import pytest
import torch
from datasets import Dataset
from peers import CHATS, copy_of_parameters, learn_by_heart, tiny_model, tiny_tokenizer, unmoved
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    StoppingCriteria,
    TextIteratorStreamer,
    Trainer,
    TrainingArguments,
    pipeline,
)

from brandon_hf.modeling import BrandonForSequenceClassification


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("misc") / "model"
    tokenizer = tiny_tokenizer()
    learn_by_heart(tiny_model(tokenizer), tokenizer, CHATS).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tokenizer(folder):
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def model(folder):
    return AutoModelForCausalLM.from_pretrained(folder)


def greedy(model, ids, count):
    """Greedy continuation of ids (1, T) without cache, padding or generate; stops as the model is told to."""
    stops = model.generation_config.eos_token_id
    with torch.no_grad():
        for _ in range(count):
            ids = torch.cat([ids, model(input_ids=ids, use_cache=False).logits[:, -1:].argmax(-1)], dim=1)
            if int(ids[0, -1]) in stops:
                break
    return ids


def test_pipeline_answers_chats_alone_and_in_a_batch(folder, model, tokenizer):
    generator = pipeline("text-generation", model=str(folder), device="cpu")
    questions = [chat[:-1] for chat in CHATS]
    expected = []
    for question in questions:
        ids = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt")["input_ids"]
        answer = greedy(model, ids, 12)[0, ids.shape[1] :]
        expected.append(tokenizer.decode(answer, skip_special_tokens=True))
    assert len(set(expected)) > 1
    alone = [generator(question, max_new_tokens=12, do_sample=False) for question in questions]
    batched = generator(questions, max_new_tokens=12, do_sample=False, batch_size=4)
    for answers in (alone, batched):
        for question, content, answer in zip(questions, expected, answers, strict=True):
            assert answer[0]["generated_text"] == [*question, {"role": "assistant", "content": content}]


def test_pipeline_continues_texts_in_a_batch(folder, model, tokenizer):
    generator = pipeline("text-generation", model=str(folder), device="cpu")
    prompts = ["The sky", "Name a fruit and say hello to it", "It"]
    outputs = generator(prompts, max_new_tokens=10, do_sample=False, batch_size=3, return_full_text=False)
    for prompt, output in zip(prompts, outputs, strict=True):
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        expected = tokenizer.decode(greedy(model, ids, 10)[0, ids.shape[1] :], skip_special_tokens=True)
        assert output[0]["generated_text"] == expected


@pytest.fixture
def question(tokenizer):
    """Tokens that ask for "An apple is a fruit."."""
    return tokenizer.apply_chat_template(
        CHATS[1][:1], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )


def test_iterator_streamer_yields_the_text_as_it_is_generated(model, tokenizer, question):
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True, timeout=60)
    arguments = {**question, "streamer": streamer, "max_new_tokens": 40, "do_sample": False}
    thread = Thread(target=model.generate, kwargs=arguments)
    thread.start()
    pieces = list(streamer)
    thread.join()
    assert "".join(pieces) == "An apple is a fruit."
    assert len(list(filter(None, pieces))) > 3


def test_stop_string_ends_generation(model, tokenizer, question):
    arguments = {**question, "max_new_tokens": 40, "do_sample": False, "tokenizer": tokenizer}
    output = model.generate(**arguments, stop_strings=["apple is", "fruit"])[0]
    assert tokenizer.decode(output[question["input_ids"].shape[1] :]) == "An apple is"


class AfterLength(StoppingCriteria):
    """Stops each row once the text has so many tokens."""

    def __init__(self, length):
        self.length = length

    def __call__(self, input_ids, scores, **kwargs):
        return torch.full((len(input_ids),), input_ids.shape[1] >= self.length)


def test_own_stopping_criteria_end_generation(model, tokenizer):
    inputs = tokenizer("The sky", return_tensors="pt")
    length = inputs["input_ids"].shape[1] + 3
    output = model.generate(**inputs, max_new_tokens=20, do_sample=False, stopping_criteria=[AfterLength(length)])
    assert torch.equal(output, greedy(model, inputs["input_ids"], 3))


def test_sequence_classifier_trains_from_a_language_model_and_reloads(folder, tokenizer, tmp_path):
    classifier = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=3)
    assert isinstance(classifier, BrandonForSequenceClassification)
    rows = [chat[-1]["content"] for chat in CHATS]
    data = Dataset.from_dict({**tokenizer(rows), "labels": [0, 1, 2, 1]})
    arguments = TrainingArguments(
        str(tmp_path / "run"),
        max_steps=1,
        per_device_train_batch_size=4,
        learning_rate=1e-2,
        report_to=[],
        use_cpu=True,
    )
    trainer = Trainer(
        model=classifier, args=arguments, train_dataset=data, data_collator=DataCollatorWithPadding(tokenizer)
    )
    before = copy_of_parameters(classifier)
    trainer.train()
    assert unmoved(before, classifier) == set()
    trainer.save_model(tmp_path / "final")
    assert (tmp_path / "final/modeling_brandon.py").is_file()
    reloaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "final")
    batch = tokenizer(rows, padding=True, return_tensors="pt")
    with torch.no_grad():
        together = classifier.eval()(**batch).logits
        assert torch.equal(reloaded(**batch).logits, together)
        for row, logits in zip(rows, together, strict=True):  # padding, on the left, changes nothing
            alone = reloaded(**tokenizer(row, return_tensors="pt")).logits[0]
            torch.testing.assert_close(alone, logits, atol=1e-5, rtol=1e-4)


@pytest.fixture(scope="module")
def harness(model, tokenizer):
    huggingface = pytest.importorskip("lm_eval.models.huggingface", reason="needs the eval extra")
    return huggingface.HFLM(pretrained=model, tokenizer=tokenizer, device="cpu", batch_size=2)


def test_lm_eval_scores_continuations_as_the_model_does(harness, model, tokenizer):
    from lm_eval.api.instance import Instance

    pairs = [("The sky is", " blue."), ("Grass is", " green and so on."), ("Say", " hello"), ("", "An apple")]
    requests = [Instance("loglikelihood", {}, pair, index) for index, pair in enumerate(pairs)]
    for (context, continuation), (score, is_greedy) in zip(pairs, harness.loglikelihood(requests), strict=True):
        asked = tokenizer(continuation, add_special_tokens=False)["input_ids"]
        given = tokenizer(context)["input_ids"]  # starts with <|bos|>, as the documents a model is trained on do
        assert given[0] == tokenizer.bos_token_id
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([given + asked])).logits[0, len(given) - 1 : -1]
        chosen = logits.log_softmax(-1)[torch.arange(len(asked)), asked]
        assert score == pytest.approx(float(chosen.sum()), abs=1e-4)
        assert is_greedy == bool((logits.argmax(-1) == torch.tensor(asked)).all())


def test_lm_eval_generates_as_the_model_does(harness, model, tokenizer):
    from lm_eval.api.instance import Instance

    prompts = ["The sky", "Name a fruit and say hello"]
    wanted = {"until": ["<|eos|>"], "max_gen_toks": 8, "do_sample": False}
    requests = [Instance("generate_until", {}, (prompt, dict(wanted)), index) for index, prompt in enumerate(prompts)]
    for prompt, text in zip(prompts, harness.generate_until(requests), strict=True):
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        expected = greedy(model, ids, 8)[0, ids.shape[1] :]
        assert text == tokenizer.decode(expected, skip_special_tokens=True)


def test_continuous_batching_is_refused(model):
    """Paged attention has no place for registers."""
    with pytest.raises(ValueError, match="continuous batching"):
        model.init_continuous_batching()
