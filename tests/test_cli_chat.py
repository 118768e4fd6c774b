"""`brandon chat`: answers, history, limits and errors, with a tiny model that knows its chats by heart."""

import io
import shutil
import types

import pytest
import torch
from peers import CHATS, learn_by_heart, tiny_model, tiny_tokenizer

from brandon_hf.cli import chat, main

SKY = "What colour is the sky?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model that has learned the chats by heart."""
    folder = tmp_path_factory.mktemp("chat") / "brandon"
    tokenizer = tiny_tokenizer()
    learn_by_heart(tiny_model(tokenizer), tokenizer, CHATS, steps=80).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def typed(folder, monkeypatch, capsys):
    """Runs `brandon chat` with lines from a pipe; returns status, stdout and stderr."""

    def run(*lines, options=("--greedy",), model=folder):
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        status = main(["chat", str(model), *options])
        out, err = capsys.readouterr()
        return (
            status,
            out.strip().splitlines(),
            [line for line in err.splitlines() if "brandon chat:" in line or "(" in line],
        )

    return run


@pytest.fixture
def talk(folder):
    """A conversation with the model, of the given context."""

    def make(context=256, new=30, system=None):
        model, tokenizer = chat.load(str(folder))
        model.config.max_position_embeddings = context
        return chat.Chat(model, tokenizer, {"do_sample": False, "temperature": None}, new, system)

    return make


def test_prompt_is_answered_once(typed):
    assert typed("Say hello.", options=("--greedy", "--prompt", "Name a fruit."))[:2] == (0, ["An apple is a fruit."])


def test_each_line_of_a_pipe_is_a_turn_of_one_chat(typed):
    """The second answer is only known after the first exchange under the system prompt."""
    status, out, _ = typed(SKY, "", "And grass?", options=("--greedy", "--system", "Be brief."))
    assert (status, out) == (0, ["The sky is blue.", "Grass is green."])


def test_the_model_is_shown_as_many_exchanges_as_asked_for(typed, talk):
    """Without the first exchange the second question is another."""
    lines = ("--greedy", "--system", "Be brief.")
    asked = (SKY, "And grass?")
    assert typed(*asked, options=(*lines, "--turns", "1"))[1] == ["The sky is blue.", "Grass is green."]
    assert typed(*asked, options=(*lines, "--turns", "0"))[1] != ["The sky is blue.", "Grass is green."]
    assert "--turns -1 must not be negative" in typed(SKY, options=("--turns", "-1"))[2][0]
    conversation, sent = talk(), []
    conversation.turns = 2
    conversation._written = lambda inputs: "yes"
    conversation._encoded = lambda messages: sent.append(messages) or {"input_ids": [[0]]}
    for number in range(4):
        conversation.answer(str(number))
    assert [[turn["content"] for turn in messages if turn["role"] == "user"] for messages in sent] == [
        ["0"],
        ["0", "1"],
        ["0", "1", "2"],
        ["1", "2", "3"],
    ]
    assert not conversation.dropped


def test_commands_change_the_chat_and_unknown_ones_are_refused(typed, monkeypatch):
    seen = []
    monkeypatch.setattr(chat.Chat, "answer", lambda self, line: seen.append((line, self.system, len(self.messages))))
    status, out, err = typed("/system Be kind.", "a", "/system", "b", "/shout", "/help", "/exit", "c")
    assert seen == [("a", "Be kind.", 0), ("b", None, 0)]
    assert any(line.startswith("/reset") for line in out)
    assert status == 2
    assert "/shout" in err[-1]


def test_reset_forgets_the_conversation(talk):
    conversation = talk()
    conversation.answer("Say hello.")
    assert conversation.messages[-1] == {"role": "assistant", "content": "Hello! How are you?"}
    chat._turn(conversation, "/reset")
    assert conversation.messages == []


def test_oldest_exchanges_leave_a_full_context_and_the_system_prompt_stays(talk, capsys):
    conversation = talk(context=150, system="Be brief.")
    sent = []
    conversation.model.generate = lambda input_ids, **rest: sent.append(input_ids[0])
    for number in range(8):
        conversation.answer(f"{SKY} {number}")
    last = conversation.tokenizer.decode(sent[-1])
    assert "Be brief." in last
    kept = [f"{SKY} {number}" in last for number in range(8)]
    assert kept == sorted(kept)  # the last ones
    assert 2 <= sum(kept) <= 6
    exchange = len(sent[1]) - len(sent[0])
    assert all(150 - 30 - exchange < len(prompt) <= 150 - 30 for prompt in sent[-4:])  # no more is dropped than need be
    assert capsys.readouterr().err.count("forgotten") == 1


def test_a_question_that_is_too_long_is_one_line_and_loses_nothing(talk, typed, capsys):
    conversation = talk()
    conversation.answer("Say hello.")
    before = conversation.messages
    with pytest.raises(ValueError, match=r"tokens, 226 fit beside an answer of 30"):
        conversation.answer("why " * 300)
    assert conversation.messages == before
    capsys.readouterr()
    status, out, err = typed("why " * 300, "Name a fruit.")
    assert (status, out, len(err)) == (2, ["An apple is a fruit."], 1)


