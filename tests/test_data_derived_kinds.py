"""What each kind of derived chats asks, its answers do: worked out again here, by other code."""

import itertools
import json
import random
import re
from collections import Counter

import pytest
from tiny_texts import write_texts

from brandon_hf.data.derived import derived_chats
from brandon_hf.data.derived.dictionary import definitions, entries
from brandon_hf.data.derived.judging import judged
from brandon_hf.data.derived.numbers import WORDS
from brandon_hf.data.derived.plain_sentences import plain_sentences, split_sentences
from brandon_hf.data.derived.rewriting import misspelled
from brandon_hf.data.derived.summaries import REPORTS, summaries
from brandon_hf.data.derived.tales import ANIMALS, PLOTS, SCENES, SUMMARIES, THINGS
from brandon_hf.data.derived.textbooks import explanations
from brandon_hf.data.derived.wording import ask, ask_about, capital, choose, dressed, with_article
from brandon_hf.metrics.checks import follows
from brandon_hf.metrics.instruction import has_items, is_json, is_single_word, says_name, yes_or_no

NUMBER = {
    **{word: at + 2 for at, word in enumerate(("two", "three", "four", "five", "six"))},
    **{str(n): n for n in range(2, 7)},
}


def pairs(kind, rows=1500, seed=5):
    """(question, answer) of chats of one exchange."""
    for row in derived_chats(None, [kind], seed, held_out=(), rows=rows):
        turns = [message["content"] for message in row["messages"] if message["role"] != "system"]
        if len(turns) == 2:
            yield turns[0], turns[1]


def last_number(text):
    found = re.findall(r"\d+|\b(?:" + "|".join(WORDS) + r")\b", text.lower())
    return int(found[-1]) if found[-1].isdigit() else WORDS.index(found[-1])


def test_sums_are_right():
    seen = 0
    value = rf"(\d+|{'|'.join(sorted(WORDS, key=len, reverse=True))})"
    names = {"plus": "+", "minus": "-", "times": "*", "x": "*", "divided by": "/"}
    for question, answer in pairs("numbers", 3000):
        if found := re.search(rf"\b{value} (\+|-|\*|/|x|plus|minus|times|divided by) {value}\b", question.lower()):
            first, sign, second = found.groups()
            a, b = (int(one) if one.isdigit() else WORDS.index(one) for one in (first, second))
            sign = names.get(sign, sign)
            right = {"+": a + b, "-": a - b, "*": a * b, "/": a / b}[sign]
            assert last_number(answer) == right, (question, answer)
            seen += 1
    assert seen > 300


def told_operation(story):
    """What a little story tells of its two numbers, by the words of the story."""
    if re.search(r"\beach\b|in every one of them|a day for", story):
        return "times"
    if re.search(
        r"\b(?:loses|gives away|sells|broke|gave|fewer|sold|lost)\b"
        r"|takes \w+ (?:out|of them)",
        story,
    ):
        return "less"
    return "more"


def test_little_stories_with_numbers_are_right():
    seen = Counter()
    number = r"\d+|\b(?:" + "|".join(WORDS) + r")\b"
    for question, answer in pairs("numbers", 3000):
        story = question.lower().replace("every one", "every")
        values = [last_number(found) for found in re.findall(number, story)]
        if "how many" not in story or "count" in story or " times " in story or len(values) != 2:
            continue
        operation = told_operation(story.replace("every", "every one"))
        a, b = values
        right = {"more": a + b, "less": a - b, "times": a * b}[operation]
        assert last_number(answer) == right, (question, answer)
        seen[operation] += 1
    assert min(seen[operation] for operation in ("more", "less", "times")) > 50, seen


@pytest.mark.parametrize(
    ("story", "operation"),
    [
        ("anna has 3 eggs. tom gives anna 2 more. how many eggs does anna have now?", "more"),
        ("anna has 3 eggs and gives away 2. how many are left?", "less"),
        ("there are 3 eggs in a box. tom takes 2 out. how many stay in it?", "less"),
        ("tom buys 2 eggs a day for 3 days. how many eggs does tom have then?", "times"),
        ("we have 3 eggs. tom takes 2 of them. how many do we keep?", "less"),
        ("of 3 eggs, 2 got lost. how many eggs are still there?", "less"),
        ("tom puts 2 eggs into each of 3 boxes. how many eggs is that?", "times"),
    ],
)
def test_the_operation_of_a_story_is_read_from_its_words(story, operation):
    assert told_operation(story) == operation


