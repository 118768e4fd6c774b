"""What is kept out of training: which questions, how one is drawn, and how a reply to one is judged."""

import random
import re
from dataclasses import dataclass
from functools import lru_cache

from .phrasings import BY_NAME, IDENTITY, RELATIONS
from .world import NUMBERS


@dataclass(frozen=True)
class Question:
    """One question and what a right reply holds.

    `template` and `entity` name the pair that is held out: the wording's number within its category, and the thing
    asked about. With `new_phrasing` no question of that wording is in training, about whatever thing.
    """

    prompt: str
    category: str
    template: int
    entity: str
    answers: tuple[str, ...]
    new_phrasing: bool

    @property
    def messages(self) -> list[dict[str, str]]:
        """The chat to put to the model."""
        return [{"role": "user", "content": self.prompt}]


@dataclass(frozen=True)
class Split:
    """All questions about the world, divided: `trained[category][entity]` are wordings, `held` is the rest."""

    trained: dict[str, dict[str, tuple[int, ...]]]
    held: tuple[Question, ...]


def question(category: str, template: int, entity: str, new_phrasing: bool = False) -> Question:
    """Wording number `template` of `category` about `entity`; for identity, `entity` is the topic."""
    if category == "identity":
        _, key, wordings = IDENTITY[entity]
        return Question(wordings[template], category, template, entity, (key,), new_phrasing)
    relation = BY_NAME[category]
    return Question(relation.ask(template, entity), category, template, entity, (relation.facts[entity],), new_phrasing)


@lru_cache(maxsize=8)
def split(seed: int) -> Split:
    """Divide all questions: of each category one wording is new, and every second thing misses one more wording.

    So each thing keeps all but two of its wordings for training. A question that would merely contain a held-out one
    ("What is 1 plus 10?" holds "What is 1 plus 1") is neither trained nor asked.
    """
    rng = random.Random(f"{seed}/split")
    trained: dict[str, dict[str, tuple[int, ...]]] = {"identity": {}}
    held: list[Question] = []
    for topic, (_, _, wordings) in IDENTITY.items():
        new = rng.randrange(len(wordings))
        held.append(question("identity", new, topic, new_phrasing=True))
        trained["identity"][topic] = tuple(i for i in range(len(wordings)) if i != new)
    new_sum = rng.randrange(len(BY_NAME["sum"].questions))  # one for all four: they share their wordings
    for relation in RELATIONS:
        wordings = relation.questions
        new = new_sum if relation.questions is BY_NAME["sum"].questions else rng.randrange(len(wordings))
        rest = [i for i in range(len(wordings)) if i != new]
        missing = {entity: rng.choice(rest) for entity in relation.facts if rng.random() < 0.5}
        asked = [question(relation.name, new, entity, new_phrasing=True) for entity in relation.facts]
        asked += [question(relation.name, template, entity) for entity, template in missing.items()]
        held += asked
        kept_out = [normalised(one.prompt) for one in asked]

        def may_be_trained(prompt: str, kept_out: list[str] = kept_out) -> bool:
            text = normalised(prompt)
            return not any(other in text for other in kept_out)

        trained[relation.name] = {
            entity: tuple(i for i in rest if may_be_trained(relation.ask(i, entity))) for entity in relation.facts
        }
    return Split(trained, tuple(held))


def held_out(seed: int, count: int = 50) -> list[Question]:
    """Draw `count` test questions that are not in the training text of the same seed.

    Categories take turns. About a third of the questions are in a wording that training never uses.

    Raises:
        ValueError: `count` is below 1, or there are not so many held-out questions.
    """
    pool = split(seed).held
    if not 1 <= count <= len(pool):
        raise ValueError(f"count={count} must be between 1 and {len(pool)}, the held-out questions of seed {seed}")
    rng = random.Random(f"{seed}/questions")
    queues: dict[tuple[str, bool], list[Question]] = {}
    for one in rng.sample(pool, len(pool)):
        queues.setdefault((one.category, one.new_phrasing), []).append(one)
    categories = ["identity", *(relation.name for relation in RELATIONS)]
    rng.shuffle(categories)
    drawn: list[Question] = []
    turn = 0
    while len(drawn) < count:
        for place, category in enumerate(categories):
            new_first = (turn + place) % 3 == 0
            for new in (new_first, not new_first):
                if queue := queues.get((category, new)):
                    drawn.append(queue.pop())
                    break
        turn += 1
    return drawn[:count]


def normalised(text: str) -> str:
    """`text` in small letters and single spaces, without punctuation."""
    return " ".join(re.findall(r"[a-z0-9]+", text.lower().replace("'", "")))


def answers(question: Question, reply: str) -> bool:
    """Whether `reply` gives the right answer to `question`, and no other answer of its category.

    Case, punctuation and the rest of the sentence are free, numbers may be words or digits. Naming a second value
    ("yellow or green"), denying ("not yellow") and answering about another thing are wrong.
    """
    said = _canonical(reply)
    if question.category == "identity":
        return all(_holds(said, answer) for answer in question.answers) and not _holds(said, "not brandon")
    if question.category == "legs":
        said = re.sub(r"\b(does not|doesnt) have( any)? legs|\b0 legs", "no legs", said)
    if re.search(r"\b(not|isnt|doesnt|dont)\b", said):
        return False
    relation = BY_NAME[question.category]
    entity = _canonical(question.entity)
    named = _holds(said, entity) or _holds(said, _bare(entity))
    for alias in (entity, *_turned(entity), _bare(entity)):
        said = _without(said, alias)
    values = {_canonical(value) for value in relation.facts.values()}
    right = {_canonical(answer) for answer in question.answers}
    if not named:
        others = {_bare(_canonical(other)) for other in relation.facts} - right
        if any(_holds(said, other) for other in others):
            return False
    found = {value for value in values if _holds(said, value)}
    return bool(found) and found <= right


def _canonical(text: str) -> str:
    """Normalised, with numbers as digits."""
    words = (str(NUMBERS.index(word)) if word in NUMBERS else word for word in normalised(text).split())
    return " ".join(words)


def _bare(entity: str) -> str:
    return re.sub(r"^(an?|the) ", "", entity)


def _turned(entity: str) -> list[str]:
    """The other ways to write a sum or difference: "3 plus 4" is also "3 and 4", "4 from 3" or, with a sign, "3 4"."""
    match = re.fullmatch(r"(\d+) (plus|minus) (\d+)", entity)
    if match is None:
        return []
    a, sign, b = match.groups()
    ways = [f"{a} and {b}", f"{a} {b}", f"{b} plus {a}"] if sign == "plus" else [f"{a} take away {b}", f"{a} {b}"]
    return [*ways, f"{b} from {a}"]


def _holds(text: str, part: str) -> bool:
    return f" {part} " in f" {text} "


def _without(text: str, part: str) -> str:
    return " ".join(f" {text} ".replace(f" {part} ", " ; ").split())
