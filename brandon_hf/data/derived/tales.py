"""Little stories of five to eight sentences about what was asked for, from plots whose parts vary."""

import itertools
import random
import re
from collections.abc import Iterator

from brandon_hf.data.synthetic import world
from brandon_hf.data.synthetic.stories import story

from .building import Texts
from .meaning import head
from .plain_sentences import split_sentences
from .word_lists import table
from .wording import Chat, ask, ask_about, capital, choose, key, turn

_ABOUT = (
    "Write a [short |little |]story about {x}.",
    "Tell me a [short |little |]story about {x}.",
    "Can you tell me a story about {x}?",
    "I [want|would like] to hear a story about {x}.",
    "Make up a story about {x}.",
    "Invent a [short |]story about {x}.",
    "Do you know a story about {x}?",
    "Please tell my [son|daughter|child|sister] a story about {x}.",
    "Write a few sentences of a story about {x}.",
    "I need a short story about {x}.",
)
_ANY = (
    "Tell me a [short |little |]story.",
    "Write a [short |]story.",
    "I want to hear a story.",
    "Can you tell me a bedtime story?",
    "Make up a story for me.",
    "Tell me something before I go to sleep.",
)
_CONTINUE = (
    "Continue this story",
    "How does this story go on",
    "Go on with this story",
    "Write what happens next in this story",
    "Finish this story",
)
_END = ("Write an ending for this story", "How does this story end", "End this story with [one|a] sentence")
CHILDREN = tuple(
    (name, "she", "her", "her", "girl") for name in ("Anna", "Lily", "Mia", "Rosa", "Nina", "Ella", "Ruby")
)
CHILDREN += tuple((name, "he", "his", "him", "boy") for name in ("Tom", "Ben", "Leo", "Max", "Omar", "Paul", "Sam"))
THINGS = re.findall(r"\w+", "key ball hat ring book coin drum kite map lamp bell shoe boat clock box doll scarf basket")
SCENES = ("garden", "forest", "meadow", "village", "market", "old house", "park", "field", "mill", "harbour")
ANIMALS = re.findall(
    r"\w+", "fox bear rabbit mouse cat dog duck owl frog goat squirrel hedgehog crow donkey monkey sheep"
)
_WINGED = ("duck", "owl", "crow")

# what the story is about: the story, both templates over the slots; `SUMMARIES` has one of each
PLOTS = table(
    """
a lost {thing}
    {name} had [a beautiful|an old|a little] {thing}. One [morning|day|evening] it was gone. {He} looked [under
    the bed|behind the door|in every room] and in the {scene}, but {he} could not find it. Then {name} met [a
    friendly|a clever|an old] {animal}. "[Look|Have a look] [under the old tree|beside the well|behind the
    stones]," said the {animal}. There it was! {name} [thanked|hugged] the {animal} and [ran|walked] home
    [happily|with the {thing} in {his} hand].
a {thing}
    One day {name} found a {thing} in the {scene}. It was [dusty|wet|dirty], but {he} [liked it at once|thought it
    was beautiful]. {name} [cleaned|washed|dried] it and took it home. On the way {he} met {other}, who was
    [sad|crying]. "I have lost my {thing}," said {other}. {name} [wanted to keep it|thought for a moment], but
    then {he} gave it back. "You are an honest {child}," said {other}, and gave {him} [an apple|a big piece of
    cake|a silver coin].
a {child} and a {animal}
    {name} was a [little|young|clever] {child} who lived near a {scene}. Every day {he} saw a {animal} [behind the
    fence|by the path|under a tree], and it always looked hungry. One day {name} brought [some bread|some corn|a
    bowl of milk]. At first the {animal} was [afraid|shy], but {name} [waited quietly|sat down and waited]. Slowly
    the {animal} came closer and ate. From then on the two were friends, and they [played|met] in the {scene}
    every [day|afternoon].
a brave {animal}
    In a [small|quiet|green] {scene} lived a little {animal}. All the other animals said that it was too small to
    be brave. One night there was a fire near the {scene}. Everybody [slept|was asleep]. The little {animal}
    smelled the smoke and [ran|hurried] from door to door. "Wake up!" it called. All the animals got away in time.
    From that night on nobody said that the {animal} was too small.
two friends
    {name} and {other} were best friends. One day they both wanted the same {thing}. {name} pulled, {other}
    pulled, and the {thing} [fell into the water|broke in two|flew over the fence]. They were [angry|sad] and went
    home alone. But in the evening {name} [could not eat|felt sorry]. {He} went to {other} and said, "I am sorry."
    "I am sorry, too," said {other}. They [made|bought] a new {thing} together and shared it.
a rainy day
    It rained all day, and {name} could not play outside. {He} sat at the window and was bored. "Let us build a
    boat," said {other}. They took [a big box|two chairs and a blanket|some old boxes] and built a ship. {name}
    was the captain, and {other} was the cook. They sailed past [whales|islands|icebergs] and found a {thing}.
    When the rain stopped, they did not even notice.
a picnic
    On a sunny day {name} and {other} went to the {scene}. They took bread, [cheese|apples|cake] and a bottle of
    juice. They sat down [under a tree|by the water|on the grass], and {name} opened the basket. It was empty!
    Then they saw a {animal} with [a full mouth|crumbs on its nose]. {other} laughed. "It was hungry, too,"
    {he_other} said. So they [picked berries|bought some rolls] and had a good time all the same.
a {animal} who wanted to fly
    Once there was a {animal} who wanted to fly. It climbed [on a roof|up a hill|on a big stone] and jumped, but
    it only fell into the grass. "You have no wings," said a bird. "But I know a way." The bird [called|asked] its
    friends, and they brought a big basket. The {animal} sat down in it, and the birds carried it over the
    {scene}. It saw [the river|the houses|the tops of the trees] far below. "This is the best day of my life,"
    said the {animal}.
the first day at school
    It was {name}'s first day at school. {He} held {his} mother's hand and was [a little afraid|very quiet]. In
    the classroom {he} saw [many children|many new faces]. A {other_child} with a {thing} in {his_other} bag
    smiled. "I am {other}," {he_other} said. "Do you want to sit here?" They [drew pictures|sang a song|learned
    three letters] and played in the break. "May I come back tomorrow?" {name} asked {his} mother.
a {thing} that could talk
    {name} bought an old {thing} at the market. At night {he} heard a voice. "[It is cold here|I am so
    lonely|Please talk to me]," said the {thing}. {name} was surprised, but not afraid. "Who are you?" {he} asked.
    "I come from a {scene} far away," it said, and it told {him} a story. From then on {name} heard a new story
    every night, until {he} fell asleep.
a lazy {animal}
    A lazy {animal} lived in the {scene}. While the others collected food for the winter, it lay in the sun.
    "There is time enough," it said. Then the first snow fell, and the {animal} had nothing to eat. It knocked on
    a door. "Come in," said [a mouse|a squirrel|an old badger], "but tomorrow you will help me." The {animal} ate
    and was [thankful|ashamed]. The next autumn it was the first to [work|get up].
a present
    {other} was [sick|sad], and {name} wanted to [cheer {him_other} up|bring {him_other} a present]. {He} had no
    money, so {he} went to the {scene} and collected [flowers|leaves|shells|stones] in many colours. At home {he}
    [glued|put] them on a piece of paper and made a picture of a {animal}. {other} laughed when {he_other} saw it.
    "It is the nicest present I ever got," {he_other} said.
""",
    " ",
)


