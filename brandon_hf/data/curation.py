"""Which chats are worth training on: every rule has a name, and the report says what each one dropped."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from brandon_hf.metrics.repetition import sequence_loops

EXAMPLES = 3  # kept per reason in the report
EXAMPLE_CHARACTERS = 200
MIN_LETTERS_TO_JUDGE = 60  # fewer letters say nothing about the language

# Only what nobody says in a role or in small talk: "I'm sorry, but that is so funny" is a fine answer.
_CANNOT = (
    r"(?:i\s+(?:cannot|can'?t|can\s+not|am\s+(?:unable|not\s+able)\s+to|am\s+not\s+(?:capable|programmed)|"
    r"won'?t\s+be\s+able\s+to|do\s*(?:n'?t|not)\s+have\s+(?:the\s+ability|access))|"
    r"i'm\s+(?:unable|not\s+able)\s+to)"
)
_TO_SERVE = (
    r"(?:\s+(?:to|of))?\s+(?:\w+ly\s+)?(?:assist|help|answer|provid|fulfil|comply|generat|creat|writ|"
    r"discuss|support|engag|offer|complet|respond|process|access|browse|give)"
)
_REFUSAL = re.compile(
    r"\bas\s+an?\s+(?:\w+\s+)?(?:ai|artificial\s+intelligence|language\s+model|chat\s*bot)(?:\s+(?:\w+\s+)?"
    r"(?:model|assistant|chat\s*bot|system))?(?:\s+\(\w+\))?,?\s+(?:i|my\s+\w+)\s+(?:do\s+not|do\s*n'?t|can\s*not|"
    r"can'?t|am\s+(?:un|not|only|just)|have\s+no|lack|was\s+not|is\s+not)"
    rf"|^\W*(?:(?:i'm|i\s+am|we're)?\s*(?:very\s+|so\s+)?sorry|i\s+apologi[sz]e|unfortunately)\b[^.\n]{{0,40}}?\b"
    rf"{_CANNOT}{_TO_SERVE}"
    rf"|^\W*{_CANNOT}{_TO_SERVE}",
    re.IGNORECASE,
)
_TEMPLATE_TOKEN = re.compile(
    r"<\|[a-z_]{2,24}\|>|\[/?INST\]|<</?SYS>>|^\s*#{2,3}\s*(?:Instruction|Response|Human|Assistant|User|Input|Output)\s*:"
    r"|</?s>\s*\Z|\A\s*<s>|<unk>|<<[^<>\n]*=[^<>\n]*>>",
    re.MULTILINE,
)
_HTML = re.compile(
    r"</?(?:p|br|hr|div|span|a|b|i|u|li|ul|ol|dl|dt|dd|table|tbody|thead|tr|td|th|strong|em|h[1-6]|img|font|sup|sub|"
    r"blockquote|center|iframe|script|style|ref|nowiki)(?:\s[^<>]*)?/?>|&(?:nbsp|amp|lt|gt|quot|#\d{2,5});",
    re.IGNORECASE,
)
_ABOUT_HTML = re.compile(
    r"\b(?:html|xml|css|svg|tags?|web\s?(?:page|site)s?|markup|javascript|php|react|code)\b|<\w", re.IGNORECASE
)
_MOJIBAKE = re.compile(
    # UTF-8 read as Latin-1 or Windows-1252, once
    r"\ufffd|\ufeff|ï»¿|â€|Ã[\u0080-\u00bf\u0152-\u2122]|Â[\u00a0-\u00bf]"
)
_CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
_LATEX_COMMAND = re.compile(r"\\(?:frac|sqrt|begin|text|mathrm|mathbf|sum|int|left)\b")
_ENGLISH = frozenset(
    re.findall(
        r"\w+",
        "the a an and or but of to in on at for with from by as is are was were be been am it its this that "
        "these those he she they we you i my your his her their our me him them us not no do does did have "
        "has had will would can could should what which who when where how why if then so than there here all "
        "some any one more most about into",
    )
)
_OTHER_LANGUAGES = frozenset(  # Spanish, French, German, Italian, Portuguese, Dutch, Indonesian, Swedish, Polish
    re.findall(
        r"\w+",
        "el los las una unos por para con como pero muy está este esta son más que del lo les des une dans "
        "pour pas avec sur vous nous qui est et sont cette der das und ist nicht ein eine einen mit auf für "
        "von dem zu sich wir ihr auch wie il di che della sono gli nel più anche um uma não dos das nas het "
        "een niet dat met voor zijn dan yang adalah untuk dengan ini itu och att det som är inte jest się nie "
        "na la le se un y je elle ich sie",
    )
)


@dataclass(frozen=True)
class CurationRules:
    """What `curate` drops; lengths are in characters.

    Raises:
        ValueError: a bound is negative, or a minimum is above its maximum.
    """

    min_prompt_characters: int = 2
    max_prompt_characters: int = 4000
    min_answer_characters: int = 1
    max_answer_characters: int = 4000
    english_only: bool = True
    drop_duplicates: bool = True
    drop_refusals: bool = True
    drop_broken_markup: bool = True
    drop_loops: bool = True

    def __post_init__(self) -> None:
        for what in ("prompt", "answer"):
            low, high = getattr(self, f"min_{what}_characters"), getattr(self, f"max_{what}_characters")
            if not 0 <= low <= high:
                raise ValueError(
                    f"min_{what}_characters={low} and max_{what}_characters={high} must be 0 or more, the minimum first"
                )


@dataclass
class CurationReport:
    """What `curate` did: rows in and out, in all and per source, and what each reason dropped."""

    rows: int = 0
    kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)  # reason -> rows
    examples: dict[str, list[str]] = field(default_factory=dict)  # reason -> up to 3 excerpts
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)  # source -> {"rows": ..., "kept": ...}

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values, ready for JSON."""
        return {
            "rows": self.rows,
            "kept": self.kept,
            "dropped": dict(sorted(self.dropped.items(), key=lambda item: -item[1])),
            "examples": self.examples,
            "sources": self.sources,
        }

    def to_markdown(self) -> str:
        """The report as Markdown: a table of sources, a table of reasons, the examples."""
        lines = [f"{self.kept:,} of {self.rows:,} chats kept.", "", "| source | rows | kept |", "|---|---|---|"]
        lines += [f"| {_cell(name)} | {of['rows']:,} | {of['kept']:,} |" for name, of in self.sources.items()]
        dropped = self.to_dict()["dropped"]
        if dropped:
            lines += ["", "| dropped because | rows |", "|---|---|"]
            lines += [f"| {reason} | {count:,} |" for reason, count in dropped.items()]
            lines += ["", "Examples of what was dropped:", ""]
            lines += [f"- {reason}: {_cell(text)}" for reason in dropped for text in self.examples[reason]]
        return "\n".join(lines) + "\n"


