"""Chat data: schemas, sources, weights, the split, and tokens with the assistant's mask."""

import gzip
import json
import logging

import datasets
import pytest

from brandon_hf.data.chat import ChatSource, join_chats, load_chats, split_chats, tokenize_chats, weigh_chats
from brandon_hf.data.chat_schemas import messages_of
from brandon_hf.data.presets import presets
from brandon_hf.tokenization import train_tokenizer

HELLO = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
SYSTEM = {"role": "system", "content": "Be short."}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["Hi there, how are you? I am fine. Hello, what is it?"] * 5, vocab_size=290)


def write(path, *rows):
    opener = gzip.open if path.name.endswith(".gz") else open
    with opener(path, "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def talk(*contents):
    roles = ("user", "assistant") * len(contents)
    return {"messages": [{"role": role, "content": text} for role, text in zip(roles, contents, strict=False)]}


@pytest.mark.parametrize(
    ("row", "messages"),
    [
        ({"messages": [SYSTEM, *HELLO], "other": 1}, [SYSTEM, *HELLO]),
        ({"messages": HELLO, "system": "Be short."}, [SYSTEM, *HELLO]),
        ({"messages": [SYSTEM, *HELLO], "system": "Be long."}, [SYSTEM, *HELLO]),
        ({"messages": json.dumps(HELLO)}, HELLO),
        ({"messages": "", "instruction": "Hi", "response": "Hello.", "system": "Be short."}, [SYSTEM, *HELLO]),
        ({"messages": [], "instruction": "Hi", "response": "Hello.", "system": ""}, HELLO),
        ({"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}]}, HELLO),
        ({"conversations": [{"from": "User", "value": "Hi"}, {"from": "ChatGPT", "value": "Hello."}]}, HELLO),
        ({"instruction": "Hi", "input": "", "output": "Hello."}, HELLO),
        ({"instruction": "Hi", "input": None, "output": "Hello."}, HELLO),
        ({"instruction": "Hi", "output": "Hello.", "question": "no", "answer": "no"}, HELLO),
        ({"instruction": "Add", "input": "1 2", "output": 3}, talk("Add\n\n1 2", "3")["messages"]),
        ({"question": "Hi", "answer": "Hello."}, HELLO),
        ({"prompt": "Hi", "completion": "Hello."}, HELLO),
        ({"prompt": HELLO[:1], "completion": HELLO[1:]}, HELLO),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, HELLO[1]]}, HELLO),
    ],
)
def test_every_usual_schema_becomes_messages(row, messages):
    assert messages_of(row) == messages


def test_columns_with_any_names_are_mapped_and_nothing_else_is_read():
    row = {"q": "Hi", "a": "Hello.", "messages": talk("no", "no")["messages"], "output": "no"}
    assert messages_of(row, columns={"question": "q", "answer": "a"}) == HELLO
    with pytest.raises(ValueError, match=r"there is no column 'b'; the columns are 'q', 'a', 'messages', 'output'"):
        messages_of(row, columns={"question": "q", "answer": "b"})


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"text": "Hi"}, "no conversation; its columns are 'text', wanted are messages"),
        ({"question": "Hi", "answer": None}, r"its columns are 'question', 'answer' \(null\)"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, "message 0 has the role 'robot'"),
        ({"messages": [HELLO[0], {"role": "assistant", "content": None}]}, "message 1 has the content None"),
        ({"messages": ["Hi"]}, "message 0 is 'Hi', not an object"),
        ({"messages": "Hi"}, "not valid JSON"),
        ({"messages": {"role": "user"}}, "not a list of messages"),
        ({"instruction": "Hi", "output": ["a", "b"]}, "message 1 has the content"),
    ],
)
def test_a_row_that_is_no_conversation_is_refused_with_file_and_line(folder, row, complaint):
    write(folder / "chats.jsonl", talk("Hi", "Hello."), row)
    with pytest.raises(ValueError, match=rf"chats.jsonl, line 2: .*{complaint}"):
        load_chats("chats.jsonl")


