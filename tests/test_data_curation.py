"""Curation: every rule drops what it is for and leaves what only looks like it."""

import json

import pytest

from brandon_hf.data.curation import CurationRules, broken_markup, curate, is_english, is_refusal


def chat(*contents: str, **extra: str) -> dict:
    roles = ("user", "assistant") * len(contents)
    messages = [{"role": role, "content": content} for role, content in zip(roles, contents, strict=False)]
    return {"messages": messages, **extra}


def reasons(*chats: dict, **rules: object) -> list[str]:
    return list(curate(chats, CurationRules(**rules))[1].dropped)


@pytest.mark.parametrize(
    ("dropped", "reason"),
    [
        (chat("Hi", "Hello. Hello you. Hello. Hello you."), "loop"),
        (chat("Hi", "  "), "empty turn"),
        (chat("Hello"), "no assistant turn"),
        (chat(), "no assistant turn"),
        ({"messages": chat("a", "b")["messages"][::-1]}, "roles do not alternate"),
        (chat("H", "Hello."), "prompt under 2 characters"),
        (chat("x" * 4001, "Hello."), "prompt over 4000 characters"),
        (chat("Hi", "word " * 1000), "answer over 4000 characters"),
        (chat("Who won?", "I'm sorry, but I cannot help with that."), "refusal"),
        (chat("Show me", "```python\nprint(1)\n"), "broken markup: unclosed code fence"),
        (chat("[INST] Who are you? [/INST]", "I am Brandon."), "broken markup: template tokens"),
        (chat("Was ist das?", "Das ist ein Haus und der Hund ist auch in dem Haus und nicht im Wald."), "not English"),
    ],
)
def test_a_fault_is_dropped_under_its_reason(dropped, reason):
    assert reasons(dropped) == [reason]


def test_good_chats_stay_unchanged_and_in_order():
    system = {"role": "system", "content": "Be short."}
    first = {"messages": [system, *chat("Is it?", "Yes.", "Why?", "So.")["messages"]], "source": "a", "id": 3}
    second = chat("List three cities.", "Paris, Madrid, Rome")
    third = chat("Hi", "Hello! How are you?", "Fine, and you?")
    kept, report = curate([first, second, third])
    assert kept == [first, second, third]
    assert (report.rows, report.kept, report.dropped) == (3, 3, {})


def test_lengths_have_the_bounds_of_the_rules():
    short, long = chat("What?", "No."), chat("What?", "No, never.")
    assert reasons(short, min_answer_characters=4) == ["answer under 4 characters"]
    assert reasons(long, min_answer_characters=4) == []
    assert reasons(long, max_answer_characters=4) == ["answer over 4 characters"]
    assert reasons(long, max_prompt_characters=4) == ["prompt over 4 characters"]


def test_the_first_of_several_duplicates_stays():
    chats = [chat("Is 5 > 3?", "Yes."), chat("Is 5 > 3?", "Yes."), chat("is 5 > 3", "YES"), chat("Is 5 < 3?", "Yes.")]
    kept, report = curate(chats)
    assert kept == [chats[0], chats[3]]
    assert report.dropped == {"duplicate, exact": 1, "duplicate but for case, spaces and punctuation": 1}
    assert len(curate(chats, CurationRules(drop_duplicates=False))[0]) == 4


@pytest.mark.parametrize(
    "answer",
    [
        "As an AI language model, I do not have feelings.",
        "It depends, but as an AI, I can\u2019t tell you.",
        "I'm sorry, but I can't assist with that request.",
        "Sorry, I am not able to provide this.",
        "I cannot answer this question.",
        "Unfortunately I can't help with this.",
    ],
)
def test_refusals_are_recognised(answer):
    assert is_refusal(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but that is so funny!",
        "I cannot believe it! I love that film too.",
        "I can't stop now, said the knight.",
        "As an AI robot chef, I can cook anything.",
        "The letter said: I cannot help you. She wept.",
        "I am Brandon, a tiny language model.",
    ],
)
def test_what_people_say_is_no_refusal(answer):
    assert not is_refusal(answer)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Hello<|im_end|>", "template tokens"),
        ("### Response: Hello", "template tokens"),
        ("48/2 = <<48/2=24>>24", "template tokens"),
        ("It is 5 â€“ 3", "mojibake"),
        ("cafÃ©", "mojibake"),
        ("One<br>two", "HTML"),
        ("Tom &amp; Ann", "HTML"),
        (r"It is \(x + 1", "unclosed LaTeX"),
        (r"It is \frac{1}{2", "unclosed LaTeX"),
    ],
)
def test_broken_markup_is_named(text, fault):
    assert broken_markup(text) == fault