def curate(
    chats: Sequence[dict[str, Any]], rules: CurationRules | None = None
) -> tuple[list[dict[str, Any]], CurationReport]:
    """Sort out the chats that are not worth training on; each is dropped for the first reason that holds.

    Args:
        chats: rows with "messages" (as `load_chats` gives them); "source", where they have it, is for the report.
        rules: what to drop; None is the defaults.

    Returns:
        The rows kept, unchanged and in order, and the report.
    """
    rules = rules or CurationRules()
    report, kept = CurationReport(), []
    exact: set[tuple[str, ...]] = set()
    similar: set[tuple[str, ...]] = set()
    for chat in tqdm(chats, desc="Curating chats", unit="chat", delay=1):
        messages = chat["messages"]
        reason, excerpt = _first_fault(messages, rules)
        if not reason and rules.drop_duplicates:
            texts = tuple(message["content"] for message in messages)
            folded = tuple(_folded(text) for text in texts)
            if texts in exact:
                reason, excerpt = "duplicate, exact", texts[-1]
            elif folded in similar:
                reason, excerpt = "duplicate but for case, spaces and punctuation", texts[-1]
            exact.add(texts)
            similar.add(folded)
        of_source = report.sources.setdefault(str(chat.get("source", "chats")), {"rows": 0, "kept": 0})
        report.rows += 1
        of_source["rows"] += 1
        if reason:
            report.dropped[reason] = report.dropped.get(reason, 0) + 1
            examples = report.examples.setdefault(reason, [])
            if len(examples) < EXAMPLES:
                examples.append(excerpt[:EXAMPLE_CHARACTERS])
        else:
            kept.append(chat)
            report.kept += 1
            of_source["kept"] += 1
    return kept, report


def is_refusal(answer: str) -> bool:
    """Whether an answer turns the request down as assistants do ("As an AI language model, I ...")."""
    return _REFUSAL.search(answer.replace("\u2019", "'")) is not None