def test_sorted_numbers_are_sorted():
    seen = 0
    for question, answer in pairs("numbers", 3000):
        if re.search(r"\b(?:sort|order|arrange|put (?:these|the))\b", question.lower()):
            values = [int(found) for found in re.findall(r"\d+", answer)]
            assert sorted(values) == sorted(int(found) for found in re.findall(r"\d+", question)), question
            down = re.search(r"from large|from the largest|from high|descending", question) is not None
            assert values == sorted(values, reverse=down), (question, answer)
            seen += 1
    assert seen > 50


def test_lists_have_as_many_items_as_asked_for_in_the_form_asked_for():
    seen = 0
    for question, answer in pairs("lists", 3000):
        found = re.search(r"\b(two|three|four|five|six|[2-6])\b", question.lower())
        if not found or not re.search(
            r"\b(?:name|list|give|tell|write|mention|show|need|think|please)\b", question.lower()
        ):
            continue
        if re.search(r"sort|order|put|alphabet|in (?:a|one) sentence", question.lower()) or (
            " and " in answer and "hide" in answer
        ):
            continue
        count = NUMBER[found[1]]
        assert has_items(answer, count) or "JSON" in question, (question, answer)
        if "JSON" in question:
            assert len(json.loads(answer)) == count
        if "numbered" in question:
            assert answer.startswith("1. ")
        if "bullet" in question or "dashes" in question:
            assert answer.startswith("- ")
        if "own line" in question or "separate lines" in question:
            assert answer.count("\n") == count - 1
            assert not answer.startswith(("-", "1."))
        seen += 1
    assert seen > 700


def test_formats_are_kept():
    seen = dict.fromkeys(("upper", "lower", "json", "word", "begin", "end", "sentences", "most", "words"), 0)
    count = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
    for question, answer in pairs("formats", 4000):
        checks = []
        low = question.lower()
        if re.search(r"(?:in|use only) capital|upper case|in capitals", low):
            checks, name = [{"kind": "upper_case"}], "upper"
        elif re.search(r"small letters|lower case|no capital|without capital", low):
            checks, name = [{"kind": "lower_case"}], "lower"
        elif "json" in low:
            assert is_json(answer), (question, answer)
            name = "json"
        elif re.search(r"one word|single word|just one|one-word", low):
            assert is_single_word(answer), (question, answer)
            name = "word"
        elif found := re.search(r'(?:begin|start).*?"(\w+(?: \w+)?)"', low):
            checks, name = [{"kind": "starts_with", "value": found[1]}], "begin"
        elif found := re.search(r'(?:end|finish|last word).*?"(\w+)"', low):
            checks, name = [{"kind": "ends_with", "value": [found[1], found[1] + "."]}], "end"
        elif found := re.search(r"(?:most|no more than|not more than|in) (\w+) words", low):
            most = count.get(found[1]) or (found[1] in WORDS and WORDS.index(found[1])) or int(found[1])
            checks, name = [{"kind": "max_words", "value": most}], "most"
        elif found := re.search(r"(one|two|three) sentence", low):
            checks, name = [{"kind": "sentences", "value": count[found[1]]}], "sentences"
        elif found := re.search(r"\b(two|three|four|five|six|[2-6]) words", low):
            assert len(answer.split()) == NUMBER[found[1]], (question, answer)
            name = "words"
        else:
            continue
        assert not checks or follows(answer, checks), (question, answer)
        seen[name] += 1
    assert min(seen.values()) > 40, seen


def test_copies_and_spellings_are_exact():
    copies = spelled = 0
    for question, answer in pairs("words", 4000):
        if re.match(r"(?:please )?(?:repeat after me|copy|repeat this|say exactly|echo)", question.lower()):
            assert question.split(":", 1)[1].strip().strip('"') == answer, (question, answer)
            copies += 1
        if re.search(r"hyphen|dash", question):
            assert re.fullmatch(r"(?:[a-z]-)+[a-z]\.?", answer), (question, answer)
            assert answer.rstrip(".").replace("-", "") in question.lower()
            spelled += 1
    assert copies > 100
    assert spelled > 100


