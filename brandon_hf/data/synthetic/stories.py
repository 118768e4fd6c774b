"""Little stories: ten plots, each a handful of sentences whose parts vary.

A plot is text in which `[this|that]` stands for one of its alternatives and `{a}` for a slot: `{a}` and `{b}` are the
characters, `{he}`, `{his}`, `{him}` refer to the first. Sentence beginnings are capitalised afterwards.
"""

import random
import re
from dataclasses import dataclass

from . import world
from .phrasings import BY_NAME, with_article

_OPENINGS = (
    "once upon a time, there was {intro}.",
    "once upon a time, there was {intro} who lived {home}.",
    "once there was {intro} who [loved to play|liked to sing|was always curious|wanted to see the world].",
    "long ago, {intro} lived {home}.",
    "this is a story about {intro}.",
    "there was once {intro} with a [kind|brave|happy|warm] heart.",
)
_CHILD_OPENINGS = (
    "{a} was {intro_short} who lived {home}.",
    "{a} was {intro_short} who liked to [sing|play|read|swim].",
)
_ENDINGS = (
    "from that day on, {a} and {b} were [good|best] friends.",
    "that night, {a} slept [very well|like a stone|with a smile].",
    "{a} never forgot that [lovely|strange|wonderful] day.",
    "they laughed and went home [together|before dark|in the evening].",
    "and so everything ended well.",
    "in the end, everyone was [happy|glad|content].",
    '{b} [smiled|laughed] and said, "[Well done|What a day|I am proud of you], my friend."',
)
_PLOTS = (
    # something is lost
    """one [sunny|windy|cold|quiet] [morning|day], {a} [lost|could not find] {his} [best|new|old] {object}.
    {he} looked [under the bed|behind the door|in the kitchen] and [in the garden|near the river|on the hill], but it
    was not there. [then|after a while] {b} came by. "[what is wrong|why are you sad]?" asked {b}. "my {object} is
    gone," said {a}. they [searched|looked] together and found it [under a tree|beside the road|in a big box|behind a
    rock]. {a} was [so happy|full of joy] and gave {b} {gift}.""",
    # food is shared
    """one [morning|afternoon], {a} found {food} [on the table|on a bench|in a basket]. it [looked|smelled]
    [wonderful|so good]. {b} was [hungry|tired and hungry] and had nothing to eat. [{a} thought for a moment|{a} felt
    sorry]. "[take half of it|let us share it|we can eat it together]," said {a}. they sat down [on the grass|by the
    river|near the fire] and ate. it tasted {taste}. "[thank you|you are kind]," said {b}.""",
    # a friend is found
    """{a} had no friends and felt [sad|alone]. one day {he} [walked|went] to the [river|market|hill|forest] and saw
    {b}. {b} was playing with {toy}. "[may I play with you|can I join you]?" asked {a}. "[of course|yes, please]," said
    {b}. they played [all day|until the sun went down|for a long time], and {a} was not [sad|alone] any more.""",
    # a strange sound
    """one [dark|cold|windy] night, {a} heard a [strange|loud] sound. "{sound}!" it came from [behind the house|the old
    tree|the garden]. {a} was afraid and called {b}. they took a [lamp|candle] and went to look. it was only
    {sounding}. "[hello|good evening], little friend," said {b}, and they all [laughed|felt better].""",
    # bad weather
    """[one day|in the afternoon] dark clouds came and it began to [rain|snow]. {a} was far from home and [very
    wet|very cold]. {he} saw a [small|little|warm] house and knocked on the door. {b} opened it and said, "[come
    in|please come in] and sit by the fire." {a} drank [warm milk|hot soup|sweet tea] and soon felt better. when the
    [bad weather|storm] was over, {b} showed {him} the way home.""",
    # something is made
    """{a} wanted to make {made} for {b}. first {he} [went to the market|looked in the house|asked a neighbour] and got
    [some|a lot of] {material}. {he} worked [all morning|for three days|until night], and it was not easy. once it
    [broke|fell down], but {a} did not [give up|stop]. at last it was ready. "[how beautiful|it is wonderful]!" said
    {b}. "you made it of {material}, all by yourself." """,
    # a race
    """{b} said, "i am [faster|stronger] than you." "[let us see|we will see]," said {a}. they ran from the [bridge|big
    tree|old wall] to the [river|hill|mill]. {b} was fast, but stopped to [rest|eat|look at {animal}]. {a} was slow and
    did not stop. so {a} [won the race|came first], and {b} [had to smile|learned something] that day.""",
    # a gift
    """it was the birthday of {b}, and {a} had no gift. {he} [thought|walked around] for a long time. in the
    [garden|forest|meadow] {he} saw {flower}. it was {flower_colour} and [very beautiful|smelled sweet]. {a} brought it
    to {b} and [sang a song|said a poem]. "this is the best gift of all," said {b}.""",
    # a journey
    """one day {a} wanted to [travel|go on a journey]. {he} took a bag, [some bread|an apple|some water] and
    {object_one}, and [walked|went] [over the hill|along the river|down the long road]. on the way {he} met {animal}.
    "where do you live?" asked {a}. "i live {animal_home}," said {the_animal}. {a} learned a lot and came home
    [tired|late] but happy. {b} [was waiting at the door|wanted to hear everything].""",
    # help
    """{b} fell into [a deep hole|the cold river] and called for help. {a} heard it and [ran|came] at once. {he} was
    [not strong|small], but [clever|brave]. {he} found [a long rope|a strong branch] and pulled with all {his} power.
    slowly {b} came out. "you saved me," said {b}. "[a friend helps|that is what friends do]," said {a}.""",
)
_HOMES = world.listed(
    "in a small house, near the forest, by the sea, on a hill, in an old mill, behind the mountain, "
    "in a quiet village, by the river"
)
_FOODS = world.listed(
    "a strawberry, a banana, a pear, a cake, a pretzel, a gooseberry, a grapefruit, honey, chocolate, popcorn, jam, ham"
)
_GIFTS = world.listed("an apple, a cake, a flower, some honey, a red ribbon, a warm drink, a big hug")
_OBJECTS = world.listed("key, hat, ball, book, scarf, coin, drum, kite, ring, lamp, cup, map")

