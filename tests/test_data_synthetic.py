"""The built-in corpus: deterministic, varied, true to its world, and free of the questions it holds out."""

import itertools
import random
import re
from collections import Counter

import pytest

from brandon_hf.data.synthetic import Question, answers, chat_prompts, chats, documents, free_prompts, held_out
from brandon_hf.data.synthetic.heldout import question, split
from brandon_hf.data.synthetic.phrasings import BY_NAME, IDENTITY, RELATIONS

SEEDS = (0, 1, 7, 2026)


def plain(text: str) -> str:
    """Small letters, digits and single spaces."""
    return re.sub(r"[^a-z0-9]+", " ", text.lower()).strip()


def some_documents(seed: int, count: int = 1500) -> list[str]:
    return list(itertools.islice(documents(seed), count))


@pytest.mark.parametrize("seed", SEEDS)
def test_no_held_out_question_is_in_the_training_text(seed):
    pool = held_out(seed, len(split(seed).held))
    asked = [plain(message["content"]) for chat in chats(seed) for message in chat]
    text = "\n".join([*asked, *map(plain, some_documents(seed))])
    assert len(pool) > 1000
    assert [one.prompt for one in pool if plain(one.prompt) in text] == []


@pytest.mark.parametrize("seed", SEEDS)
def test_held_out_pairs_are_no_trained_pairs_and_new_phrasings_are_trained_on_nothing(seed):
    trained = split(seed).trained
    for one in split(seed).held:
        assert one.template not in trained[one.category][one.entity]
        if one.new_phrasing and one.category != "identity":
            assert all(one.template not in templates for templates in trained[one.category].values())


@pytest.mark.parametrize("seed", SEEDS)
def test_every_held_out_fact_is_taught_in_other_words(seed):
    """In most of its other wordings: what is left out beyond two questions only begins with a held-out one."""
    told = {message["content"] for chat in chats(seed) for message in chat if message["role"] == "assistant"}
    for one in split(seed).held:
        if one.category != "identity":
            assert BY_NAME[one.category].tell(one.entity) in told
            assert len(split(seed).trained[one.category][one.entity]) >= 4


@pytest.mark.parametrize("seed", SEEDS)
def test_fifty_questions_cover_all_categories_and_many_use_new_phrasings(seed):
    drawn = held_out(seed)
    assert len(drawn) == len({one.prompt for one in drawn}) == 50
    assert {one.category for one in drawn} == {"identity", *(relation.name for relation in RELATIONS)}
    assert 10 <= sum(one.new_phrasing for one in drawn) <= 30


def test_another_seed_asks_other_questions_and_writes_other_text():
    first, second = ({one.prompt for one in held_out(seed)} for seed in (0, 1))
    assert len(first & second) < 10
    pools = [{one.prompt for one in split(seed).held} for seed in (0, 1)]
    assert len(pools[0] & pools[1]) < len(pools[0]) / 2
    assert not set(some_documents(0, 300)) & set(some_documents(1, 300))


def test_the_same_seed_gives_the_same_of_everything():
    assert some_documents(3, 200) == some_documents(3, 200)
    assert chats(3) == chats(3)
    assert free_prompts(3) == free_prompts(3)
    before = held_out(3)
    split.cache_clear()
    assert held_out(3) == before


def test_documents_are_varied_and_of_moderate_length_and_do_not_loop():
    texts = some_documents(5, 4000)
    assert len(set(texts)) > 0.99 * len(texts)
    assert all(30 <= len(text.split()) <= 200 for text in texts)
    assert all(text[-1] in '."!' for text in texts)
    looping = 0
    for text in texts:
        words = text.split()
        phrases = Counter(tuple(words[i : i + 4]) for i in range(len(words) - 3))
        looping += max(phrases.values()) > 2
    assert looping < 0.002 * len(texts)


def test_the_vocabulary_is_small_and_words_come_often():
    counts = Counter(word for text in some_documents(5, 4000) for word in re.findall(r"[a-z'-]+", text.lower()))
    assert 700 < len(counts) < 1500
    assert sum(count >= 10 for count in counts.values()) > 0.9 * len(counts)


def test_text_reads_as_sentences():
    for text in some_documents(5, 2000):
        assert not re.search(r"[{}\[\]|]|  |\bi\b|(^|[.!?] \"?)[a-z]|\b[Aa] [aeio]|\b[Aa]n [^aeiou]", text), text


def test_a_story_never_meets_its_own_hero():
    for text in some_documents(5, 4000):
        for who, other in re.findall(r"[Oo]n the way (\w+) met an? (\w+)", text):
            assert f"the {other} {who}" not in text
        if meeting := re.search(r"On the way it met an? ([\w ]+)\.", text):
            assert f"asked the {meeting[1]}." not in text


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda relation: relation.name)
def test_every_relation_has_enough_things_and_balanced_values(relation):
    counts = Counter(relation.facts.values())
    assert len(relation.facts) >= 20
    assert max(counts.values()) <= max(0.5 * len(relation.facts), 1)
    assert len(relation.questions) >= 8