def test_schemas_may_change_from_row_to_row_and_file_to_file(folder):
    write(folder / "a.jsonl", {"question": "Hi", "answer": "Hello."}, talk("Hi", "Hello."))
    write(folder / "b.jsonl.gz", {"instruction": "Hi", "input": "", "output": "Hello."})
    chats = load_chats(["a.jsonl", {"path": str(folder / "b*")}])
    assert [chat["messages"] for chat in chats] == [HELLO] * 3
    assert [chat["source"] for chat in chats] == ["a.jsonl", "a.jsonl", str(folder / "b*")]


def test_max_rows_takes_the_first_rows(folder):
    write(folder / "a.jsonl", *(talk(f"{n}?", "Yes.") for n in range(9)))
    chats = load_chats({"path": "a.jsonl", "max_rows": 2})
    assert [chat["messages"][0]["content"] for chat in chats] == ["0?", "1?"]


def test_a_source_without_rows_and_a_source_given_twice_are_refused(folder):
    (folder / "a.jsonl").write_text("\n")
    with pytest.raises(ValueError, match=r"a\.jsonl"):
        load_chats("a.jsonl")
    with pytest.raises(ValueError, match=r"a\.jsonl stands there twice"):
        load_chats(["a.jsonl", "a.jsonl"])


def test_the_builtin_chats_load():
    chats = load_chats({"builtin": "synthetic", "max_rows": 3, "seed": 1})
    assert len(chats) == 3
    assert chats[0]["messages"][-1]["role"] == "assistant"
    assert chats[0]["source"] == "synthetic"


def test_a_data_set_of_the_hub_is_read_through_datasets(monkeypatch):
    asked = []

    def load_dataset(*where, **how):
        asked.append((where, how["split"]))
        return iter([talk("Hi", "Hello."), {"text": "no"}])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    source = {"hub": "someone/chats", "config": "all", "split": "test"}
    assert load_chats({**source, "max_rows": 1})[0]["messages"] == HELLO
    assert asked == [(("someone/chats", "all"), "test")]
    with pytest.raises(ValueError, match="someone/chats all, split test, row 2"):
        load_chats(source)


def test_an_empty_data_set_of_the_hub_is_refused(monkeypatch):
    monkeypatch.setattr(datasets, "load_dataset", lambda *where, **how: iter([]))
    with pytest.raises(ValueError, match="chat source someone/chats holds no conversation"):
        load_chats({"hub": "someone/chats"})


@pytest.mark.parametrize("name", presets("chat"))
def test_every_chat_preset_names_a_data_set_whose_columns_are_understood(name):
    (source,) = ChatSource.from_recipe({"preset": name, "weight": 2, "max_rows": 5})
    assert (source.hub, source.weight, source.max_rows) == (presets("chat")[name]["hub"], 2, 5)
    row = dict.fromkeys(presets("chat")[name]["columns"], "Hello.") | {"messages": HELLO}
    assert messages_of(row)[-1] == HELLO[-1]
    assert ChatSource.from_recipe(name) == [ChatSource(hub=source.hub, config=source.config, split=source.split)]


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("nothing-here", "no existing file, folder or glob"),
        ([], "the list of chat sources is empty"),
        (3, "not 3"),
        ({"preset": "smoltak"}, "no chat preset 'smoltak'; choose one of"),
        ({"preset": "smoltalk", "split": "test"}, "unknown key 'split'"),
        ({"path": "a", "wieght": 1}, "unknown key 'wieght'; did you mean weight"),
        ({"path": "a", "hub": "b"}, "exactly one of path, hub and builtin; found path and hub"),
        ({}, "found none of them"),
        ({"path": 3}, "path=3 must be text"),
        ({"path": "a", "weight": 0}, "weight=0 must be a positive number"),
        ({"path": "a", "max_rows": 0}, "max_rows=0 must be at least 1"),
        ({"builtin": "other"}, "no builtin 'other'; there is synthetic"),
        ({"path": "a", "columns": {"q": "question"}}, "columns maps 'q', which is none of messages"),
        ({"path": "a", "columns": "q"}, "columns='q' must be a mapping"),
    ],
)
def test_a_source_that_cannot_be_meant_is_refused(value, complaint):
    with pytest.raises(ValueError, match=complaint):
        ChatSource.from_recipe(value)


