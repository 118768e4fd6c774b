"""How the facts of `world` are asked, answered and told.

In every phrasing `{x}` is the thing ("a lemon"), `{v}` what holds for it as it stands in a sentence ("yellow", "a
fruit", "in the sea"); statements also take `{s}`, the subject ("the lemon", "it"). All questions of a relation share
its key word (colour, sound, capital, ...), so that a wording never seen in training can still be understood.
"""

from dataclasses import dataclass, field

from . import world


@dataclass(frozen=True)
class Relation:
    """One kind of fact: all things it holds for, with their values, and the wordings.

    `said` gives the form a value takes in a sentence, where it is not the value itself.
    """

    name: str
    facts: dict[str, str]
    answer: str
    questions: tuple[str, ...]
    statements: tuple[str, ...] = ()
    said: dict[str, str] = field(default_factory=dict)

    def value(self, entity: str) -> str:
        """What holds for `entity`, as it stands in a sentence."""
        value = self.facts[entity]
        return self.said.get(value, value)

    def ask(self, template: int, entity: str) -> str:
        """The question about `entity` in wording number `template`."""
        return capitalised(self.questions[template].format(x=entity))

    def tell(self, entity: str) -> str:
        """The answer, one full sentence."""
        return capitalised(self.answer.format(x=entity, v=self.value(entity)))

    def state(self, entity: str, subject: str, statement: str) -> str:
        """One of `statements` about `entity`, which the sentence calls `subject`."""
        return capitalised(statement.format(x=entity, s=subject, v=self.value(entity)))


def capitalised(sentence: str) -> str:
    """`sentence` with its first letter large, the others as they are."""
    return sentence[:1].upper() + sentence[1:]