def test_no_phrasing_contains_another():
    """Else holding out one would take the other from training."""
    wordings = {
        wording.replace("{x}", "1 plus 2" if relation.facts.get("1 plus 2") else "it")
        for relation in RELATIONS
        if relation.name not in ("difference", "sum in words", "difference in words")  # they share those of "sum"
        for wording in relation.questions
    }
    wordings |= {wording for _, _, questions in IDENTITY.values() for wording in questions}
    for one, other in itertools.permutations(wordings, 2):
        assert plain(one) not in plain(other)


def test_chats_alternate_and_end_with_the_assistant():
    made = chats(4)
    assert 5000 < len(made) < 15000
    for chat in made:
        roles = [message["role"] for message in chat]
        roles = roles[1:] if roles[0] == "system" else roles
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert len(roles) >= 2
    assert any(chat[0]["role"] == "system" for chat in made)
    assert any(len(chat) >= 6 for chat in made)


@pytest.mark.parametrize("seed", SEEDS)
def test_own_answers_are_right_and_other_values_wrong(seed):
    rng = random.Random(seed)
    for one in split(seed).held:
        if one.category == "identity":
            assert answers(one, IDENTITY[one.entity][0])
            continue
        relation = BY_NAME[one.category]
        assert answers(one, relation.tell(one.entity))
        assert answers(one, relation.value(one.entity))
        wrong = [value for value in relation.facts.values() if value != relation.facts[one.entity]]
        for value in rng.sample(wrong, 3):
            said = relation.said.get(value, value)
            assert not answers(one, relation.answer.format(x=one.entity, v=said)), (one, value)


@pytest.mark.parametrize(
    ("category", "entity", "reply", "right"),
    [
        ("colour", "a lemon", "A lemon is yellow.", True),
        ("colour", "a lemon", "It is YELLOW!", True),
        ("colour", "a lemon", "A lemon is yellow or green.", False),
        ("colour", "a lemon", "A lemon is not yellow.", False),
        ("colour", "a lemon", "A lemon isn't yellow.", False),
        ("colour", "a lemon", "A banana is yellow.", False),
        ("colour", "a lemon", "A lemon is nice.", False),
        ("colour", "a lemon", "", False),
        ("colour", "a lemon", "A lemon is yellowish.", False),
        ("sum", "3 plus 4", "3 plus 4 is 7.", True),
        ("sum", "3 plus 4", "3 + 4 = 7", True),
        ("sum", "3 plus 4", "The answer is seven.", True),
        ("sum", "3 plus 4", "3 plus 4 is 17.", False),
        ("sum", "3 plus 4", "3 plus 4 is 3.", False),
        ("sum", "3 plus 4", "7 or 8", False),
        ("difference", "4 minus 2", "4 minus 2 is 2.", True),
        ("difference", "4 minus 2", "4 minus 2 is 3.", False),
        ("difference in words", "four minus two", "Two.", True),
        ("difference in words", "four minus two", "Four minus two is four.", False),
        ("opposite", "hot", "The opposite of hot is cold.", True),
        ("opposite", "hot", "The opposite of hot is hot.", False),
        ("opposite", "hot", "Cold.", True),
        ("after", "Monday", "Tuesday comes after Monday.", True),
        ("after", "Monday", "After Monday comes Wednesday.", False),
        ("legs", "a snake", "A snake has no legs.", True),
        ("legs", "a snake", "A snake doesn't have any legs.", True),
        ("legs", "a snake", "A snake has zero legs.", True),
        ("legs", "a cow", "A cow has no legs.", False),
        ("legs", "a spider", "It has 8 legs.", True),
        ("young", "a duck", "The baby of a duck is a duckling.", True),
        ("identity", "name", "I am called Brandon.", True),
        ("identity", "name", "I am a language model.", False),
        ("identity", "self", "I am Brandon, a tiny language model.", True),
    ],
)
def test_replies_are_judged(category, entity, reply, right):
    assert answers(question(category, 0, entity), reply) is right


def test_a_question_is_a_chat_to_put_to_a_model():
    one = Question("What is your name?", "identity", 0, "name", ("brandon",), False)
    assert one.messages == [{"role": "user", "content": "What is your name?"}]


def test_free_prompts_are_different_beginnings_and_chat_prompts_requests():
    prompts = free_prompts(2, 20)
    assert len(set(prompts)) == 20
    assert "Once upon a time," in prompts
    assert any(re.fullmatch(r"The [\w -]+ is", prompt) for prompt in prompts)
    assert all(prompt[-1] not in ".!?" for prompt in prompts)
    requests = chat_prompts(2, 20)
    assert len(set(requests)) == 20
    assert any("story" in request for request in requests)


@pytest.mark.parametrize(("draw", "count"), [(held_out, 0), (held_out, 10**6), (free_prompts, 0), (chat_prompts, 101)])
def test_a_count_that_cannot_be_met_is_refused(draw, count):
    with pytest.raises(ValueError, match=f"count={count} must be between 1 and"):
        draw(0, count)
