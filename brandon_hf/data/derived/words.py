"""Exact answers about words: letters, spelling, order, opposites, plurals, verb forms, copying."""

import itertools
import random
from collections import Counter
from collections.abc import Iterator

from .building import Texts
from .letters import POOL, counted_letters, neighbour_letter, one_letter, quoted, spelled
from .meaning import normal
from .word_lists import COMPARISON, MEMBERS, OPPOSITES, PAST, PLURALS, apart, items, pairs
from .wording import Chat, ask, ask_about, capital, key, turn, with_article

ADJECTIVES = (
    "old",
    "small",
    "happy",
    "quiet",
    "young",
    "kind",
    "tall",
    "clever",
    "tired",
    "friendly",
    "lazy",
    "little",
)
_NOUNS = ("dog", "farmer", "girl", "teacher", "boy", "cat", "baker", "child", "fox", "doctor", "donkey", "king")
_ACTIONS = (
    "sleeps under the table",
    "came home late",
    "sang a song",
    "is waiting outside",
    "ran across the field",
    "likes the rain",
    "stopped near the bridge",
    "lives by the sea",
    "was very hungry",
    "found a coin",
    "looked at the stars",
    "went to the market",
)
_PAIR_QUESTIONS = (
    "What is the opposite of {q}?",
    "Give me the opposite of {q}.",
    "Which word is the opposite of {q}?",
    "Tell me the opposite of {q}.",
    "Name the opposite of {q}.",
    "What is the antonym of {q}?",
    "{q} is the opposite of [what|which word]?",
    "The opposite of {q} is",
    "What word means the opposite of {q}?",
    "Find a word that means the opposite of {q}.",
    "What is the contrary of {q}?",
    "{w} and its opposite:",
    "I say {w}, you say the opposite.",
    "I want the opposite of {q}. Which word is it?",
    "Which word goes with {w} as its opposite?",
    "{w} has which opposite?",
    "Say the opposite: {w}.",
    "Turn {w} into its opposite.",
)
_TIMES_PAIRED = Counter(word for pair in pairs(OPPOSITES) for word in pair)
_PLURAL = (
    "What is the plural of {q}?",
    "Give me the plural of {q}.",
    "Write the plural of {q}.",
    "One {w}, two ...?",
    "How do you write more than one {w}?",
    "Tell me the plural form of {q}.",
    "Put the word {q} in the plural.",
    "What do you call more than one {w}?",
)
_SINGULAR = (
    "What is the singular of {q}?",
    "Give me the singular of {q}.",
    "Write the singular of {q}.",
    "Many {w}, but one ...?",
)
_PAST = (
    "What is the past tense of {q}?",
    "Give me the past tense of {q}.",
    "Put {q} into the past tense.",
    "Today I {w}, yesterday I ...?",
    "How do you say {q} in the past?",
    "Write the simple past of {q}.",
    "Tell me the past form of the verb {q}.",
)


def words(_: Texts, rng: random.Random) -> Iterator[Chat]:
    """Questions about letters, words and their forms, without end."""
    makers = (
        _opposite,
        _plural,
        _past,
        _comparison,
        spelled,
        spelled,
        one_letter,
        counted_letters,
        neighbour_letter,
        _sort,
        _copy,
        _copy,
        _count,
        _position,
        _article,
        _odd_one,
        _rhyme,
    )
    for make in itertools.cycle(makers):
        yield make(rng)


def simple_sentence(rng: random.Random) -> str:
    """ "The old farmer sang a song." """
    adjective = f"{rng.choice(ADJECTIVES)} " if rng.random() < 0.6 else ""
    article = rng.choice(("the", "the", "my", "our", "one"))
    return f"{capital(article)} {adjective}{rng.choice(_NOUNS)} {rng.choice(_ACTIONS)}."


def _short(rng: random.Random, word: str, sentence: str) -> str:
    """The word alone, or a sentence with it."""
    return rng.choice((capital(word) + ".", word, capital(word), sentence))


