"""Short summaries: of little stories and reports whose plots say what matters, of paragraphs with a topic sentence."""

import itertools
import random
import re
from collections.abc import Iterator

from .building import Texts
from .plain_sentences import normalised, split_sentences, stands_alone
from .tales import PLOTS, SUMMARIES, slots_of, with_right_articles
from .textbooks import LINK, SOURCE
from .word_lists import table
from .wording import Chat, ask_about, choose, turn

_SUMMARIZE = (
    "[Summarize|Summarise|Sum up] [this|the following] {what}[| in one sentence| briefly| in a few words]",
    "Give me a [short |brief |]summary of this {what}",
    "Write a [short |one-sentence |]summary of [this|the following] {what}",
    "What is this {what} about",
    "Tell me in one sentence what this {what} says",
    "Shorten this {what} to one sentence",
    "Say [in one sentence|briefly] what this {what} is about",
    "In one sentence, what is this {what} about",
)
_HAPPENS = (
    "What happens in this {what}",
    "Tell me in one sentence what happens in this {what}",
    "Retell this {what} in one sentence",
)
_POINT = (
    "What is the main [point|idea] of this {what}",
    "Which sentence says what this {what} is about",
    "What does this {what} say, in one sentence",
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

# the summary of a report: the report, both templates over the slots
_REPORTS = table(
    """
On {day} {name} missed the bus and came late.
    On {day} {name} [slept too long|did not hear the clock]. {He} [ran|hurried] to the bus stop, but the bus [had
    just left|was gone]. So {he} had to walk. When {he} [arrived|came in], the lesson had [begun|started] and
    everybody looked at {him}.
{name} lost {his} {thing}, and {other} found it.
    {name} came home and [looked for|wanted to use] {his} {thing}. It was not [on the table|in the bag|on the
    shelf]. {He} [asked|called] all {his} friends. In the evening {other} [rang at the door|came by]. {other} had
    seen the {thing} [under a bench|near the gate] in the {scene} and had [picked it up|brought it along].
{name} baked a cake for {other}'s birthday.
    {other} has a birthday on {day}. {name} bought flour, eggs and [butter|sugar] and worked in the kitchen [for two
    hours|all afternoon]. The first cake [burned|was too hard], but the second one was [soft and sweet|just
    right]. {other} was very happy when {he_other} saw the candles.
A storm broke a tree in the {scene}, but nobody was hurt.
    On {day} night there was a strong storm. The wind [was loud|shook the windows], and it rained for
    hours. In the {scene} an old tree [fell|broke] and lay across the path. [Luckily|As it was late,] nobody
    was there. Workers [cut it up|took it away] the next morning.
{name} helped a hungry {animal}, and it [stayed with {him}|became {his} friend].
    {name} heard a small noise [behind the house|near the door]. It was a young {animal}, [wet and cold|thin and
    tired]. {name} gave it something to eat and [a warm place|an old blanket]. The next day the door was open,
    but the {animal} did not go. It still lives [with|near] {name} today.
A {animal} ran away and was caught again in the {scene}.
    People in the {scene} were surprised on {day}. A {animal} [walked|ran] [between them|past the shops], and it
    was not afraid. It had [come through a hole in the fence|opened its door]. Two men [followed it for an
    hour|tried to stop it]. At last they [got it with some food|caught it in a net] and took it home.
{name} learned to swim this summer.
    At the beginning of the summer {name} was afraid of [deep|cold] water. {other} [showed {him} how to
    float|went with {him}] every {day}. First {name} swam [one metre|a little], then [five|ten]. Now {he} [jumps
    in|swims across the lake] and does not want to come out.
{name} and {other} planted a garden and sold the vegetables.
    In spring {name} and {other} dug the ground behind the house. They planted [beans|carrots|tomatoes] and
    watered them each evening. [Snails|Birds] ate some of them. But in summer there was [so much|more than enough],
    and they [put up a table|stood] at the road and sold [what they could not eat|the rest].
The old {thing} was broken, so {name} repaired it.
    {name} found an old {thing} in a box [under the roof|in the cellar]. It had belonged to {his} grandmother. One
    part was [broken|missing]. {He} [bought glue|looked for the right part] and worked on it the whole {day}. Now
    it [looks like new|stands on the shelf], and {his} grandmother [smiled|was glad] when she saw it.
It snowed so much that there was no school on {day}.
    On {day} the children looked out of the window and everything was white. The snow was [as high as a
    chair|up to the door], and no bus could drive. The teacher [called|wrote] to all parents. So {name} and {other}
    built a [snowman|house of snow] [at the gate|behind the house] instead of [reading|counting].
{name} won the race because {he} had practised every day.
    {name} wanted to win the race at school. {He} ran through the {scene} each morning, [also|even] in the rain.
    {other} said that it was [too much|no use]. On {day} the race began. {name} was [third|last] at first, but
    {he} [did not get tired|grew faster], and at the end {he} was in front.
{name} forgot {his} {thing} on the train, but got it back.
    {name} took the train to visit {other}. {He} looked out of the window and [nearly missed the
    station|had to hurry]. Only on the street {he} noticed that {his} {thing} was [gone|still in the train].
    {other} called the [station|office]. Somebody had handed it in, and on {day} {name} could fetch it.
The lights went out, and {name} and {other} told stories [by candlelight|in the dark].
    On {day} evening {name} and {other} were [reading|playing a game] when the lights went out. It was dark in the
    whole street. They found [three candles|a candle] and [some biscuits|a blanket]. {other} began with a story
    about a {animal}, and {name} told one about a ghost. When the light came back, they [were sorry|turned it off].
{name} wanted a {animal}, but {his} parents [gave|bought] {him} a book about it.
    For weeks {name} talked only about a {animal}. {He} drew it, and {he} [knew|told everybody] what it eats. {His}
    parents said that the [flat|house] was too small for one. On {his} birthday {he} got a [thick|big] book. It
    [was full of pictures|told everything about a {animal}], and {he} read it in one day.
{name} moved to another town and found a new friend, {other}.
    In [spring|autumn] {name} and {his} family [moved|went to live] far away. The new house was near a {scene}. At
    first {name} knew nobody and [stayed in {his} room|missed {his} old school]. On {day} a {other_child} [knocked
    at the door|threw a ball over the fence]. It was {other}, and now they [meet|play] every day.
The children cleaned the {scene} and found [many|strange] things.
    On {day} {name}'s class went to the {scene} with bags and gloves. There was paper [everywhere|under every
    bush]. {other} found a shoe and {name} an old {thing}. After three hours [twenty|thirty] bags were full. Now
    [people sit there again|the place looks beautiful].
""",
    " ",
)
_NO_TOPIC = re.compile(
    r"(?:One|Anyone|Imagine|Answers|Questions|Students|It|He|She|They|In|On|At|As|For|If|When|While|Although|With|By|After|Before|During|Once|Finally|First|Second)\b"
)
_ODD = re.compile(
    r"[\[\](){}*_$=#<>\d;:?!\"]|\.\.|(?-i:[a-z][A-Z])|\b(?:figure|table|chapter|section|link|shown|above|below|following|we|you|our|your)\b",
    re.IGNORECASE,
)


def summaries(texts: Texts, rng: random.Random) -> Iterator[Chat]:
    """Little stories and reports, each with the sentence that says what happens; for a while, textbook paragraphs."""
    paragraphs = list(_paragraphs(texts))
    rng.shuffle(paragraphs)
    for number in itertools.count():
        if number % 4 == 3 and paragraphs:
            first, *rest = paragraphs.pop()
            forms = (*_SUMMARIZE, *_POINT)
            yield turn(ask_about(rng, forms, " ".join([first, *rest]), what=rng.choice(("text", "paragraph"))), first)
            continue
        slots = slots_of(rng) | {"day": rng.choice(_DAYS)}
        if number % 2:
            about, long = rng.choice(list(PLOTS.items()))
            short, what = SUMMARIES[about], "story"
        else:
            short, long = rng.choice(list(_REPORTS.items()))
            what = rng.choice(("text", "report", "story"))
        told, summary = (with_right_articles(choose(rng, part, slots)) for part in (long, short))
        yield turn(ask_about(rng, (*_SUMMARIZE, *_HAPPENS), told, what=what), summary)


def _paragraphs(texts: Texts) -> Iterator[list[str]]:
    """The sentences of paragraphs of 35 to 85 plain words whose first sentence may well say what they are about."""
    for text in texts(SOURCE):
        for paragraph in normalised(LINK.sub("", text)).split("\n"):
            if not 35 <= len(paragraph.split()) <= 85 or not paragraph.isascii() or _ODD.search(paragraph):
                continue
            sentences = split_sentences(paragraph)
            first = sentences[0]
            if (
                3 <= len(sentences) <= 5
                and sentences[-1].endswith(".")
                and 7 <= len(first.split()) <= 18
                and stands_alone(first)
                and not _NO_TOPIC.match(first)
            ):
                yield sentences