def rows_of(name, count):
    return [{**talk(f"{name} {n}", "Yes."), "source": name} for n in range(count)]


def test_weights_are_shares_of_the_rows_and_rows_repeat_evenly():
    chats = rows_of("a", 30) + rows_of("b", 10)
    weighed = weigh_chats(chats, [{"path": "a", "weight": 1}, {"path": "b", "weight": 3}], seed=1)
    sources = [chat["source"] for chat in weighed]
    assert (sources.count("a"), sources.count("b")) == (10, 30)
    asked = [chat["messages"][0]["content"] for chat in weighed]
    assert len(set(asked[:10])) == 10
    assert all(asked.count(f"b {n}") == 3 for n in range(10))
    assert weighed == weigh_chats(chats, [{"path": "a", "weight": 2}, {"path": "b", "weight": 6}], seed=1)
    assert weighed != weigh_chats(chats, [{"path": "a", "weight": 1}, {"path": "b", "weight": 3}], seed=2)


def test_without_weights_every_row_is_used_once():
    chats = rows_of("a", 3) + rows_of("b", 1)
    assert weigh_chats(chats, [{"path": "a"}, {"path": "b"}]) == chats


def test_weights_that_cannot_be_applied_are_refused():
    with pytest.raises(ValueError, match="chat source b has no weight and others have one"):
        weigh_chats(rows_of("a", 3), [{"path": "a", "weight": 1}, {"path": "b"}])
    with pytest.raises(ValueError, match="b has weight=1, and none of its rows is left"):
        weigh_chats(rows_of("a", 3), [{"path": "a", "weight": 1}, {"path": "b", "weight": 1}])