SUMMARIES = table(
    """
a lost {thing}
    {name} lost {his} {thing}, but a {animal} [knew where it was|helped {him} to find it].
a {thing}
    {name} found a {thing} and gave it back to {other}, who had lost it.
a {child} and a {animal}
    {name} gave food to a hungry {animal}, and they became friends.
a brave {animal}
    A little {animal} saved all the other animals from a fire.
two friends
    {name} and {other} [quarrelled|were angry] about a {thing}, but they said sorry and shared a new one.
a rainy day
    On a rainy day {name} and {other} built a ship and played that they were at sea.
a picnic
    {name} and {other} wanted to have a picnic, but a {animal} had eaten [everything|all the food].
a {animal} who wanted to fly
    A {animal} wanted to fly, and the birds carried it in a basket.
the first day at school
    On {his} first day at school {name} was [shy|quiet] at first, but then {he} found a friend, {other}.
a {thing} that could talk
    {name} bought a {thing} that could talk and told {him} a story every night.
a lazy {animal}
    A lazy {animal} had no food for the winter, got help and learned to work.
a present
    {name} had no money for a present, so {he} made a picture for {other}.
""",
    " ",
)


def tales(_: Texts, rng: random.Random) -> Iterator[Chat]:
    """Stories on request, and stories to be continued or ended, without end."""
    for number in itertools.count():
        if number % 2:
            hero = rng.choice((None, *world.HEROES))
            about, told = hero, story(rng, hero)
        else:
            about, told = _tale(rng)
        sentences = split_sentences(told)
        draw = rng.random()
        if draw < 0.65:
            if about and rng.random() < 0.9:
                yield turn(ask(rng, _ABOUT, x=about), told, key("story", head(about)))
            else:
                yield turn(ask(rng, _ANY), told)
        elif draw < 0.9:
            cut = rng.randint(2, max(2, len(sentences) - 3))
            yield turn(ask_about(rng, _CONTINUE, " ".join(sentences[:cut])), " ".join(sentences[cut:]))
        else:
            yield turn(ask_about(rng, _END, " ".join(sentences[:-1])), sentences[-1])


def slots_of(rng: random.Random, plot: str = "") -> dict[str, str]:
    """Two children, an animal, a thing and a place, for the slots of `PLOTS` and `SUMMARIES`.

    In a plot about flying the animal has no wings.
    """
    (name, he, his, him, child), (other, *of_other) = rng.sample(CHILDREN, 2)
    slots = {"name": name, "he": he, "He": capital(he), "his": his, "His": capital(his), "him": him, "child": child}
    slots |= dict(zip(("he_other", "his_other", "him_other", "other_child"), of_other, strict=True))
    slots |= {"other": other, "thing": rng.choice(THINGS), "scene": rng.choice(SCENES)}
    animals = [animal for animal in ANIMALS if "fly" not in plot or animal not in _WINGED]
    return slots | {"animal": rng.choice(animals)}


def _tale(rng: random.Random) -> tuple[str, str]:
    plot = rng.choice(list(PLOTS))
    slots = slots_of(rng, plot)
    about, told = (choose(rng, part, slots) for part in (plot, PLOTS[plot]))
    return with_right_articles(about), with_right_articles(told)


def with_right_articles(text: str) -> str:
    """ "a owl" -> "an owl"; for the words of the tables here."""
    return re.sub(r"\b([Aa]) (?=[aeio])", r"\1n ", text)