def test_interrupt_ends_the_answer_and_keeps_what_was_said(talk, capsys):
    conversation = talk()
    generate = conversation.model.generate

    def interrupted(*args, streamer, **kwargs):
        tokens, put = [], streamer.put

        def put_some(token):
            put(token)
            tokens.append(token)
            if len(tokens) > 6:
                raise KeyboardInterrupt

        streamer.put = put_some
        return generate(*args, streamer=streamer, **kwargs)

    conversation.model.generate = interrupted
    conversation.answer("Name a fruit.")
    said = conversation.messages[-1]["content"]
    assert said
    assert "An apple is a fruit.".startswith(said)
    assert len(said) < len("An apple is a fruit.")
    assert capsys.readouterr().out == said + "\n"


def test_control_characters_do_not_reach_the_terminal(capsys):
    streamer = chat._Streamer(tiny_tokenizer())
    streamer.on_finalized_text("a\x1b[31mb\x07\x9b\tc\n", stream_end=True)
    assert capsys.readouterr().out == "a[31mb\tc\n\n"
    assert streamer.text == "a[31mb\tc\n"


def options_of(*arguments):
    parser = __import__("argparse").ArgumentParser()
    chat.add_arguments(parser)
    return chat.sampling_options(parser.parse_args(["model", *arguments]))


def test_sampling_without_penalty_is_the_default(talk):
    assert options_of() == {"do_sample": True, "repetition_penalty": 1.0}
    assert options_of("--top-k", "5", "--temperature", "2")["top_k"] == 5
    model = talk().model
    assert chat.Chat(model, tiny_tokenizer(), options_of(), 9, None).options["temperature"] == 0.7
    model.generation_config.temperature = 0.3
    assert chat.Chat(model, tiny_tokenizer(), options_of(), 9, None).options["temperature"] == 0.3
    assert chat.Chat(model, tiny_tokenizer(), options_of("--temperature", "2"), 9, None).options["temperature"] == 2
    assert chat.Chat(model, tiny_tokenizer(), options_of("--greedy"), 9, None).options["temperature"] is None


def test_seed_makes_sampling_repeatable(typed):
    options = ("--temperature", "5", "--max-new-tokens", "20", "--prompt", "Name a fruit.", "--seed")
    once, again, other = (typed(options=(*options, seed))[1] for seed in "112")
    assert once == again != other


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--greedy", "--top-p", "0.5"], "--greedy does not sample: leave out --top-p"),
        (["--temperature", "0"], "--temperature 0.0 must be above 0"),
        (["--temperature", "nan"], "--temperature nan must be above 0"),
        (["--top-k", "-1"], "--top-k -1"),
        (["--top-p", "1.5"], "--top-p 1.5"),
        (["--repetition-penalty", "0"], "--repetition-penalty 0"),
        (["--max-new-tokens", "256"], "--max-new-tokens 256 must leave room in the context of 256 tokens"),
        (["--max-new-tokens", "0"], "--max-new-tokens 0 must leave room"),
    ],
)
def test_options_out_of_range_are_named(typed, arguments, named):
    status, out, err = typed("Say hello.", options=arguments)
    assert (status, out, len(err)) == (2, [], 1)
    assert named in err[0]


def test_wrong_folders_are_named_with_the_right_one(typed, folder, tmp_path):
    run = tmp_path / "run"
    for phase in ("phase1_pretrain", "phase3_sft", "teacher"):
        (run / phase / "final").mkdir(parents=True)
    checkpoint = run / "phase1_pretrain" / "checkpoint-3"
    checkpoint.mkdir()
    shutil.copy(folder / "config.json", checkpoint)
    mute = shutil.copytree(folder, tmp_path / "mute")
    (mute / "chat_template.jinja").unlink()
    for wrong, said in (
        (run, f"its model is {run / 'phase3_sft' / 'final'}"),
        (run / "phase3_sft", f"its model is {run / 'phase3_sft' / 'final'}"),
        (checkpoint, f"has no tokenizer: the finished model is {run / 'phase1_pretrain' / 'final'}"),
        (mute, "has no chat template"),
        (tmp_path / "nowhere", f"there is no folder {tmp_path / 'nowhere'}"),
        ("nothing.gguf", "there is no file nothing.gguf"),  # no name on the Hub
        ("nobody/nothing", "nobody/nothing is neither a folder here nor a model that the Hub gives out"),
    ):
        status, _, err = typed("hello", model=wrong)
        assert (status, len(err)) == (2, 1)
        assert said in err[0]


def test_code_that_comes_with_a_model_is_not_run_unasked(typed, folder, tmp_path):
    foreign = shutil.copytree(folder, tmp_path / "foreign")
    (foreign / "config.json").write_text(
        '{"model_type": "unheard-of", "auto_map": {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}}'
    )
    (foreign / "code.py").write_text("raise SystemExit('ran')")
    status, _, err = typed("hello", model=foreign)
    assert (status, len(err)) == (2, 1)
    assert err[0].endswith("comes with code of its own; if you trust it: --trust-remote-code")


def test_template_that_refuses_a_chat_is_one_error(talk):
    conversation = talk(system="Be brief.")
    conversation.tokenizer.chat_template = "{{ raise_exception('no system prompts') }}"
    with pytest.raises(ValueError, match="chat template refuses this chat: no system prompts"):
        conversation.answer("Say hello.")


def test_context_without_a_limit_in_the_config_is_the_tokenizers(talk):
    model = types.SimpleNamespace(
        config=types.SimpleNamespace(get_text_config=lambda: object()),
        generation_config=types.SimpleNamespace(temperature=None),
        device=torch.device("cpu"),
    )
    conversation = chat.Chat(model, tiny_tokenizer(), {}, None, None)
    assert (conversation.context, conversation.new) == (256, 128)
