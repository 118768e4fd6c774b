"""The usual schemas of chat data, normalised: ChatML messages, ShareGPT, instruction and input, question and answer."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

Message = dict[str, str]  # {"role": "system" | "user" | "assistant", "content": ...}

_MESSAGES = ("messages", "conversations", "conversation")
_QUESTIONS = ("instruction", "question", "prompt", "query")
_INPUTS = ("input", "context")
_ANSWERS = ("output", "answer", "response", "completion")
_SYSTEMS = ("system", "system_prompt")
COLUMNS = (*_MESSAGES, *_QUESTIONS, *_INPUTS, *_ANSWERS, *_SYSTEMS)
_ROLES = {"human": "user", "prompter": "user", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant"}
_ROLES |= {"model": "assistant", "user": "user", "assistant": "assistant", "system": "system"}
_SCHEMAS = (
    "messages (role, content), conversations (from, value), instruction + output with or without input, "
    "or a question (question, prompt, query) + an answer (answer, response, completion)"
)


def messages_of(row: Mapping[str, Any], place: str = "row", columns: Mapping[str, str] | None = None) -> list[Message]:
    """The conversation in one row of any of the schemas that `load_chats` knows.

    Raises:
        ValueError: the row is none of them; starts with `place` and names the columns found.
    """
    if columns:
        if missing := [theirs for theirs in columns.values() if theirs not in row]:
            raise ValueError(f"{place}: there is no column {missing[0]!r}; the columns are {_names(row)}")
        row_read: Mapping[str, Any] = {ours: row[theirs] for ours, theirs in columns.items()}
    else:
        row_read = row
    system = _first(row_read, _SYSTEMS)
    opening: list[Any] = [{"role": "system", "content": system}] if system else []
    turns = _first(row_read, _MESSAGES)
    if isinstance(turns, str):
        turns = _parsed_messages(turns, place)
    if not turns:
        question, answer = (_first(row_read, names) for names in (_QUESTIONS, _ANSWERS))
        if question is None or answer is None:
            raise ValueError(f"{place}: this is no conversation; its columns are {_names(row)}, wanted are {_SCHEMAS}")
        if isinstance(question, list) and isinstance(answer, list):  # TRL's conversational prompt and completion
            turns = question + answer
        else:
            if extra := _first(row_read, _INPUTS):
                question = f"{question}\n\n{extra}"
            turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    if not isinstance(turns, list | tuple):
        raise ValueError(f"{place}: the conversation is {str(turns)!r:.60}, not a list of messages")
    if turns and isinstance(turns[0], Mapping) and _role(turns[0], place, 0) == "system":
        opening = []
    return [_message(turn, place, at) for at, turn in enumerate([*opening, *turns])]


def _message(turn: Any, place: str, at: int) -> Message:
    if not isinstance(turn, Mapping):
        raise ValueError(f"{place}: message {at} is {str(turn)!r:.60}, not an object with role and content")
    content = turn["content"] if "content" in turn else turn.get("value")
    if isinstance(content, list) and all(isinstance(part, Mapping) and part.get("type") == "text" for part in content):
        content = "".join(str(part.get("text", "")) for part in content)
    if isinstance(content, int | float) and not isinstance(content, bool):
        content = str(content)
    if not isinstance(content, str):
        raise ValueError(f"{place}: message {at} has the content {content!r:.60}, not text")
    if half := re.search("[\ud800-\udfff]", content):
        raise ValueError(
            f"{place}: message {at} holds U+{ord(half[0]):04X}, half of a surrogate pair: not valid Unicode"
        )
    return {"role": _role(turn, place, at), "content": content}


def _role(turn: Mapping[str, Any], place: str, at: int) -> str:
    name = turn["role"] if "role" in turn else turn.get("from")
    if not isinstance(name, str) or name.lower() not in _ROLES:
        raise ValueError(f"{place}: message {at} has the role {name!r}; known are {', '.join(_ROLES)}")
    return _ROLES[name.lower()]


def _parsed_messages(text: str, place: str) -> Any:
    """Messages written as a JSON string, as Parquet files without nested types hold them; "" is none."""
    try:
        return json.loads(text) if text.strip() else None
    except json.JSONDecodeError as error:
        raise ValueError(f"{place}: the messages are text that is not valid JSON ({error}): {text!r:.60}") from error


def _first(row: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _names(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name!r}{' (null)' if value is None else ''}" for name, value in row.items()) or "none"
