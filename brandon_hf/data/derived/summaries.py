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
    "Please sum up [this|the following] {what}",
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
_PLACES = ("garden", "forest", "meadow", "park", "field")
_LARGE = ("bear", "goat", "donkey", "monkey", "sheep", "horse", "cow")
_LOST = ("key", "hat", "ring", "book", "map", "scarf", "doll", "bag", "umbrella")
_MENDED = ("lamp", "clock", "doll", "kite", "drum", "bell", "radio", "music box", "chair")

# the summary of a report: the report, both templates over the slots of a tale and those here
REPORTS = table(
    """
On {weekday} {name} missed the bus and came late.
    On {weekday} {name} [slept too long|did not hear the clock]. {He} [ran|hurried] to the bus stop, but the bus [had
    just left|was gone]. So {he} had to walk. When {he} [arrived|came in], the lesson had [begun|started] and
    everybody looked at {him}.
{name} lost {his} {lost}, and {other} found it.
    {name} came home and [looked for|wanted to use] {his} {lost}. It was not [on the table|in the bag|on the
    shelf]. {He} [asked|called] all {his} friends. In the evening {other} [rang the bell|came by]. {other} had
    seen the {lost} [under a bench|near the gate] in the {place} and had [picked it up|brought it along].
{name} baked a cake for {other}'s birthday.
    {other} had a birthday on {day}. {name} bought flour, eggs and [butter|sugar] and worked in the kitchen [for two
    hours|all afternoon]. The first cake [burned|was too hard], but the second one was [soft and sweet|just
    right]. {other} was very happy when {he_other} saw the candles.
A storm brought down a tree in the {place}, but nobody was hurt.
    On {day} night there was a strong storm. The wind [was loud|shook the windows], and it rained for
    hours. In the {place} an old tree [fell|broke] and lay across the path. [Luckily|As it was late,] nobody
    was there. Workers [cut it up|took it away] the next morning.
{name} helped a hungry {animal}, and it stayed with {him}.
    {name} heard a small noise [behind the house|near the door]. It was a young {animal}, hungry and [wet|thin|
    cold]. {name} gave it something to eat and [a warm place|an old blanket]. The next day the door was open,
    but the {animal} did not go. It still lives with {name} today.
A {large} ran away and was caught again in the {place}.
    People in the {place} were surprised on {day}. A {large} [walked|ran] [between them|past them], and it
    was not afraid. It had [come through a hole in the fence|got out through an open gate]. Two men [followed it for an
    hour|tried to stop it]. At last they [lured it with some food|caught it with a rope] and took it home.
{name} learned to swim this summer.
    At the beginning of the summer {name} was afraid of [deep|cold] water. {other} [showed {him} how to
    float|went with {him}] every {day}. First {name} swam [one metre, then five|a little, then more]. Now {he}
    [jumps in|swims across the lake] and does not want to come out.
{name} and {other} planted a garden and sold the vegetables.
    In spring {name} and {other} dug the ground behind the house. They planted [beans|carrots|tomatoes] and
    watered them each evening. [Snails|Birds] ate some of them. But in summer there were [plenty|more than enough],
    and they [put up a table|stood] by the road and sold [what they could not eat|the rest].
{name} repaired an old {mended} of {his} grandmother's.
    {name} found an old {mended} [under the roof|in the cellar]. It had belonged to {his} grandmother. One
    part was [broken|missing]. {He} [bought glue|looked for the right part] and worked on it all {day}. Then
    it [looked like new|was as good as new], and {his} grandmother [smiled|was glad] when she saw it.
It snowed so much that there was no school on {weekday}.
    On {weekday} the children looked out of the window and everything was white. The snow was [as high as a
    chair|up to the door], and no bus could drive. The teacher [called|wrote to] all parents. So {name} and {other}
    built a [snowman|house of snow] [at the gate|behind the house] instead of [reading|counting].
{name} won the race because {he} had practised every day.
    {name} wanted to win the race at school. {He} ran through the {place} every morning, even in the [rain|cold].
    {other} said that it was [too much|no use]. On {weekday} the race began. {name} was [third|last] at first, but
    {he} [did not get tired|got faster], and at the end {he} was in front.
{name} forgot {his} {lost} on the train, but got it back.
    {name} took the train to visit {other}. {He} looked out of the window and [nearly missed the
    station|had to hurry]. Only in the street did {he} notice that {his} {lost} was [gone|still in the train].
    {other} called the [station|office]. Somebody had handed it in, and on {weekday} {name} could fetch it.
The lights went out, and {name} and {other} told stories by candlelight.
    On {day} evening {name} and {other} were [reading|playing a game] when the lights went out. It was dark in the
    whole street. They found [three candles|a candle] and [some biscuits|a blanket]. {other} began with a story
    about a {animal}, and {name} told one about a ghost. When the light came back, they [were sorry|turned it off].
{name} wanted a {large}, but {his} parents [gave|bought] {him} a book about it.
    For weeks {name} talked only about a {large}. {He} drew it, and {he} [knew|told everybody] what it eats. {His}
    parents said that the [flat|house] was too small for one. On {his} birthday they gave {him} a [thick|big] book
    about it. It was full of pictures, and {he} read it in one day.
{name} moved to another town and found a new friend, {other}.
    In [spring|autumn] {name} and {his} family [moved|went to live] far away. The new house was near a {place}. At
    first {name} knew nobody and [stayed in {his} room|missed {his} old school]. On {day} a {other_child} [knocked
    at the door|threw a ball over the fence]. It was {other}, and now they [meet|play] every day.
A class cleaned the {place} and found a lot of rubbish.
    On {weekday} {name}'s class went to the {place} with bags and gloves. There was paper [everywhere|under every
    bush]. {other} found a shoe and {name} an old {lost}. After three hours [twenty|thirty] bags were full. Now
    [people sit there again|the place looks beautiful].
""",
    " ",
)
_NO_TOPIC = re.compile(
    r"(?:It|Its|He|She|They|Their|In|On|At|As|For|To|From|If|When|While|With|Within|By|After|Before|During|Since|Once|"
    r"Like|Unlike|Although|Despite|Even|Not|Of|Thus|Therefore|Hence|Similarly|Instead|Moreover|Furthermore|Using|Based|"
    r"Unfortunately|Fortunately|Recall|Imagine|Consider|Some|Each|One|Two|Three|Anyone|First|Second|Finally|Answers|Explain|Have|Ask|"
    r"Questions|Students)\b|.*\b(?:this|these|those|such|also|thus|earlier|later|however|us|its|another)\b"
)
_ODD = re.compile(
    r"[\[\](){}*_$=#<>\d;:?!\"]|\.\.|(?-i:[a-z][A-Z])|\b(?:figure|table|students?|chapter|section|link|shown|above|below|following|we|you|our|your)\b",
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
        if number % 2:
            plot = rng.choice(list(PLOTS))
            short, long, what = SUMMARIES[plot], PLOTS[plot], "story"
            slots = slots_of(rng, plot)
        else:
            short, long = rng.choice(list(REPORTS.items()))
            what = rng.choice(("text", "report", "story"))
            slots = _slots_of_report(rng)
        told, summary = (with_right_articles(choose(rng, part, slots)) for part in (long, short))
        yield turn(ask_about(rng, (*_SUMMARIZE, *_HAPPENS), told, what=what), summary)


def _slots_of_report(rng: random.Random) -> dict[str, str]:
    own = {"day": _DAYS, "weekday": _DAYS[:5], "place": _PLACES, "large": _LARGE, "lost": _LOST, "mended": _MENDED}
    return slots_of(rng) | {name: rng.choice(values) for name, values in own.items()}


def _paragraphs(texts: Texts) -> Iterator[list[str]]:
    """The sentences of short plain paragraphs whose first sentence may well say what they are about."""
    for text in texts(SOURCE):
        for paragraph in normalised(LINK.sub("", text)).split("\n"):
            if not 200 <= len(paragraph) <= 500 or not paragraph.isascii() or _ODD.search(paragraph):
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