def _opposite(rng: random.Random) -> Chat:
    pair = rng.choice(pairs(OPPOSITES))
    one, other = pair if rng.random() < 0.5 else pair[::-1]
    if _TIMES_PAIRED[one] > 1:  # the opposite of old is new and young
        one, other = other, one
    if _TIMES_PAIRED[one] > 1:
        return _opposite(rng)
    asked = ask(rng, _PAIR_QUESTIONS, q=quoted(rng, one), w=one)
    return turn(
        capital(asked) if rng.random() < 0.9 else asked,
        _short(rng, other, f"The opposite of {one} is {other}."),
        key("opposite", one),
    )


def _plural(rng: random.Random) -> Chat:
    one, many = rng.choice(pairs(PLURALS))
    if rng.random() < 0.2 and one != many:
        return turn(
            ask(rng, _SINGULAR, q=quoted(rng, many), w=many), _short(rng, one, f"The singular of {many} is {one}.")
        )
    return turn(ask(rng, _PLURAL, q=quoted(rng, one), w=one), _short(rng, many, f"The plural of {one} is {many}."))


def _past(rng: random.Random) -> Chat:
    now, before = rng.choice(pairs(PAST))
    return turn(
        ask(rng, _PAST, q=quoted(rng, now), w=now), _short(rng, before, f"The past tense of {now} is {before}.")
    )


def _comparison(rng: random.Random) -> Chat:
    base, more, most = rng.choice(pairs(COMPARISON))
    if rng.random() < 0.5:
        asked = ask(
            rng,
            ("What is the comparative of {q}?", "Give me the comparative form of {q}.", "Complete: {w}, ..., {m}"),
            q=quoted(rng, base),
            w=base,
            m=most,
        )
        return turn(asked, _short(rng, more, f"The comparative of {base} is {more}."))
    asked = ask(
        rng,
        ("What is the superlative of {q}?", "Give me the superlative of {q}.", "Complete: {w}, {c}, ..."),
        q=quoted(rng, base),
        w=base,
        c=more,
    )
    return turn(asked, _short(rng, most, f"The superlative of {base} is {most}."))


def _sort(rng: random.Random) -> Chat:
    chosen = rng.sample(POOL, rng.randint(3, 5))
    shown = rng.choice((", ", ", ", " ")).join(chosen)
    forms = (
        "Put [these|the|the following] words [in|into] alphabetical order",
        "Sort [these|the] words [alphabetically|by the alphabet|from A to Z]",
        "Arrange [these|the following] words in alphabetical order",
        "Order these words alphabetically",
        "Which order do these words have in a dictionary",
    )
    return turn(
        ask_about(rng, forms, shown), rng.choice((", ", ", ", "\n")).join(sorted(chosen)), key("order", {*chosen})
    )


def _copy(rng: random.Random) -> Chat:
    text = simple_sentence(rng) if rng.random() < 0.55 else " ".join(rng.sample(POOL, rng.randint(1, 3)))
    asks = key("copy", normal(text))
    thing = "sentence" if text.endswith(".") else "word" if " " not in text else "text"
    forms = (
        "Repeat after me",
        f"Repeat this {thing}",
        f"Copy this {thing}",
        f"Copy the {thing} exactly",
        "Say exactly this",
        "Say [this|the following] and nothing else",
        "Write exactly this",
        f"Write this {thing} again",
        "Repeat",
        "Echo",
        "Please say",
        f"Type this {thing}",
        "Answer only with this",
    )
    if thing == "word" and rng.random() < 0.5:
        return turn(
            ask(
                rng,
                (
                    'Say the word "{w}".',
                    'Write the word "{w}" and [nothing else|nothing more|stop].',
                    'Answer with the word "{w}".',
                    'Just say "{w}".',
                    "Write {w}.",
                ),
                w=text,
            ),
            text,
            asks,
        )
    if rng.random() < 0.1:
        times = rng.randint(2, 3)
        asked = ask(
            rng,
            ('Write "{t}" {n}.', 'Say "{t}" {n}.', 'Repeat "{t}" {n}.'),
            t=text.rstrip("."),
            n=("twice", "three times")[times - 2],
        )
        return turn(asked, ", ".join([text.rstrip(".")] * times), asks)
    return turn(ask_about(rng, forms, text), text, asks)