# the first letter of the text, of a quotation, and of what follows the end of a sentence
_BEGINNING = r"^\"?[a-z]|(?<= \")[a-z]|(?<=[.!?] )[a-z]|(?<=[.!?]\" )(?!said|asked)[a-z]"


@dataclass(frozen=True)
class Character:
    """Who acts: `name` in the middle of a sentence ("Anna", "the fox"), and how the story first says who that is."""

    name: str
    intro: str
    pronouns: tuple[str, str, str]


def character(rng: random.Random, hero: str | None = None) -> Character:
    """A child, or the animal `hero` ("a fox"); without `hero`, either."""
    if hero is None and rng.random() < 0.5:
        girl = rng.random() < 0.5
        name = rng.choice(world.GIRLS if girl else world.BOYS)
        adjective = rng.choice(("little ", "young ", "clever ", ""))
        intro = f"a {adjective}{'girl' if girl else 'boy'}"
        return Character(name, intro, ("she", "her", "her") if girl else ("he", "his", "him"))
    noun = (hero or rng.choice(world.HEROES)).split(" ", 1)[1]
    adjective = rng.choice(("little ", "young ", "clever ", "lazy ", "friendly ", ""))
    return Character(f"the {noun}", with_article(adjective + noun), ("it", "its", "it"))


def story(rng: random.Random, hero: str | None = None) -> str:
    """One story of 40 to 110 words about `hero` ("a fox"), or about anybody."""
    first = character(rng, hero)
    second = character(rng)
    while second.name == first.name:
        second = character(rng)
    named = first.intro if first.name.startswith("the ") else f"{first.intro} named {first.name}"
    openings = _OPENINGS if first.name.startswith("the ") else (*_OPENINGS, *_CHILD_OPENINGS)
    parts = (rng.choice(openings), rng.choice(_PLOTS), rng.choice(_ENDINGS))
    he, his, him = first.pronouns
    slots = {"a": first.name, "b": second.name, "he": he, "his": his, "him": him, "home": rng.choice(_HOMES)}
    slots |= {"intro": named, "intro_short": first.intro} | _props(rng, (first.name, second.name))
    return sentences(expand(rng, " ".join(parts), slots))


def _props(rng: random.Random, characters: tuple[str, str]) -> dict[str, str]:
    """Things for a story to be about, none of them one of the `characters`, with what is true of them."""

    def thing(relation: str) -> str:
        return rng.choice([one for one in BY_NAME[relation].facts if definite(one) not in characters])

    food, made, animal, sounding = rng.choice(_FOODS), thing("material"), thing("place"), thing("sound")
    flower = rng.choice(("a rose", "a daisy", "a violet", "a sunflower", "a poppy", "a cornflower"))
    props = {
        "object": rng.choice(_OBJECTS),
        "object_one": with_article(rng.choice(_OBJECTS)),
        "gift": rng.choice(_GIFTS),
    }
    props |= {"food": food, "taste": world.TASTE[food], "made": made, "material": world.MATERIAL[made]}
    props |= {"animal": animal, "the_animal": definite(animal), "animal_home": world.WHERE[world.PLACE[animal]]}
    props |= {"sounding": sounding, "sound": world.SOUND[sounding]}
    props |= {"flower": flower, "flower_colour": world.COLOUR[flower]}
    props["toy"] = rng.choice(("a ball", "a kite", "a doll", "a drum", "a puppet", "a balloon"))
    return props


def definite(thing: str) -> str:
    """ "a fox" -> "the fox"; "the sky" and "snow" as they are."""
    return re.sub(r"^an? ", "the ", thing)


def expand(rng: random.Random, text: str, slots: dict[str, str]) -> str:
    """Choose among the alternatives in brackets, then fill the slots; line breaks become spaces."""
    chosen = re.sub(r"\[([^\[\]]*)\]", lambda match: rng.choice(match[1].split("|")), text)
    return " ".join(chosen.format(**slots).split())


def sentences(text: str) -> str:
    """Capitalise the beginning of every sentence and quotation, but not "said" and "asked" after one."""
    return re.sub(_BEGINNING, lambda match: match[0].upper(), text)