@pytest.mark.parametrize(
    "text",
    [
        "a < b and b > c, $5 or $$$, {so}, x[1]",
        "Run `<br>` or\n```html\n<p>Hi</p>\n```",
        r"It is \(\frac{1}{2}\), or $$\sqrt{2}$$",
        "São Paulo, Ângela, naïve café, “quoted”",
        "## Response to stress\nSleep.",
        "I <3 you",
    ],
)
def test_sound_markup_passes(text):
    assert broken_markup(text) is None


def test_html_is_an_answer_to_a_question_about_it():
    assert broken_markup("<b>bold</b>", prompt="Make this HTML bold") is None
    assert broken_markup("<b>bold</b>", prompt="Say something") == "HTML"


@pytest.mark.parametrize(
    "text",
    [
        "La casa es muy grande y los perros que viven en la calle no son para nada como los gatos del vecino.",
        "今日は天気がいいので、公園を散歩して、お弁当を食べて、友達と話をしました。公園を散歩して、お弁当を食べて、友達と話をしました。公園を散歩して、お弁当を食べて、友達と話をしました。",
    ],
)
def test_other_languages_are_not_english(text):
    assert not is_english(text)
    assert is_english(text[:30])


@pytest.mark.parametrize(
    "text",
    [
        "Prince Aegon, Princess Daenerys, Prince Aemon, Prince Baelon, Princess Alyssa, Archmaester Vaegon",
        "Translate to Spanish: the house is very big and it is not for sale.\nLa casa es muy grande y no se vende.",
        "1. Carrot\n2. Broccoli\n3. Cucumber\n4. Tomato\n5. Spinach\n6. Onion\n7. Garlic\n8. Los Angeles, Las Vegas",
    ],
)
def test_lists_and_translations_count_as_english(text):
    assert is_english(text)


@pytest.mark.parametrize(
    ("rule", "dropped"),
    [
        (
            "english_only",
            chat("Qué?", "La casa es muy grande y los perros que viven en la calle no son para nada malos."),
        ),
        ("drop_refusals", chat("Who won?", "I cannot answer this.")),
        ("drop_loops", chat("Hi", "a cat a cat a cat")),
        ("drop_broken_markup", chat("Hi", "Hello<br>")),
    ],
)
def test_each_rule_can_be_turned_off(rule, dropped):
    assert reasons(dropped)
    assert reasons(dropped, **{rule: False}) == []


def test_the_report_counts_by_source_and_shows_three_examples():
    chats = [chat("Hi", f"Hello {n}<br>", source="x | y") for n in range(5)] + [chat("Hi", "Hello.", source="z")]
    _, report = curate(chats)
    plain = json.loads(json.dumps(report.to_dict()))
    assert plain["sources"] == {"x | y": {"rows": 5, "kept": 0}, "z": {"rows": 1, "kept": 1}}
    assert plain["dropped"] == {"broken markup: HTML": 5}
    assert plain["examples"] == {"broken markup: HTML": [f"Hello {n}<br>" for n in range(3)]}
    text = report.to_markdown()
    assert "1 of 6 chats kept" in text
    assert "| x \\| y | 5 | 0 |" in text
    assert "- broken markup: HTML: Hello 2&lt;br>" in text


@pytest.mark.parametrize("bounds", [(5, 4), (-1, 4)])
def test_bounds_that_contradict_each_other_are_refused(bounds):
    with pytest.raises(ValueError, match=f"min_answer_characters={bounds[0]} and max_answer_characters=4"):
        CurationRules(min_answer_characters=bounds[0], max_answer_characters=bounds[1])
