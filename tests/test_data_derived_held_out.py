"""What finished models are asked is never asked in training, in whatever words; what is only near to it may be."""

import json
import re
from collections import Counter

import pytest
from tiny_texts import write_texts

from brandon_hf.data.derived import KINDS, HeldOut, derived_chats, every_prompt
from brandon_hf.data.derived.meaning import asked_of

WITHOUT_FILES = [kind.name for kind in KINDS if not kind.sources]

PARAPHRASES = (  # each of a frozen prompt
    "What do 9 and 8 make together?",
    "Take 6 away from 20.",
    "What is left if you take 6 from 20?",
    "What is the difference between 12 and 5?",
    "What is the product of 3 and 5?",
    "What is the product of 5 and three?",
    "What is twice seven?",
    "Double 7.",
    "Multiply 4 by 3.",
    "How much is 16 divided by 2?",
    "Ben has five plums and gives away two. How many are left?",
    "Which day comes after Monday?",
    "Today is Monday. What day is tomorrow?",
    "Continue: Monday, Tuesday, Wednesday",
    "Continue the sequence: 1, 2, 3, 4",
    "Go on with one more number: 2, 4, 6, 8",
    "Which number comes right after 4?",
    "Which letter comes next: A, B, C",
    "Tell me the letter after C.",
    "Which are the seasons, beginning with spring?",
    "Tell me all the seasons.",
    "What is the baby of a dog called?",
    "What is the word for a young dog?",
    "Rome is the capital of which country?",
    "What is Italy's capital?",
    "Where is Rome?",
    "Do you know the capital of Spain?",
    "How do you spell tree?",
    "Write book with a dash between the letters.",
    "Spell moon letter by letter.",
    "What is the first letter of window?",
    "What is the antonym of up?",
    'Tell me the antonym of "empty".',
    "If something is not late, what is it?",
    "Copy this word: garden",
    "Write garden.",
    "Is seven smaller than three?",
    "Which is larger, 3 or 7?",
    "Which of these numbers is the largest: 5, 8, 3",
    "Sort these words alphabetically: milk, bird, sun",
    "Give me three farm animals as a JSON array.",
    "Write two months as a numbered list.",
    "Which fruits do you know? Name four.",
    "Name one of the birds.",
    "How many days are in a week?",
    "Count to five.",
    "Write the numbers from 1 to 5.",
    "What sound does a dog make?",
    "In one word: which animal is barking?",
    "Tom's ball has the colour of coal. What colour is the ball?",
    "Is coal black?",
    "What do we get if we mix yellow and blue?",
    "Write a story with a horse in it.",
    "Can you make up a poem about the rain?",
    "Tell me about an elephant.",
    "What is a mirror?",
    "Write a JSON object with the keys age and name.",
    "How many wheels are there on a bicycle?",
    "Is a horse bigger than a mouse?",
    "What is a spoon used for?",
    "Five plus three equals what?",
    "7 and 6 is how much?",
    "What number do you get when 6 is subtracted from 20?",
    "Divide sixteen by two.",
    "Tell me the day following Monday.",
    "Monday is followed by which day?",
    "After summer comes which season?",
    "A young dog is called what?",
    "Name the young of a dog.",
    "Which country has Rome as its capital?",
    "What colour do bananas have?",
    "Could you list 3 vegetables?",
    "Reply with JSON: keys name, age",
    "Order by size: city, spoon, house",
    "Just write green lamp.",
    "What is frozen water called?",
    "Which animal do we get wool from?",
    "What is the biggest animal in the ocean?",
    "Why are nights dark?",
    "Write a tale about a lost umbrella.",
    "There are three boxes with four balls in each. How many balls is that?",
)
NEAR = (  # near to a frozen prompt, but another question
    "What do 9 and 7 make together?",
    "What is 9 - 8?",
    "Take 6 away from 21.",
    "What is the difference between 13 and 5?",
    "What is twice eight?",
    "Double 6.",
    "Which day comes before Monday?",
    "Which day comes after Friday?",
    "Continue: Thursday, Friday, Saturday",
    "Continue the sequence: 1, 2, 3",
    "Go on with one more number: 3, 6, 9, 12",
    "Which letter comes next: E, F, G",
    "What is the baby of a cat called?",
    "Cairo is the capital of which country?",
    "What is the capital of France?",
    "Which language do people speak in Italy?",
    "How do you spell river?",
    'Write "spoon" with a dash between the letters.',
    "What is the last letter of window?",
    "What is the antonym of big?",
    'Give me the opposite of "rich".',
    "Copy this word: river",
    "Describe a forest.",
    "Is seven smaller than eight?",
    "Give me four farm animals as a JSON array.",
    "Write five months as a numbered list.",
    "Which fruits do you know? Name three.",
    "Name one of the trees.",
    "How many months are in a year?",
    "Count from two to nine.",
    "Sort these words alphabetically: milk, stone, bee",
    "What sound does a cow make?",
    "What colour is the sky?",
    "What do you get if you mix red and white?",
    "Tell me a story about a fox.",
    "Write a poem about snow.",
    "What is a lion?",
    "Write a JSON object with the keys city and price.",
    "How many wheels does a car have?",
    "Why do dogs bark?",
)
ASKED_ONCE = (  # what no generated row may ask: patterns of question and answer, written by hand, not read by the rules
    (
        "the sum of 8 and 9",
        r"\b(?:8|eight) (?:\+|plus|and|to) (?:9|nine)\b|\b(?:9|nine) (?:\+|plus|and|to) (?:8|eight)\b",
        r"\b(?:17|seventeen)\b",
    ),
    (
        "20 less 6",
        r"(?=.*\b(?:20|twenty)\b)(?=.*\b(?:6|six)\b)(?:.*(?:minus| - |away|subtract|left|difference|take))",
        r"\b(?:14|fourteen)\b",
    ),
    (
        "the product of 3 and 5",
        r"\b(?:3|three) (?:\*|x|times|by|and) (?:5|five)\b|\b(?:5|five) (?:\*|x|times|by|and) (?:3|three)\b",
        r"\b(?:15|fifteen)\b",
    ),
    ("twice 7", r"\b(?:twice|double|2 times|two times|2 \*|2 x) (?:7|seven)\b", r"\b(?:14|fourteen)\b"),
    (
        "the capital of Italy",
        r"\bitaly\b|\brome\b",
        r"^(?:rome|italy|in italy|rome is in italy|.*the capital of italy.*)\.?$",
    ),
    (
        "the day after Monday",
        r"after monday|today is monday.*tomorrow|(?:sunday, monday)\W*(?:\?|$|,? ?\.\.\.)",
        r"tuesday",
    ),
    ("the baby of a dog", r"\bdog\b.*\bcalled\b|baby dog", r"\bpuppy\b"),
    (
        "the opposite of up, hot, empty, fast, late",
        r"\b(?:opposite|antonym) of\b.*\b(?:up|hot|empty|fast|late)\b|^\W*(?:up|hot|empty|fast|late)\b.*\bopposite\b",
        r"\b(?:down|cold|full|slow|early)\b",
    ),
    ("how tree is spelled", r"\btree\b", r"^t\W+r\W+e\W+e\.?$"),
    ("the seasons", r"\bseasons\b", r"spring\W.*summer\W.*autumn\W.*winter"),
    ("the number after 1, 2, 3, 4", r"\b1, 2, 3, 4(?!,? \d)", r"\b5\b"),
    ("the colour of coal", r"\bcolour\b.*\bcoal\b", r"black"),
    ("the days of a week", r"how many days.*week", r"seven"),
    (
        "3 and 7 compared",
        r"\b(?:7|seven)\W* (?:\w+ than|or) (?:3|three)\b|\b(?:3|three)\W* (?:\w+ than|or) (?:7|seven)\b",
        r"^(?:yes|no|three|seven|3|7)\b",
    ),
)


