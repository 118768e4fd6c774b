"""Questions with one answer, asked in right English: what a review of derived chats found, on many rows."""

import random
import re
from collections import Counter

from brandon_hf.data.derived import KINDS, derived_chats
from brandon_hf.data.derived.dictionary import definitions
from brandon_hf.data.derived.facts import world_fact

WITHOUT_FILES = [kind.name for kind in KINDS if not kind.sources]


def pairs(kind, rows):
    """(question, answer) of the first exchange of each chat."""
    for row in derived_chats(None, [kind], 5, held_out=(), rows=rows):
        turns = [message["content"] for message in row["messages"] if message["role"] != "system"]
        yield turns[0], turns[1]


def test_what_belongs_to_two_kinds_is_asked_about_neither():
    both = {  # which kinds a word may be said to belong to beside its own
        "colours": "gold silver copper tin lead iron violet rose lavender lily orange peach plum lemon cherry",
        "metals": "mercury",
        "fruits": "orange",
    }
    seen = Counter()
    for kind in ("lists", "words"):
        for question, answer in pairs(kind, 8000):
            low = question.lower()
            for group, members in both.items():
                if answer.lower().strip(".") == "no" and group in low:
                    assert not set(members.split()) & set(re.findall(r"\w+", low)), (question, answer)
                    seen["member"] += 1
            if re.search(r"odd one|not belong|does not fit", low):
                odd = answer.lower().split(".")[0]
                others = set(re.findall(r"\w+", low)) - {odd}
                assert not (odd == "mercury" and others & {"iron", "gold", "silver", "copper"}), (question, answer)
                metal = {"iron", "gold", "silver", "copper", "tin", "lead", "zinc", "aluminium"}
                assert not (odd in metal and others & {"mercury", "venus", "mars", "jupiter"}), (question, answer)
                assert not (odd in metal and others & {"red", "blue", "green", "yellow"}), (question, answer)
                seen["odd"] += 1
    assert min(seen.values()) > 50, seen


def test_no_opposite_is_asked_of_a_word_that_has_two():
    asked = [
        question.lower() for question, _ in pairs("words", 6000) if re.search("opposite|antonym", question.lower())
    ]
    asked = [question for question in asked if "order" not in question]
    assert len(asked) > 200
    for question in asked:
        assert not re.search(r"\b(?:old|light|lose|borrow|lend|guest|host)\b", question), question
        assert not re.search(r'(?:opposite|antonym) of (?:the word )?"?right', question), question


def test_only_synonyms_that_name_each_other_are_given():
    rng = random.Random(0)
    lines = [f"filler{number} (noun): a large glad happy cheerful person." for number in range(30)]
    lines += ["happy (adjective): full of joy. Similar words: cheerful, glad.", "glad (adjective): pleased."]
    lines += ["glad (adjective): very pleased. Similar words: happy.", "cheerful (adjective): full of other things."]
    made = list(definitions(lambda _: iter(["\n".join(lines)]), rng))
    said = [chat[1]["content"].lower() for chat in made if re.search("synonym|same|another|similar", str(chat).lower())]
    assert said
    assert not any("cheerful" in answer for answer in said), said


def test_requests_that_were_wrong_are_not_made_any_more():
    texts = [
        message["content"]
        for row in derived_chats(None, WITHOUT_FILES, 7, held_out=(), rows=12000)
        for message in row["messages"]
    ]
    wrong = re.compile(
        r"make my friend\?|up my friend happy|mother for his|^Give me [^?]*at (?:school|work)\?|[Ww]hy is it good for"
        r"|one brush my|we brush (?:my|one)|Which are the|sun in order|spring in order|from \S+ to \S+ by|at the garden"
        r"|says? roar|of our sun",
        re.IGNORECASE,
    )
    assert not [text for text in texts if wrong.search(text)][:5]
    assert world_fact("sound", "a tiger", "roar").full == "A tiger roars."