def test_words_are_put_in_alphabetical_order():
    seen = 0
    for question, answer in pairs("words", 3000):
        if "alphabetical order" in question.lower() or "alphabetically" in question.lower():
            words = re.findall(r"[a-z]+", answer)
            assert words == sorted(words), (question, answer)
            assert len(words) > 2
            assert all(word in question for word in words)
            seen += 1
    assert seen > 50


def test_yes_or_no_is_answered_with_yes_or_no():
    answers = [yes_or_no(answer) for question, answer in pairs("facts", 3000) if "yes or no" in question.lower()]
    assert None not in answers
    assert 0.4 < sum(answers) / len(answers) < 0.6
    assert len(answers) > 100


def test_who_is_asked_for_the_name_says_brandon():
    asked = [
        (q, a)
        for q, a in pairs("identity", 1000)
        if re.search(r"^(?:what is|what's|tell me|may i know) your name|^who are you", q.lower())
    ]
    assert len(asked) > 20
    for question, answer in asked:
        assert says_name(answer, "Brandon"), (question, answer)


def test_a_conversation_remembers_the_name_of_the_user():
    seen = 0
    for row in derived_chats(None, ["conversation"], 2, held_out=(), rows=800):
        turns = [message["content"] for message in row["messages"] if message["role"] != "system"]
        for question, answer in zip(turns[2::2], turns[3::2], strict=True):
            met = re.search(r"Nice to meet you, (\w+)", turns[1])
            if met and re.search(r"my name\?|who am i\?", question.lower()):
                assert met[1] in answer
                seen += 1
    assert seen > 30


def test_what_cannot_be_known_is_not_invented():
    rows = [
        (q, a)
        for q, a in pairs("conversation", 1500)
        if re.search(r"weather|what time is it|what day is it", q.lower())
    ]
    assert len(rows) > 15
    for question, answer in rows:
        assert re.search(r"do not know|cannot|look at", answer), (question, answer)


def test_answers_about_little_texts_follow_from_them():
    seen = dict.fromkeys(("where", "age", "who", "day"), 0)
    days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
    for question, answer in pairs("reading", 2000):
        if asked := re.search(r"Where is the (\w+)\?", question):
            place = re.search(rf"The {asked[1]} is ([^.]+)\.", question)[1]
            assert place in answer.lower(), (question, answer)
            seen["where"] += 1
        elif asked := re.search(r"(\d+) years old\. \w+ is (\d+) years? (older|younger)", question):
            age = int(asked[1]) + int(asked[2]) * (1 if asked[3] == "older" else -1)
            assert last_number(answer.replace("years old", "")) == age, (question, answer)
            seen["age"] += 1
        elif asked := re.search(r"Who ([a-z]+ (?:a|the|some) \w+)\?", question):
            if found := re.search(rf"(\w+) {asked[1]}", question.replace(f"Who {asked[1]}", "")):
                assert found[1] in answer, (question, answer)
                seen["who"] += 1
        elif asked := re.search(r"Today is (\w+)\.", question):
            at = days.index(asked[1]) + (1 if "tomorrow" in question else -1)
            assert days[at % 7] in answer, (question, answer)
            seen["day"] += 1
    assert min(seen.values()) > 30, seen


def test_a_summary_is_short_and_speaks_of_what_is_in_the_text(tmp_path):
    seen = set()
    she = r"Anna|Lily|Mia|Rosa|Nina|Ella|Ruby"
    names = rf"\b(?:{she}|Tom|Ben|Leo|Max|Omar|Paul|Sam|[A-Z][a-z]+day)\b"
    told_of = {*ANIMALS, *THINGS, *" ".join(SCENES).split(), "horse", "cow", "umbrella", "radio", "chair"} - {"old"}
    for row in derived_chats(write_texts(tmp_path / "pretrain"), ["summaries"], 3, held_out=(), rows=2000):
        question, answer = (message["content"] for message in row["messages"])
        assert len(answer.split()) < len(question.split()) / 2, (question, answer)
        assert not re.search(r"\ba (?!one)[aeio]|[{}\[\]|]", question + answer), (question, answer)
        assert set(re.findall(names, answer)) <= set(re.findall(names, question)), (question, answer)
        words = told_of & set(re.findall(r"\w+", answer)) - {"garden"}  # which is planted
        assert words <= set(re.findall(r"\w+", question)), (question, answer)
        people = re.findall(names.replace("|[A-Z][a-z]+day", ""), answer)
        if people and (pronouns := set(re.findall(r"\b(?:he|his|him|she|her)\b", answer))):
            assert pronouns <= ({"she", "her"} if re.fullmatch(she, people[0]) else {"he", "his", "him"}), answer
        seen.add(re.sub(rf"{names}|\b(?:{'|'.join(told_of)}|he|his|him|she|her|an?)\b", "_", answer))
    assert len(seen) >= len(PLOTS) + len(REPORTS)