@pytest.fixture(scope="module")
def prompts():
    return every_prompt()


@pytest.fixture(scope="module")
def excluded(prompts):
    return HeldOut(prompts)


@pytest.mark.parametrize("request_", PARAPHRASES)
def test_a_frozen_prompt_in_other_words_is_held_out(request_, excluded):
    assert request_ in excluded
    assert f"Please {request_[0].lower()}{request_[1:]}" in excluded


@pytest.mark.parametrize("request_", NEAR)
def test_another_question_of_the_same_sort_is_not_held_out(request_, excluded):
    assert request_ not in excluded


def test_the_rules_read_the_same_from_words_and_from_digits_in_any_order():
    assert asked_of("Add 9 and 8.") == asked_of("What do eight and nine make together?") == {"sum 8 9"}
    assert asked_of("Subtract 6 from 20.") & asked_of("Take 6 away from twenty.") == {"difference 20 6"}
    assert "list farm animals 3" in asked_of("List three animals that live on a farm.")
    assert not asked_of("word " * 50 + "3 + 5")


def test_no_row_asks_what_a_frozen_prompt_asks_by_rules_of_this_test(prompts):
    def found(rows):
        seen = Counter()
        for row in rows:
            turns = [message["content"].lower() for message in row["messages"] if message["role"] != "system"]
            for question, answer in zip(turns[::2], turns[1::2], strict=True):
                for name, of_question, of_answer in ASKED_ONCE:
                    if re.search(of_answer, answer, re.DOTALL) and re.search(of_question, question, re.DOTALL):
                        seen[name, question, answer] += 1
        return seen

    exact = ["numbers", "lists", "words", "facts", "formats", "reading"]
    missing = {name for name, _, _ in ASKED_ONCE}
    for seed in range(3, 15):  # a rule finds about one row in 10,000
        missing -= {name for name, _, _ in found(derived_chats(None, exact, seed, held_out=(), rows=12000))}
        assert not found(derived_chats(None, exact, seed, held_out=prompts, rows=12000))
        if not missing:
            return
    pytest.fail(f"what these rules look for is never asked: {sorted(missing)}")


