"""Chats from textbooks: a sentence that says what a thing is answers the question what it is."""

import random
import re
from collections import Counter
from collections.abc import Iterator

from .building import Texts
from .meaning import head
from .plain_sentences import normalised
from .wording import Chat, ask, capital, key, small, turn, with_article, words_of

SOURCE = "openstax_ccby"

LINK = re.compile(r"\s*\([^()]*\[\[?link[^()]*\)|\s*\[\[?link\]?\]?(?:\(#[^)]*\))?")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_DEFINITION = re.compile(
    r"^(?P<article>An? |The )?(?P<term>[A-Za-z][a-z]+(?:[ -][a-z]+){0,2}) (?P<verb>is|are|refers to|is defined as) "
    r"(?P<kind>(?:an?|the|any) [a-z]|organisms|chemical|substances|structures|cells|molecules|particles|people|groups|"
    r"animals|plants|proteins|organs|regions|rocks|tissues|bones|muscles|compounds)"
)
_NO_TERM = frozenset(
    re.findall(
        r"\w+",
        "it this that these those there they he she we you one which what who all some many most each another "
        "other both such here first second third next last result goal reason purpose difference example "
        "question answer problem point case idea key process following latter former important main common "
        "same only best most figure table chapter section note recall imagine value number amount author "
        "movie film book story government president war nation country city step effect function role use "
        "other another part name term word way solution method mechanism conversion choice more less now then "
        "however therefore if when although because since while as but and or in on at by for to from with "
        "your our their his her its my not no nothing everything something anything someone people "
        "whether evident also "
        "unknown still just only burning profits",
    )
)
_NO_MEANING = re.compile(
    r"\b(?:this|these|those|above|below|following|previous|previously|figure|table|chapter|section|here|example|"
    r"discussed|we|our|you|your|shown|another|therefore|however|thus|same|called the|itself|most|only|main|primary|"
    r"first|same|best|key|important|one of|result|reason|subject of|focus|matter|goal|topic|common|good|bad|"
    r"great|major|significant|critical|essential|opposite|equivalent|challenge|issue|concern|problem|example|factor|"
    r"unique|serious|threat|source of|predominant|term|final|few|successful|standard|specific|day-to-day|similar to|"
    r"dynamic|particular|cause of|random|event|famous|popular|in which case|name for|growing|"
    r"case|way to|requirement|preferred|clever|statistical|being lost|entire|because|"
    r"component|cost|part of|very|commercial|"
    r"letter|identifying|such (?!as)|active|young|purely|necessary|agents|institution|lots|scene|highly|"
    r"largest|smallest|second|third|function of|sum of|product of)\b"
    r"|[\[\](){}*_$=#<>\d;:\u201c\u201d\"]|\.\.|\u2014",
    re.IGNORECASE,
)
_SAYS = re.compile(  # what makes a class of things the thing meant, with something after it
    r"\b(?:of|that|which|who|where|when|whose|used|made|composed|consisting|containing|between|by|with|"
    r"for|in|to|from)\b"
    r"(?!.*\b(?:of|in|by|to|from|with|for|at|on|as|the|and|or)\.$) [a-z]"
)
_VAGUE = re.compile(
    r"^(?:is|are) (?:an?|the) (?:[\w-]+ ){0,1}"
    r"(?:part|feature|aspect|component|element|fact|thing|concept|idea|tool|area)\b(?! of)"
)
_KNOWN, _EVERYDAY = 24, 7_000
_WHAT = (
    "What {v} {t}?",
    "What {v} {t}?",
    "Can you explain what {t} {v}?",
    "Explain what {t} {v}.",
    "Tell me what {t} {v}.",
    "Explain {t}[ in one sentence| in simple words| to me|].",
    "Define {t}.",
    "In one sentence, what {v} {t}?",
    "Do you know what {t} {v}?",
    "I want to know what {t} {v}.",
    "Describe {t}[ in one sentence| briefly|].",
    "What do you know about {t}?",
    "[Our teacher|My book|A friend] talked about {t}. What does that mean?",
    "Give me a short [explanation|definition] of {t}.",
)


def explanations(texts: Texts, rng: random.Random) -> Iterator[Chat]:
    """What things of biology, physics, economics, ... are, in the textbooks' sentences of 6 to 22 words."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    used: Counter[str] = Counter()
    written: Counter[str] = Counter()  # as they are written: names never begin with a small letter
    for text in texts(SOURCE):
        plain = normalised(LINK.sub("", text))
        written.update(words_of(plain))
        for paragraph in plain.split("\n"):
            sentences = _SENTENCE.split(paragraph.strip())
            for at, sentence in enumerate(sentences):
                if defined := _defined(sentence):
                    more = sentences[at + 1] if at + 1 < len(sentences) else ""
                    found.setdefault(defined[0].lower(), []).append((defined[1], sentence, more))
    for word, count in written.items():
        used[word.lower()] += count
    terms = [term for term, told in found.items() if len({sentence for _, sentence, _ in told}) <= 4]
    terms = [term for term in terms if all(written[word] >= _KNOWN // 2 for word in words_of(term))]
    everyday = max(
        sum(used.values()) / _EVERYDAY, 500
    )  # a single word that is used more often means something else elsewhere
    terms = [term for term in terms if used[words_of(term)[-1]] < everyday or len(words_of(term)) > 2]
    rng.shuffle(terms)
    for term in terms:
        verb, sentence, more = min(found[term], key=lambda told: (len(told[1].split()), told[1]))
        if any(used[word] < _KNOWN for word in words_of(sentence.lower())):
            continue
        if _goes_on(more) and rng.random() < 0.5:
            sentence += " " + more
        yield turn(ask(rng, _WHAT, v=verb, t=term), capital(sentence), key("about", head(term)))


def _defined(sentence: str) -> tuple[str, str] | None:
    """The term with its article, and is or are, of a sentence that defines one; None for any other."""
    count = len(sentence.split())
    if not 6 <= count <= 22 or not sentence.endswith("."):
        return None
    match = _DEFINITION.match(sentence)
    if not match or _NO_MEANING.search(sentence) or _VAGUE.match(sentence[match.start("verb") :]):
        return None
    words = match["term"].lower().split()
    if (
        _NO_TERM.intersection(words)
        or (match["article"] or "") == "The "
        or re.search(r"(?:ly|wards?)\b", match["term"])
    ):
        return None
    if not _SAYS.search(sentence, match.end("verb")) or not sentence.isascii():
        return None
    if words[-1] in sentence[match.end("verb") :].lower().split():
        return None
    article = (match["article"] or "").lower()
    term = small(match["term"]) if not article else match["term"]
    if article and with_article(term).split()[0] != article.strip():
        return None
    return article + term, match["verb"].split()[0].replace("refers", "is")


def _goes_on(sentence: str) -> bool:
    """Whether a sentence follows a definition by itself: "It ...", "They ...", short and plain."""
    return (
        5 <= len(sentence.split()) <= 18
        and sentence.endswith(".")
        and re.match(
            r"(?:It|They) (?:is|are|has|have|can|may|helps?|uses?|includes?|contains?|lives?|makes?)\b", sentence
        )
        is not None
        and not re.search(
            r"[\[\](){}*_$=#<>;:\u201c\u201d\"]| \.|\b(?:this|these|figure|table|above|below|however|also|shown)\b",
            sentence,
        )
    )