def test_every_plot_has_a_summary():
    assert list(SUMMARIES) == list(PLOTS)


def test_the_first_sentence_sums_up_a_paragraph_of_a_textbook_only_where_it_stands_alone():
    rest = (
        "Wind carries sand from one place to another and rubs it against the rock. Rain and rivers take the soil "
        "away and leave it on the plains. Plants hold the ground with their roots and slow this down a great deal."
    )
    kept = f"Erosion changes the shape of the land over time. {rest}"
    others = [f"This changes the land over a long time. {rest}", f"In the desert the land changes slowly. {rest}"]
    others += [f"{kept} See figure 3.", "Too short. It is. Really.", f"{kept} {rest}"]
    rows = itertools.islice(summaries(lambda _: iter([kept, *others]), random.Random(0)), 40)
    answers = [answer["content"] for question, answer in rows if "roots" in question["content"]]
    assert answers == ["Erosion changes the shape of the land over time."]


# Parts


def test_alternatives_nest_and_slots_are_never_read_as_templates():
    rng = random.Random(0)
    seen = {choose(rng, "[a|b [c|d]] {x}", {"x": "[e|f] {x}"}) for _ in range(100)}
    assert seen == {f"{one} [e|f] {{x}}" for one in ("a", "b c", "b d")}


def test_requests_are_varied_and_keep_their_words():
    rng = random.Random(0)
    seen = {ask(rng, "Name three {k}.", k="trees") for _ in range(400)}
    assert len(seen) > 20
    assert all("ame three trees" in one for one in seen)
    about = {ask_about(rng, "Count the words", "A cat sleeps.") for _ in range(400)}
    assert len(about) > 30
    assert all("A cat sleeps." in one and "ount the words" in one for one in about)
    assert all(not re.search(r"\w:\?|\.:|\?:|::|\.\.$", one) for one in seen | about)
    asked = {ask_about(rng, "In one sentence, what is this about", "A cat sleeps.") for _ in range(100)}
    assert any(one.endswith("this about?") for one in asked)
    assert any(
        one.startswith("Can you summarize this") for one in (ask_about(rng, "Summarize this", "") for _ in range(500))
    )


@pytest.mark.parametrize(
    ("article", "nouns"),
    [
        ("an", "owl hour uncle unimportant uninvited unintended utter usher urge onerous umbrella"),
        ("a", "dog university unicorn unit utensil utopia useful usable usual euro one-way"),
    ],
)
def test_articles_follow_the_sound(article, nouns):
    assert [with_article(noun) for noun in nouns.split()] == [f"{article} {noun}" for noun in nouns.split()]


def test_a_large_first_letter_also_after_a_quotation_mark():
    assert capital('"red" is a word') == '"Red" is a word'
    assert dressed(random.Random(1), "") == ""


def test_a_misspelled_word_is_never_the_word():
    rng = random.Random(0)
    for word in ("letter", "aaaaa", "house", "banana"):
        assert all(misspelled(rng, word) not in (word, None) for _ in range(200))


def test_a_misspelled_word_is_no_other_word():
    rng = random.Random(0)
    known = {"quite", "quiet", "trail", "trial"}
    for word in known:
        assert all(misspelled(rng, word, known) not in known for _ in range(500))
    assert misspelled(rng, "abc", {"acb", "abb", "abbc", "ac"}) is None


def test_only_sentences_that_stand_alone_are_taken():
    text = (
        'The dog ran home. "Come here," said the man. And then it rained a lot. This was not good for them. '
        "Short one. The cat (a tabby) slept on the mat. My father bought three red apples."
    )
    assert list(plain_sentences(iter([text]))) == ["The dog ran home.", "My father bought three red apples."]


def test_a_quotation_stays_whole_and_with_its_speaker():
    text = '"Come in," said Tom. "Are you cold?" Anna asked. He nodded. "Mr. Fox is here!" It was late.'
    assert split_sentences(text) == [
        '"Come in," said Tom.',
        '"Are you cold?" Anna asked.',
        "He nodded.",
        '"Mr. Fox is here!"',
        "It was late.",
    ]