def test_a_row_that_says_itself_what_it_asks_is_left_out_in_any_wording(prompts, monkeypatch):
    from brandon_hf.data.derived import held_out

    monkeypatch.setattr(held_out.HeldOut, "__contains__", lambda *_: False)  # no wording is recognised
    report = {}
    rows = list(derived_chats(None, ["numbers", "lists", "words"], held_out=prompts, rows=3000, report=report))
    assert sum(of_kind.held_out for of_kind in report.values()) > 60
    assert not [row for row in rows if re.search(r"What is the capital of Italy|Add 9 and 8|after Monday\?", str(row))]


def test_chats_hold_nothing_but_role_and_content(prompts, tmp_path):
    folder = write_texts(tmp_path / "texts")
    for row in derived_chats(folder, held_out=prompts, rows=600):
        assert all(set(message) == {"role", "content"} for message in row["messages"])
        assert json.loads(json.dumps(row)) == row


def test_an_answer_that_holds_a_prompt_of_four_words_or_more_is_left_out(excluded):
    assert excluded.within("Well, a week has seven days.")
    assert not excluded.within("A year has twelve months.")
    prompt = "It carries many people or heavy"
    with_it, without = (
        [row for row in derived_chats(None, ["open"], held_out=held, rows=1200) if prompt in str(row)]
        for held in ((), (prompt,))
    )
    assert with_it
    assert not without


def test_no_answer_holds_what_a_prompt_of_the_evaluation_begins(prompts):
    long = {f" {plain} " for prompt in prompts if len((plain := words(prompt)).split()) > 3}
    for row in derived_chats(None, WITHOUT_FILES, 1, held_out=prompts, rows=1500):
        said = " / ".join(f" {words(message['content'])} " for message in row["messages"])
        assert not any(prompt in said for prompt in long), row


def words(text):
    return " ".join(re.findall(r"[a-z0-9]+", text.lower().replace("'", "")))