def _count(rng: random.Random) -> Chat:
    text = simple_sentence(rng)
    count = len(text.split())
    asked = ask_about(
        rng,
        (
            "How many words does this sentence have",
            "How many words are in this sentence",
            "Count the words in this sentence",
            "Count the words",
        ),
        text,
    )
    return turn(
        asked, rng.choice((str(count), f"{count}.", f"The sentence has {count} words.", f"It has {count} words."))
    )


def _position(rng: random.Random) -> Chat:
    text = simple_sentence(rng)
    parts = text.rstrip(".").split()
    where, word = rng.choice((("first", parts[0]), ("last", parts[-1]), ("second", parts[1])))
    bare = rng.random() < 0.3
    if bare:
        return turn(
            ask_about(
                rng,
                ("Write only the {p} word", "Give me only the {p} word of this", "Answer only with the {p} word"),
                text,
                p=where,
            ),
            word,
        )
    asked = ask_about(
        rng,
        (
            "What is the {p} word of this sentence",
            "Which word is the {p} one in this sentence",
            "Give me the {p} word of the sentence",
        ),
        text,
        p=where,
    )
    return turn(asked, rng.choice((word, capital(word) + ".", f'The {where} word is "{word}".')))


def _article(rng: random.Random) -> Chat:
    word = rng.choice(
        [noun for pair in pairs(PLURALS) for noun in pair[:1] if noun not in ("deer", "sheep")]
        + ["apple", "egg", "orange", "owl", "ant", "island", "uncle", "hour", "umbrella", "elbow"]
    )
    article = with_article(word).split()[0]
    asked = ask(
        rng,
        (
            'Is it "a {w}" or "an {w}"?',
            "Do I write a or an before {w}?",
            "Which is right: a {w} or an {w}?",
            "A or an: ... {w}",
        ),
        w=word,
    )
    return turn(asked, rng.choice((f"{capital(article)} {word}.", f'"{capital(article)} {word}" is right.')))


def _odd_one(rng: random.Random) -> Chat:
    kind, other = apart(rng)
    inside = rng.sample(items(MEMBERS[kind]), 3)
    odd = rng.choice(items(MEMBERS[other]))
    shown = [*inside, odd]
    rng.shuffle(shown)
    asked = ask_about(
        rng,
        ("Which word does not belong [here|with the others]", "Find the odd one out", "Which of these does not fit"),
        ", ".join(shown),
    )
    return turn(asked, rng.choice((odd, capital(odd) + ".", f"{capital(odd)}. The others are {kind}.")))


def _rhyme(rng: random.Random) -> Chat:
    group = rng.choice(_RHYMES)
    one, other = rng.sample(group.split(), 2)
    asked = ask(
        rng,
        (
            "What rhymes with {q}?",
            "Give me a word that rhymes with {q}.",
            "Find a rhyme for {q}.",
            "Name a word that rhymes with {q}.",
        ),
        q=quoted(rng, one),
    )
    return turn(asked, _short(rng, other, f"{capital(other)} rhymes with {one}."))


_RHYMES = (
    "cat hat bat rat mat",
    "house mouse",
    "tree bee sea knee key",
    "day play way say",
    "night light right bright",
    "moon spoon soon noon",
    "dog fog log frog",
    "sun run fun bun",
    "cake lake snake make",
    "ball wall tall fall",
    "rain train plane",
    "star car far jar",
    "king ring sing wing",
    "boat goat coat note",
    "bed red head bread",
    "fish dish wish",
    "blue shoe two new",
    "hand sand land band",
    "bear chair pear hair",
    "box fox socks",
    "book look cook hook",
    "ten pen hen men",
    "sky fly high eye",
    "snow go low grow",
    "bell shell tell well",
    "nose rose toes",
    "mother brother other",
    "ground sound round",
    "green queen bean",
    "town brown crown down",
)