def is_english(text: str) -> bool:
    """Whether a text looks English; a text of under 60 letters always does.

    It does not if over a fifth of its letters are not a to z, or if it has more of the small words of nine other
    languages than of the English ones. A list of names is no reason to doubt.
    """
    letters = sum(map(str.isalpha, text))
    if letters < MIN_LETTERS_TO_JUDGE:
        return True
    if sum(character.isascii() and character.isalpha() for character in text) < 0.8 * letters:
        return False
    found = re.findall(r"[^\W\d_]+", text.lower())
    english, other = (sum(word in small for word in found) for small in (_ENGLISH, _OTHER_LANGUAGES))
    return other <= max(english, 0.2 * len(found))


def broken_markup(text: str, prompt: str = "") -> str | None:
    """What is broken in a text's markup, in a few words, or None. HTML is allowed where `prompt` is about it."""
    prose = _CODE.sub(" ", text)
    faults: tuple[tuple[str, Callable[[], bool]], ...] = (
        ("template tokens", lambda: _TEMPLATE_TOKEN.search(prose) is not None),
        ("mojibake", lambda: _MOJIBAKE.search(text) is not None),
        ("unclosed code fence", lambda: text.count("```") % 2 == 1),
        ("HTML", lambda: _HTML.search(prose) is not None and not _ABOUT_HTML.search(prompt)),
        ("unclosed LaTeX", lambda: _unclosed_latex(prose)),
    )
    return next((name for name, holds in faults if holds()), None)


def _first_fault(messages: list[dict[str, str]], rules: CurationRules) -> tuple[str, str]:
    """(reason, the offending text) of the first rule that drops the chat; ("", "") if none does."""
    turns = messages[1:] if messages and messages[0]["role"] == "system" else messages
    roles = [turn["role"] for turn in turns]
    shown = turns[0]["content"] if turns else ""
    if "assistant" not in roles:
        return "no assistant turn", shown
    if any(role != ("user", "assistant")[at % 2] for at, role in enumerate(roles)):
        return "roles do not alternate", f"{' '.join(roles)}: {shown}"
    if any(not message["content"].strip() for message in messages):
        return "empty turn", shown
    bounds = {
        "user": ("prompt", rules.min_prompt_characters, rules.max_prompt_characters),
        "assistant": ("answer", rules.min_answer_characters, rules.max_answer_characters),
    }
    for turn in turns:
        name, low, high = bounds[turn["role"]]
        if len(turn["content"]) < low:
            return f"{name} under {low} characters", turn["content"]
        if len(turn["content"]) > high:
            return f"{name} over {high} characters", turn["content"]
    prompts = "\n".join(turn["content"] for turn in turns if turn["role"] == "user")
    for answer in (turn["content"] for turn in turns if turn["role"] == "assistant"):
        if rules.drop_broken_markup and (fault := broken_markup(answer, prompts)):
            return f"broken markup: {fault}", answer
        if rules.drop_refusals and is_refusal(answer):
            return "refusal", answer
        if rules.drop_loops and sequence_loops(answer):
            return "loop", answer
    if rules.drop_broken_markup and _TEMPLATE_TOKEN.search(_CODE.sub(" ", prompts)):
        return "broken markup: template tokens", prompts
    if rules.english_only and not is_english("\n".join(turn["content"] for turn in turns)):
        return "not English", turns[1]["content"]
    return "", ""


def _unclosed_latex(text: str) -> bool:
    pairs: Iterable[tuple[str, str]] = ((r"\(", r"\)"), (r"\[", r"\]"), (r"\begin{", r"\end{"))
    if any(text.count(begin) != text.count(end) for begin, end in pairs):
        return True
    # Only beside commands are "$$" and braces LaTeX: "players make lots of $$$".
    return _LATEX_COMMAND.search(text) is not None and (text.count("{") != text.count("}") or text.count("$$") % 2 == 1)


def _folded(text: str) -> str:
    """A text as duplicates are compared; signs that carry meaning (+ - < > =) stay."""
    return " ".join(re.sub(r"[.,!?;:'\"\u2018\u2019\u201c\u201d]", " ", text.lower()).split())


def _cell(text: str) -> str:
    """A text that breaks neither a Markdown table nor a list."""
    return " ".join(text.split()).replace("|", r"\|").replace("<", "&lt;")
