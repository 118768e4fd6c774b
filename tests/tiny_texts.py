"""Tiny files of text in the forms that `brandon_hf.data.derived` reads, written by the tests."""

import gzip
import json

SENTENCES = (
    "The old farmer walked slowly to the market.",
    "My sister found a small stone in the garden.",
    "The children ran across the big field.",
    "Our teacher likes warm bread in the morning.",
    "A brown dog slept under the wooden table.",
    "The boats came home before the storm.",
)
PAIRS = (
    "The school stands near the old river. It has two hundred pupils.",
    "Maria was born in the north of the country. She lived there for many years.",
    "The little town lies on a hill. It has a famous market.",
)
EXPLAINED = (
    "Erosion is the slow removal of soil by wind and water.",
    "A glacier is a large mass of ice that moves over land.",
    "Photosynthesis is the process by which plants make food from light.",
)
STORY = [
    "Once there was a goat who lived on a hill.",
    "The goat was hungry every day.",
    "One morning the goat went to the river.",
    "There it saw a boat full of fresh grass.",
    "The goat jumped into the boat and ate all the grass.",
    "Then the boat began to move down the river.",
    "The goat was afraid and called for help.",
    "A kind fisherman pulled the boat back to the land.",
    "From that day on the goat stayed on its hill.",
]


def dictionary():
    """Lines of a dictionary whose words are all common in it, as the thresholds ask for."""
    lines = []
    for number in range(40):
        lines.append(
            f"filler{number} (noun): a person who makes warm bread and sells the bread to people. "
            "Example: The happy baker sells warm bread to people. Similar words: stuff."
        )
    lines.append("baker (noun): a person who makes and sells bread. Example: The baker sells warm bread.")
    lines.append("Happy (noun): a name that is no common word.")
    lines.append("happy (adjective): full of warm bread. Example: The happy baker sells bread to people.")
    lines.append("not an entry at all")
    return "\n".join(lines)


def write_texts(folder):
    """The four sources of `KINDS`, one of them compressed, and a file that no kind needs and nothing could read.

    All is there more than once: words that stand only once are taken for mistakes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "wordset_dictionary.jsonl": [dictionary()],
        "openstax_ccby.jsonl": [" ".join(EXPLAINED) + "\n" + "\n".join(30 * [" ".join(EXPLAINED).lower()])],
        "storybooks_ccby.jsonl.gz": 2
        * ["Goat and the boat\n\n" + "\n".join(STORY), "A title\n\n" + "\n".join(SENTENCES)],
        "wikisplit_sentences.jsonl": ["\n".join(2 * PAIRS)],
    }
    for name, rows in texts.items():
        opened = gzip.open if name.endswith(".gz") else open
        with opened(folder / name, "wt", encoding="utf-8") as stream:
            for text in rows:
                stream.write(json.dumps({"text": text}) + "\n")
    (folder / "gutenberg_00.jsonl").write_text("this is no JSON\n", "utf-8")
    return folder