def test_joined_chats_are_conversations_in_which_nothing_is_lost_or_changed():
    chats = rows_of("a", 300)
    joined = join_chats(chats, 0.4, seed=1, max_characters=1000)
    talks = [chat["messages"] for chat in joined]
    asked = [message["content"] for messages in talks for message in messages if message["role"] == "user"]
    assert sorted(asked) == sorted(chat["messages"][0]["content"] for chat in chats)
    assert len(joined) == pytest.approx(0.6 * len(chats), abs=30)
    for messages in talks:
        assert [message["role"] for message in messages] == ["user", "assistant"] * (len(messages) // 2)
    assert joined == join_chats(chats, 0.4, seed=1, max_characters=1000)
    assert joined != join_chats(chats, 0.4, seed=2, max_characters=1000)
    assert {len(chat["messages"]) for chat in chats} == {2}  # the rows themselves stay as they are


def test_a_joined_chat_is_short_and_a_system_message_speaks_of_its_own_chat_alone():
    chats = rows_of("a", 100)
    chats += [{**chat, "messages": [{"role": "system", "content": "Be kind."}, *chat["messages"]]} for chat in chats]
    joined = join_chats(chats, 0.9, max_characters=80)
    assert {len(chat["messages"]) for chat in joined if chat["messages"][0]["role"] == "system"} == {3}
    others = [chat["messages"] for chat in joined if chat["messages"][0]["role"] != "system"]
    assert max(map(len, others)) == 4  # of some 9 characters and 20 for its markup each
    assert not any(message["role"] == "system" for messages in others for message in messages)


def test_a_question_that_was_never_answered_is_left_out_where_another_chat_goes_on():
    open_end = {"messages": [*talk("One?", "Yes.")["messages"], {"role": "user", "content": "Two?"}], "source": "a"}
    for seed in range(5):
        for chat in join_chats([open_end, *rows_of("a", 9)], 0.9, seed, max_characters=1000):
            roles = [message["role"] for message in chat["messages"]]
            assert "user user" not in " ".join(roles)
    assert join_chats([{"messages": [], "source": "a"}] * 2, 0.9, max_characters=1000)


def test_chats_stay_alone_by_default_and_a_share_of_all_is_refused():
    chats = rows_of("a", 9)
    assert join_chats(chats, 0.0, max_characters=1000) == chats
    with pytest.raises(ValueError, match="share=1 must be at least 0 and below 1"):
        join_chats(chats, 1, max_characters=1000)


def test_a_question_is_on_one_side_of_the_split_and_stays_there():
    chats = [talk(f"Question {n}?", answer) for n in range(300) for answer in ("Yes.", "No.")]
    chats += [talk(f"question  {n}?", "Maybe.") for n in range(300)]
    train, validation = split_chats(chats, 0.1)
    assert len(train) + len(validation) == len(chats)
    questions = [{c["messages"][0]["content"].lower().replace("  ", " ") for c in side} for side in (train, validation)]
    assert not questions[0] & questions[1]
    assert 15 <= len(questions[1]) <= 45
    assert all(chat in validation for chat in split_chats(chats[:200], 0.1)[1])


def test_a_split_of_few_questions_leaves_none_of_the_sides_empty():
    chats = [talk(f"{n}?", "Yes.") for n in range(3)]
    assert [len(side) for side in split_chats(chats, 1e-9)] == [2, 1]
    assert [len(side) for side in split_chats(chats, 1 - 1e-9)] == [1, 2]
    assert split_chats(chats, 0) == (chats, [])
    with pytest.raises(ValueError, match="at least two different questions to split; found 1"):
        split_chats(chats[:1] * 2, 0.5)
    with pytest.raises(ValueError, match="fraction=1 must be at least 0 and below 1"):
        split_chats(chats, 1)


def test_the_mask_is_on_the_answers_and_their_end(tokenizer):
    chat = {"messages": [SYSTEM, *talk("Hi", "I am fine.", "What is it?", "Hello.")["messages"]]}
    (row,) = tokenize_chats([chat], tokenizer, 200)
    assert row["input_ids"] == tokenizer.apply_chat_template(chat["messages"])["input_ids"]
    trained = [token for token, mask in zip(row["input_ids"], row["assistant_masks"], strict=True) if mask]
    assert tokenizer.decode(trained) == "I am fine.<|im_end|>Hello.<|im_end|>"


def test_a_long_chat_loses_its_last_exchanges_whole(tokenizer):
    contents = ("Hi", "I am fine.", "What is it?", "Hello.", "How?", "Fine.", "Hi", "Hi")
    lengths = [len(tokenize_chats([talk(*contents[:end])], tokenizer, 999)[0]["input_ids"]) for end in (2, 4, 6, 8)]
    for kept, length in enumerate(lengths):
        for spare in (0, 1):
            (row,) = tokenize_chats([talk(*contents)], tokenizer, length + spare)
            assert len(row["input_ids"]) == lengths[kept]
            assert tokenizer.decode(row["input_ids"]).count("<|im_start|>assistant") == kept + 1


def test_turns_after_the_last_answer_are_left_out(tokenizer):
    ended, open_end = tokenize_chats([talk("Hi", "Hello."), talk("Hi", "Hello.", "What is it?")], tokenizer, 99)
    assert open_end == ended


def test_chats_that_cannot_be_used_are_counted(tokenizer, caplog):
    chats = [talk("Hi", "Hello."), talk("Hi there, how are you? " * 9, "Hi"), talk("Hi<|im_end|>", "Hi")]
    with caplog.at_level(logging.WARNING):
        assert len(tokenize_chats(chats, tokenizer, 40)) == 1
    assert "2 of 3 chats left out: the first exchange of 1 is over max_length=40 tokens, the text of 1" in caplog.text
    with pytest.raises(ValueError, match="none of 2 chats can be used at max_length=40 tokens"):
        tokenize_chats(chats[1:], tokenizer, 40)


def test_a_chat_that_trains_nothing_is_refused(tokenizer):
    with pytest.raises(ValueError, match="row 1: there is no assistant's answer"):
        tokenize_chats([talk("Hi", "Hello."), talk("Hi")], tokenizer, 99)
    with pytest.raises(ValueError, match=r"needs a chat template with \{% generation %\}"):
        tokenize_chats([talk("Hi", "Hello.")], without_generation(tokenizer), 99)


def without_generation(tokenizer):
    other = train_tokenizer(["Hi"] * 2, vocab_size=262)
    other.chat_template = tokenizer.chat_template.replace("{%- generation -%}", "").replace("{%- endgeneration -%}", "")
    return other
