"""Preference pairs by repetition: the answer that loops loses."""

import pytest

from brandon_hf.data.preferences import looped, preference_pairs, repetition_reward
from brandon_hf.metrics.repetition import repetition_score, sequence_loops

ASKED = [{"role": "user", "content": "What is a fox?"}]
GOOD, LOOP = "A fox is a wild animal that lives in the woods.", "A fox is a fox is a fox is a fox is a fox."


def test_the_looping_answer_is_rejected_wherever_it_stands():
    for answers in ([GOOD, LOOP], [LOOP, GOOD]):
        assert preference_pairs([ASKED], [answers]) == [
            {
                "prompt": ASKED,
                "chosen": [{"role": "assistant", "content": GOOD}],
                "rejected": [{"role": "assistant", "content": LOOP}],
            }
        ]


def test_answers_without_a_difference_make_no_pair():
    answers = [[GOOD, "It is an animal."], [LOOP, LOOP], [GOOD], []]
    assert preference_pairs([ASKED] * 4, answers) == []


def test_another_score_decides_when_it_is_given():
    (pair,) = preference_pairs([ASKED], [["long answer", "short", "longest of answers"]], score=lambda text: -len(text))
    assert (pair["chosen"][0]["content"], pair["rejected"][0]["content"]) == ("short", "longest of answers")


def test_prompts_that_answers_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="2 prompts and 1 lists of answers"):
        preference_pairs([ASKED, ASKED], [[GOOD]])
    with pytest.raises(ValueError, match="prompt 1 must end with a user's message"):
        preference_pairs([ASKED, []], [[GOOD], [GOOD]])


@pytest.mark.parametrize("text", [GOOD, "Yes", "4 + 5 = 9", "- - - a", "Red. Blue. Green. Red, then, is first."])
def test_a_degraded_text_loops_at_its_end_and_begins_as_it_was(text):
    for seed in range(30):
        made = looped(text, seed)
        assert sequence_loops(made), made
        assert made == looped(text, seed)
    assert looped(GOOD, 1).startswith("A fox is a wild")
    assert len({looped(GOOD, seed) for seed in range(30)}) > 10


def test_a_text_without_words_cannot_be_looped():
    with pytest.raises(ValueError, match="no word to repeat"):
        looped(" - ", 0)


def test_the_reward_reads_messages_and_texts_as_trl_passes_them():
    completions = [[{"role": "assistant", "content": GOOD}], [{"role": "assistant", "content": LOOP}]]
    rewards = repetition_reward(completions=completions, prompts=[ASKED, ASKED], completion_ids=[[1], [2]])
    assert rewards == [repetition_score(GOOD), 0.0] == repetition_reward([GOOD, LOOP])
    assert rewards[0] > 0.9