def test_tales_are_about_what_was_asked_for():
    seen = 0
    for question, answer in pairs("tales", 800):
        if asked := re.search(r"(?<!is a )story about an? (?:lost |brave |lazy )?(\w+)", question):
            assert asked[1] in answer.lower() or asked[1] in ("rainy", "picnic", "present"), (question, answer)
            assert 25 < len(answer.split()) < 130
            seen += 1
    assert seen > 200


def test_dictionary_lines_are_read_and_unclear_meanings_left_out():
    lines = [f"w{n} (noun): a large animal that eats warm grass every day." for n in range(60)]
    lines += [
        "beast (noun): a large animal that eats grass. Example: The beast eats warm grass. Similar words: animal.",
        "no entry",
    ]
    lines += ["beast (verb): to animal (especially of horses)."] + ["animal (noun): a beast." for _ in range(3)]
    found = entries(iter(["\n".join(lines)]))
    assert len(found) == 65
    assert found[60] == ("beast", "noun", "a large animal that eats grass", "The beast eats warm grass.", ("animal",))
    odd = [
        *lines,
        *(f"z{n} (noun): a thing. Example: The beast eats warm grass." for n in range(10)),
        *(f"q{n} (noun): a large animal of the genus grass." for n in range(30)),
    ]
    made = list(definitions(lambda _: iter(["\n".join(odd)]), random.Random(0)))
    assert made
    assert not any("genus" in chat[1]["content"] for chat in made)


def test_only_sentences_that_define_become_explanations():
    text = (
        "A glacier is a large mass of ice that moves over land. This glacier is a cold place for people to live. "
        "A glacier is one of the most important topics in this chapter. The glacier is the result of snow. "
        "Congress is the place where laws are made by people."
    )
    text += "\n" + "\n".join(30 * [text.lower().replace("congress", "Congress")])
    made = list(explanations(lambda _: iter([text]), random.Random(0)))
    assert [chat[1]["content"] for chat in made] == ["A glacier is a large mass of ice that moves over land."]


def test_what_is_judged_is_what_the_tables_say():
    rng = random.Random(3)
    asked = [judged(rng) for _ in range(20_000)]
    truth = {one.question: one.true for one in asked}
    assert all(truth[one.question] == one.true for one in asked)  # no question has two answers
    for question, right in (
        ("Is a lemon yellow", True),
        ("Is a lemon blue", False),
        ("Is a mouse smaller than a cow", True),
        ("Is a mouse larger than a cow", False),
        ("Does a cow live on a farm", True),
        ("Does a spider have eight legs", True),
        ("Does a nail get hungry", False),
        ("Can a dove drive a car", False),
        ("Can a dove fly", True),
    ):
        assert truth[question] is right, question
    for first in ("Is", "Does", "Can", "Do"):
        of_first = [one.true for one in asked if one.question.split()[0] == first]
        assert 0.4 < sum(of_first) / len(of_first) < 0.6, first
    doubtful = re.compile(r"\ba [aeio]|say roar|kite (?:a bird|breathe)|rose pink|cherry a tree|hammer an instrument")
    assert not [question for question in truth if doubtful.search(question)]


def test_lists_mostly_begin_with_what_comes_to_mind_first():
    first, other = 0, 0
    for question, answer in pairs("lists", 6000):
        if re.search(r"\b(?:colours|fruits|tools|jobs)\b", question) and "elong" not in question:
            members = re.findall(r"[a-z]{2,}", answer.lower())
            if len(members) > 1:
                starts = members[:2] in (["red", "blue"], ["apple", "banana"], ["hammer", "saw"], ["teacher", "doctor"])
                first, other = first + starts, other + (not starts)
    assert 0.4 < first / (first + other) < 0.75, (first, other)


def test_whoever_asks_who_answers_is_told_the_name():
    who = re.compile(
        r"who are you\b|what are you(?: called)?\?|your name|who (?:is|writes|answers|reads)|called\?|call you\?"
    )
    asked = [(q, a) for q, a in pairs("identity", 1500) if who.search(q.lower()) and "gave" not in q]
    assert len(asked) > 300
    assert not [(q, a) for q, a in asked if "Brandon" not in a and "language model" not in a][:5]
    assert not [q for q, _ in asked if re.match(r"(?:By the way|Now), wh.*\.$", q)][:5]
