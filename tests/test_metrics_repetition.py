"""Repetition metrics: what counts as a loop, what does not, and the rates."""

import pytest

from brandon_hf.metrics.repetition import (
    coherence_length,
    distinct_n,
    ngram_repetition,
    repetition_rate,
    repetition_score,
    sequence_loops,
    vocabulary_diversity,
    words,
)

PROSE = (
    "The fox went down to the river. It was a cold day, and the water was very very still. The fox looked at the other "
    "side, and then it looked at the sky; no bird was there. In the end the fox went home."
)


@pytest.mark.parametrize(
    ("text", "unit", "repeats"),
    [
        ("the cat the cat the cat", "the cat", 3),
        ("I am I am I am I am", "i am", 4),
        ("Well, he said: The cat, the cat. THE CAT!", "the cat", 3),
        ("good good good good", "good", 4),
        ("The cat sat. The cat sat.", "the cat sat", 2),
        ("He left.\nWe all went home\nWe all went home\nIt rained.", "we all went home", 2),
        ("I see a dog. It is big. I see a dog. It is big.", "i see a dog it is big", 2),
        ("one two three four five " * 3, "one two three four five", 3),
        ("7 " * 8, "7", 8),
        ("1 2 " * 8, "1 2", 8),
        ("no " + "ha" * 16, "ha", 16),
        ("what" + "!" * 20, "!", 20),
    ],
)
def test_a_loop_is_found_with_its_unit(text, unit, repeats):
    assert (unit, repeats) in [(" ".join(map(str, loop.unit)), loop.repeats) for loop in sequence_loops(text)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        PROSE,
        "very very good",
        "no, no, no!",
        "the cat the cat",
        "1. red 2. blue",
        "1. red\n2. blue\n3. red\n4. green",
        "- yes\n- no\n- yes\n- no",
        "I know. I know.",
        "She ran and ran and ran until she was home.",
        "2 + 2 + 2 + 2 = 8",
        "5 cars + 5 cars + 5 cars = 15 cars",
        "10 + 10 = 20. 10 + 10 = 20.",
        "| name | age |\n|------|------|------|------|\n| Ann | 7 |",
        "----------------------------------------",
        "a number with many zeros: 100000000000000000000000",
        "Gooooooooooal! hahahaha",
    ],
)
def test_ordinary_text_does_not_loop(text):
    assert sequence_loops(text) == []


def test_a_stretch_is_one_loop_with_its_shortest_unit():
    assert [(loop.unit, loop.repeats) for loop in sequence_loops("a b " * 12)] == [(("a", "b"), 12)]


def test_tokens_loop_by_phrases_and_single_tokens_only():
    assert sequence_loops([5, 6, 5, 6, 5, 6])[0].unit == (5, 6)
    assert sequence_loops([1, 9, 9, 9, 9])[0].unit == (9,)
    assert sequence_loops([9, 9, 9]) == []
    assert sequence_loops([1, 2, 3, 1, 2, 3]) == []


def test_words_are_compared_without_case_and_punctuation():
    assert words("The cat's -- “HAT”, 3.5!") == ["the", "cat's", "hat", "3.5"]


def test_ngram_repetition_and_distinct_n_are_shares_of_ngrams():
    tokens = [1, 2, 1, 2, 1]  # pairs 12 21 12 21
    assert distinct_n(tokens, 2) == 0.5
    assert ngram_repetition(tokens, 2) == 0.5
    assert ngram_repetition(tokens, 5) == 0.0
    assert distinct_n("", 2) == 1.0
    assert vocabulary_diversity("a rose is a rose") == pytest.approx(3 / 5)


def test_repetition_rate_looks_back_one_window_only():
    assert repetition_rate([1, *range(100, 109), 1]) == pytest.approx(1 / 11)
    assert repetition_rate([1, *range(100, 110), 1]) == 0.0
    assert repetition_rate("no no no no") == pytest.approx(3 / 4)
    assert repetition_rate("") == 0.0


def test_coherence_length_ends_where_a_trigram_returns():
    assert coherence_length("one two three four one two three five") == 4
    assert coherence_length([7, 7, 7, 7]) == 1
    assert coherence_length("one two three four") == 4


@pytest.mark.parametrize("measure", [lambda: distinct_n("a b", 0), lambda: repetition_rate("a b", window=0)])
def test_a_size_below_one_is_refused(measure):
    with pytest.raises(ValueError, match="=0 must be at least 1"):
        measure()


def test_the_score_falls_from_one_to_zero_with_repetition():
    some = repetition_score("the dog is big and the dog is brown")
    assert repetition_score(PROSE) > 0.9 > some > 0
    assert repetition_score("a fine day for a walk") == 1.0
    assert repetition_score("a fine day " * 3) == 0.0
    assert repetition_score(" ...") == 0.0