def with_article(noun: str) -> str:
    """ "owl" -> "an owl"."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _with_articles(facts: dict[str, str]) -> dict[str, str]:
    return {value: with_article(value) for value in facts.values()}


_SUM_QUESTIONS = (
    "What is {x}?",
    "How much is {x}?",
    "Can you work out {x}?",
    "What do you get for {x}?",
    "Tell me the result of {x}.",
    "Please calculate {x}.",
    "What is the answer to {x}?",
    "What number do you get from {x}?",
)
_SUM_STATEMENTS = (
    "{x} is {v}.",
    "{x} makes {v}.",
    "we know that {x} is {v}.",
    "if you calculate {x}, you get {v}.",
    "the result of {x} is {v}.",
)

RELATIONS: tuple[Relation, ...] = (
    Relation(
        "colour",
        world.COLOUR,
        "{x} is {v}.",
        (
            "What colour is {x}?",
            "Tell me the colour of {x}.",
            "Which colour does {x} have?",
            "Do you know what colour {x} is?",
            "Can you name the colour of {x}?",
            "What is the colour of {x}?",
            "Please say which colour {x} has.",
            "I want to know the colour of {x}.",
            "If you look at {x}, what colour do you see?",
        ),
        ("{s} is {v}.", "the colour of {x} is {v}.", "{s} is {v} in colour.", "most people know that {x} is {v}."),
    ),
    Relation(
        "kind",
        world.KIND,
        "{x} is {v}.",
        (
            "What kind of thing is {x}?",
            "Tell me what kind of thing {x} is.",
            "Which kind of thing is {x}?",
            "Do you know what kind of thing {x} is?",
            "What sort of thing is {x}?",
            "Please say what sort of thing {x} is.",
            "What kind of thing do we call {x}?",
            "I want to know what kind of thing {x} is.",
        ),
        ("{s} is {v}.", "{s} counts as {v}.", "we call {x} {v}.", "everybody knows that {x} is {v}."),
        _with_articles(world.KIND),
    ),
    Relation(
        "place",
        world.PLACE,
        "{x} lives {v}.",
        (
            "Where does {x} live?",
            "Tell me where {x} lives.",
            "Do you know where {x} lives?",
            "What is the home of {x}?",
            "In which place does {x} live?",
            "Please say where {x} has its home.",
            "Where can I find the home of {x}?",
            "I want to know where {x} lives.",
        ),
        ("{s} lives {v}.", "{s} has its home {v}.", "you can find {x} {v}.", "the home of {x} is {v}."),
        world.WHERE,
    ),
    Relation(
        "taste",
        world.TASTE,
        "{x} tastes {v}.",
        (
            "How does {x} taste?",
            "Tell me the taste of {x}.",
            "What does {x} taste like?",
            "Do you know how {x} tastes?",
            "What taste does {x} have?",
            "What is the taste of {x}?",
            "Please say how {x} tastes.",
            "I want to know what {x} tastes like.",
        ),
        (
            "{s} tastes {v}.",
            "the taste of {x} is {v}.",
            "{s} has a {v} taste.",
            "if you taste {x}, you will find it {v}.",
        ),
    ),
    Relation(
        "material",
        world.MATERIAL,
        "{x} is made of {v}.",
        (
            "What is {x} made of?",
            "Tell me what {x} is made of.",
            "Do you know what {x} is made of?",
            "What material is {x} made of?",
            "Which material do we need to make {x}?",
            "What is the material of {x}?",
            "Please name the material of {x}.",
            "I want to know what {x} is made of.",
        ),
        ("{s} is made of {v}.", "the material of {x} is {v}.", "people make {x} of {v}.", "you need {v} to make {x}."),
    ),
    Relation(
        "size",
        world.SIZE,
        "{x} is {v}.",
        (
            "What size is {x}?",
            "Is {x} big or small?",
            "Tell me the size of {x}.",
            "Do you know the size of {x}?",
            "What is the size of {x}?",
            "Would you say that {x} is big or small?",
            "Please say what size {x} has.",
            "I want to know if {x} is big or small.",
        ),
        ("{s} is {v}.", "{s} is quite {v}.", "everybody can see that {x} is {v}.", "{s} is {v} in size."),
    ),
    Relation(
        "legs",
        world.LEGS,
        "{x} has {v} legs.",
        (
            "How many legs does {x} have?",
            "Tell me how many legs {x} has.",
            "Do you know how many legs {x} has?",
            "What is the number of legs of {x}?",
            "Can you count the legs of {x}?",
            "Please say how many legs {x} has.",
            "How many legs can you count on {x}?",
            "I want to know how many legs {x} has.",
        ),
        (
            "{s} has {v} legs.",
            "{s} has {v} legs in all.",
            "look at {x}: it has {v} legs.",
            "you can see that {x} has {v} legs.",
        ),
    ),
    Relation(
        "sound",
        world.SOUND,
        "{x} says {v}.",
        (
            "What does {x} say?",
            "Which sound does {x} make?",
            "What sound does {x} make?",
            "Tell me the sound of {x}.",
            "Do you know what sound {x} makes?",
            "What is the sound of {x}?",
            "Please make the sound of {x}.",
            "I want to know what {x} says.",
        ),
        ("{s} says {v}.", "the sound of {x} is {v}.", "{s} makes a sound: {v}.", "{s} likes to say {v}."),
    ),
    Relation(
        "young",
        world.YOUNG,
        "the baby of {x} is {v}.",
        (
            "What is the baby of {x} called?",
            "Tell me the name for the baby of {x}.",
            "What do you call the baby of {x}?",
            "Do you know what the baby of {x} is called?",
            "Which word do we use for the baby of {x}?",
            "What is the name for the baby of {x}?",
            "Please name the baby of {x}.",
            "I want to know what the baby of {x} is called.",
        ),
        (
            "the baby of {x} is {v}.",
            "the baby of {x} is called {v}.",
            "{v} grows up to be {x}.",
            "{v} is the baby of {x}.",
        ),
        _with_articles(world.YOUNG),
    ),
    Relation(
        "use",
        world.USE,
        "{x} is for {v}.",
        (
            "What is {x} for?",
            "Tell me what {x} is for.",
            "What do we use {x} for?",
            "Do you know what {x} is used for?",
            "What is the use of {x}?",
            "Please say what people use {x} for.",
            "What can I use {x} for?",
            "I want to know what {x} is for.",
        ),
        ("{s} is for {v}.", "we use {x} for {v}.", "the use of {x} is {v}.", "{s} is good for {v}."),
    ),
    Relation(
        "capital",
        world.CAPITAL,
        "the capital of {x} is {v}.",
        (
            "What is the capital of {x}?",
            "Tell me the capital of {x}.",
            "Which city is the capital of {x}?",
            "Do you know the capital of {x}?",
            "Can you name the capital of {x}?",
            "What is the name of the capital of {x}?",
            "Please say which city is the capital city of {x}.",
            "I want to know the capital of {x}.",
        ),
        (
            "the capital of {x} is {v}.",
            "{v} is the capital of {x}.",
            "the capital city of {x} is called {v}.",
            "if you travel to {x}, see its capital {v}.",
        ),
    ),
    Relation(
        "opposite",
        world.OPPOSITE,
        "the opposite of {x} is {v}.",
        (
            "What is the opposite of {x}?",
            "Name the opposite of {x}.",
            "Tell me the opposite of {x}.",
            "Do you know the opposite of {x}?",
            "Which word is the opposite of {x}?",
            "What word means the opposite of {x}?",
            "Please say the opposite of {x}.",
            "I want to know the opposite of {x}.",
        ),
        (
            "the opposite of {x} is {v}.",
            "{x} is the opposite of {v}.",
            "{x} and {v} are opposites.",
            "{x} means the opposite of {v}.",
        ),
    ),
    Relation(
        "after",
        world.AFTER,
        "after {x} comes {v}.",
        (
            "What comes after {x}?",
            "Tell me which one comes after {x}.",
            "Do you know which one comes after {x}?",
            "What comes next after {x}?",
            "Which one is right after {x}?",
            "What follows after {x}?",
            "Please say what is just after {x}.",
            "I want to know what will come after {x}.",
        ),
        ("after {x} comes {v}.", "{v} comes after {x}.", "{v} comes right after {x}."),
    ),
    Relation(
        "before",
        world.BEFORE,
        "before {x} comes {v}.",
        (
            "What comes before {x}?",
            "Tell me which one comes before {x}.",
            "Do you know which one comes before {x}?",
            "What comes right before {x}?",
            "Which one is just before {x}?",
            "What stands before {x}?",
            "Please say what is just before {x}.",
            "I want to know what will come before {x}.",
        ),
        ("before {x} comes {v}.", "{v} comes before {x}.", "{v} comes right before {x}."),
    ),
    Relation("sum", world.SUM, "{x} is {v}.", _SUM_QUESTIONS, _SUM_STATEMENTS),
    Relation("difference", world.DIFFERENCE, "{x} is {v}.", _SUM_QUESTIONS, _SUM_STATEMENTS),
    Relation("sum in words", world.SUM_IN_WORDS, "{x} is {v}.", _SUM_QUESTIONS, _SUM_STATEMENTS),
    Relation(
        "difference in words",
        world.DIFFERENCE_IN_WORDS,
        "{x} is {v}.",
        _SUM_QUESTIONS,
        _SUM_STATEMENTS,
    ),
)
BY_NAME = {relation.name: relation for relation in RELATIONS}

# What Brandon says about itself: topic -> (answer, what a reply must hold, questions).
IDENTITY: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "name": (
        "My name is Brandon.",
        "brandon",
        (
            "What is your name?",
            "What name do you have?",
            "Tell me your name.",
            "Do you have a name?",
            "Please say your name.",
            "Could I know your name?",
            "What do people call you?",
            "May I ask your name?",
            "I want to know your name.",
            "By what name should I call you?",
        ),
    ),
    "self": (
        "I am Brandon, a tiny language model.",
        "language model",
        (
            "Who are you?",
            "What are you?",
            "Tell me who you are.",
            "Are you a person?",
            "Are you a robot?",
            "Please say who you are.",
            "Can you tell me what you are?",
            "Who am I talking to?",
            "Tell me something about yourself.",
            "I want to know who you are.",
        ),
    ),
    "help": (
        "I can answer short questions and tell little stories.",
        "questions",
        (
            "What can you do?",
            "Tell me what you can do.",
            "How can you help me?",
            "Which things are you able to do?",
            "Do you know how you can help me?",
            "What can I ask you?",
            "Please say what you can do.",
            "I want to know what you can do.",
        ),
    ),
}
