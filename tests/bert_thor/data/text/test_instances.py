from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import replace

import pytest

from bert_thor.data.errors import DataError
from bert_thor.data.text.instances import Instance, Lengths, create_instances
from bert_thor.data.text.masking import Masking

LENGTHS = Lengths(max_seq_length=16, short_seq_prob=0.0)
MASKING = Masking(3, masked_lm_prob=0.15, vocab_size=1000, cls_id=1, sep_id=2, mask_id=3)


def numbered_documents(documents: int, sentences: int, length: int) -> list[list[list[int]]]:
    """Token = 10,000 * document + 100 * sentence + place, so that every token tells where it comes from."""
    return [
        [[10_000 * (d + 1) + 100 * s + t for t in range(length)] for s in range(sentences)] for d in range(documents)
    ]


def make(
    documents: list[list[list[int]]],
    lengths: Lengths = LENGTHS,
    masking: Masking = MASKING,
    dupe_factor: int = 1,
    seed: int = 0,
) -> list[Instance]:
    made = create_instances(documents, dupe_factor, lengths, masking, random.Random(seed))
    return [instance for of_document in made for instance in of_document]


def original(instance: Instance) -> list[int]:
    tokens = list(instance.input_ids)
    for place, token in zip(instance.masked_lm_positions, instance.masked_lm_ids):
        tokens[place] = token
    return tokens


def halves(instance: Instance) -> tuple[list[int], list[int]]:
    tokens = original(instance)
    cut = instance.segment_ids.index(1)
    assert tokens[0] == MASKING.cls_id and tokens[cut - 1] == MASKING.sep_id and tokens[-1] == MASKING.sep_id
    assert instance.segment_ids == [0] * cut + [1] * (len(tokens) - cut)
    return tokens[1 : cut - 1], tokens[cut:-1]


@pytest.fixture(scope="module")
def many() -> list[Instance]:
    return make(
        numbered_documents(40, 30, 5),
        LENGTHS._replace(max_seq_length=64),
        replace(MASKING, max_predictions_per_seq=10),
        5,
    )


def test_segments_are_runs_of_one_document_and_b_follows_a_unless_it_is_random(many: list[Instance]) -> None:
    for instance in many:
        a, b = halves(instance)
        for segment in (a, b):
            assert len({token // 10_000 for token in segment}) == 1
            assert segment == sorted(segment)
        if instance.is_random_next:
            assert a[0] // 10_000 != b[0] // 10_000
        else:
            assert a[0] // 10_000 == b[0] // 10_000 and a[-1] < b[0]


def test_half_of_the_pairs_are_random(many: list[Instance]) -> None:
    share = sum(instance.is_random_next for instance in many) / len(many)
    sigma = (0.25 / len(many)) ** 0.5
    # a document's last chunk of one sentence is always random, so the share lies a little above one half
    assert 0.5 - 4 * sigma <= share <= 0.5 + 4 * sigma + 200 / len(many)


def test_sentences_displaced_by_a_random_next_are_used_by_the_following_pair() -> None:
    instances = make(numbered_documents(2, 50, 3), LENGTHS._replace(max_seq_length=33))
    own: dict[int, set[int]] = {1: set(), 2: set()}
    for instance in instances:
        a, b = halves(instance)
        own[a[0] // 10_000].update(a + ([] if instance.is_random_next else b))
    # nothing was truncated away from a document of sentences that fit, except at the ends of full chunks
    for document, tokens in own.items():
        assert {token // 100 for token in tokens} == {document * 100 + sentence for sentence in range(50)}


def test_masking_counts_and_replacements(many: list[Instance]) -> None:
    kinds: Counter[str] = Counter()
    for instance in many:
        tokens = original(instance)
        assert len(instance.masked_lm_positions) == min(10, max(1, round(0.15 * len(tokens))))
        assert instance.masked_lm_positions == sorted(set(instance.masked_lm_positions))
        for place, token in zip(instance.masked_lm_positions, instance.masked_lm_ids):
            assert token not in (MASKING.cls_id, MASKING.sep_id)
            shown = instance.input_ids[place]
            kinds["mask" if shown == MASKING.mask_id else "same" if shown == token else "random"] += 1
            assert shown in (MASKING.mask_id, token) or 0 <= shown < MASKING.vocab_size
    total = sum(kinds.values())
    for kind, share in (("mask", 0.8), ("same", 0.1), ("random", 0.1)):
        # 5 sigma, and the chance of 1 in vocab_size that a random token is [MASK]
        assert (
            abs(kinds[kind] / total - share) <= 5 * (share * (1 - share) / total) ** 0.5 + 0.1 / MASKING.vocab_size
        ), kind


def test_rows_are_full_unless_a_document_ends() -> None:
    instances = make(numbered_documents(10, 90, 4), LENGTHS._replace(max_seq_length=64))
    ended = 0
    for instance in instances:
        last = halves(instance)[1][-1] % 10_000 // 100  # the sentence that b ends with
        ended += last == 89
        assert len(instance.input_ids) == 64 or last == 89
    assert ended < len(instances) / 2


def test_short_sequences_are_drawn_per_document() -> None:
    documents = numbered_documents(300, 40, 2)
    short = make(documents, Lengths(64, short_seq_prob=1.0))
    first: dict[int, int] = {}
    for instance in short:
        first.setdefault(halves(instance)[0][0] // 10_000, len(instance.input_ids))
    targets = [length - 3 for length in first.values()]
    # uniform on [2, 61], rounded up to whole sentences of 2 and cut at 61: mean 32 with standard deviation 17.3
    assert abs(sum(targets) / len(targets) - 32) <= 5 * 17.3 / len(targets) ** 0.5 + 2


@pytest.mark.parametrize("length", (1, 12, 13, 14, 40, 500))
def test_two_documents_of_one_sentence(length: int) -> None:
    instances = make(numbered_documents(2, 1, min(length, 99)))
    assert len(instances) == 2
    for instance in instances:
        a, b = halves(instance)
        assert instance.is_random_next and len(a) + len(b) == min(2 * min(length, 99), 13)
        assert abs(len(a) - len(b)) <= 1


def test_a_lone_document_is_refused() -> None:
    with pytest.raises(DataError, match="there is 1 document, but a random next sentence needs another one"):
        make(numbered_documents(1, 1, 4))


def test_random_next_is_never_from_the_same_document() -> None:
    """With two documents the published script draws the same one ten times in a row once in a thousand pairs."""
    instances = make(numbered_documents(2, 90, 3), dupe_factor=400)
    random_next = [halves(instance) for instance in instances if instance.is_random_next]
    assert len(random_next) > 8000
    assert all(a[0] // 10_000 != b[0] // 10_000 for a, b in random_next)


def test_a_very_long_sentence_takes_time_in_proportion_to_its_length() -> None:
    """A document on one line of 3 MB is 700,000 tokens; taking them off a list's front one by one took minutes."""
    documents = [[list(range(4, 1000)) * 700], [[5] * 10]]
    begun = time.process_time()
    assert len(make(documents)) == 2
    assert time.process_time() - begun < 10


def test_the_seed_decides() -> None:
    documents = numbered_documents(5, 20, 4)
    first, again, other = (make([list(d) for d in documents], seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
