"""dropout: the mask is a function of index and key, bit for bit the same in NumPy and on every instruction set."""

from __future__ import annotations

import aot
import numpy as np
import pytest
from buffers import OFFSETS, Guarded
from comparison import call_guarded, from_bf16, to_bf16

from bert_thor.kernels.dropout import native, reference
from bert_thor.kernels.dropout.cases import ELEMENTS
from bert_thor.kernels.status import KernelError, Status

F32 = np.float32
SEED, SITE = np.array([-5, 77, 3, 2], np.int32), 9
# counter, key, words: kat_vectors of the Random123 distribution, philox4x32-10
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text: str) -> np.ndarray:
    return np.array([int(word, 16) for word in text.split()], np.uint32)


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_known_answers(instruction_set: int, counter: str, key: str, answer: str) -> None:
    c, k = words(counter), words(key)
    assert (reference.philox4x32(c, k) == words(answer)).all()
    seed = np.array([k[0], k[1], c[2], 1], np.uint32).view(np.int32)
    block, site = c[:2].view(np.int64)[0], c[3:].view(np.int32)[0]
    assert (native.philox4x32(seed, site, block, 1)[0] == words(answer)).all()


def test_words_of_any_blocks(instruction_set: int) -> None:
    """The 64-bit block index carries into its upper word; a run may start and end anywhere."""
    for first in (0, 5, 2**32 - 3, 2**40 + 1):
        for blocks in (0, 1, 7, 8, 9, 21):
            index = np.arange(first, first + blocks, dtype=np.uint64)
            counter = np.empty((blocks, 4), np.uint32)
            counter[:, 0], counter[:, 1] = index & np.uint64(0xFFFFFFFF), index >> np.uint64(32)
            counter[:, 2], counter[:, 3] = SEED[2], SITE
            expected = reference.philox4x32(counter, SEED[:2].view(np.uint32))
            assert (native.philox4x32(SEED, SITE, first, blocks) == expected).all()


@pytest.mark.parametrize("offset", OFFSETS)
def test_every_size_and_alignment_is_the_reference_bit_for_bit(instruction_set: int, offset: int) -> None:
    for n in ELEMENTS:
        x = np.random.default_rng(n).standard_normal(n).astype(F32)
        for probability in (0.0, 0.1, 0.5, 0.999):
            inputs = (x, probability, SEED, SITE)
            y = call_guarded(native.dropout, inputs, [(n,)], [F32], offset, single=True)[0]
            assert (y == reference.dropout(*inputs)).all()
            y = call_guarded(native.dropout, (to_bf16(x), *inputs[1:]), [(n,)], [np.uint16], offset, single=True)[0]
            assert (y == to_bf16(reference.dropout(from_bf16(to_bf16(x)), *inputs[1:]))).all()


def test_same_bits_for_any_number_of_threads(instruction_set: int) -> None:
    x = np.random.default_rng(0).standard_normal(100_003).astype(F32)
    alone = native.dropout(x, 0.1, SEED, SITE, threads=1)
    for threads in (2, 3, 7):
        assert (native.dropout(x, 0.1, SEED, SITE, threads=threads) == alone).all()


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_share_of_kept_elements(probability: float) -> None:
    """Within five deviations of the binomial law, and the mean is preserved."""
    n = 1 << 20
    y = native.dropout(np.ones(n, F32), probability, SEED, SITE)
    deviation = np.sqrt(n * probability * (1 - probability))
    assert abs(np.count_nonzero(y) - n * (1 - probability)) <= 5 * deviation
    assert np.unique(y).tolist() == [0.0, F32(1 / (1 - np.float64(F32(probability))))]


def test_every_part_of_the_key_gives_another_mask() -> None:
    x = np.ones(4096, F32)
    masks = [native.dropout(x, 0.5, SEED + np.eye(4, dtype=np.int32)[k], SITE) for k in range(4)]
    masks += [native.dropout(x, 0.5, SEED, SITE), native.dropout(x, 0.5, SEED, SITE + 1)]
    for i, one in enumerate(masks):
        for other in masks[:i]:  # independent masks agree in half of the places
            assert abs(np.count_nonzero(one == other) - 2048) <= 5 * np.sqrt(1024)


@pytest.mark.parametrize("slices", [2, 3, 7])
def test_slices_drop_what_the_whole_drops(instruction_set: int, slices: int) -> None:
    for n in (1, 5, 31, 1030):
        x = np.random.default_rng(n).standard_normal((slices, n)).astype(F32)
        whole = native.dropout(x, 0.3, SEED * np.int32([1, 1, 1, 0]), SITE)
        for number, part in enumerate(x):
            seed = np.array([*SEED[:3], number], np.int32)
            assert (native.dropout(part, 0.3, seed, SITE) == whole[number]).all()


def test_a_slice_may_start_beyond_32_bits(instruction_set: int) -> None:
    """The last possible slice; indices are counted in 64 bits."""
    x, seed = np.ones(100, F32), np.array([1, 2, 3, -1], np.int32)
    first = (2**32 - 1) * 100
    words_before = native.philox4x32(seed, SITE, first // 4, 26).reshape(-1)[first % 4 :][:100]
    assert ((native.dropout(x, 0.5, seed, SITE) != 0) == (words_before >= 2**31)).all()


@pytest.mark.parametrize("n", [19, 37, 100, 102, 513, 1030])
def test_the_counters_upper_word_may_change_within_a_segment(instruction_set: int, n: int) -> None:
    """Element 2^34 is the first of a counter whose second word is 1; here it is somewhere in a slice of n elements."""
    number = 2**34 // n
    first = number * n
    assert first < 2**34 < first + n
    x, seed = np.ones(n, F32), np.array([1, 2, 3, number], np.uint32).view(np.int32)
    words = native.philox4x32(seed, SITE, first // 4, n // 4 + 2).reshape(-1)[first % 4 :][:n]
    assert ((native.dropout(x, 0.5, seed, SITE) != 0) == (words >= 2**31)).all()


def test_probability_zero_copies(instruction_set: int) -> None:
    x = F32([1.5, -0.0, np.inf, -np.inf, np.nan, 1e-40])
    assert (native.dropout(x, 0.0, SEED, SITE).view(np.uint32) == x.view(np.uint32)).all()


def test_entry_point_of_the_framework(instruction_set: int) -> None:
    x = np.random.default_rng(0).standard_normal((7, 31)).astype(F32)
    y = Guarded((7, 31), F32, 1)
    site, probability = np.int32([SITE]), F32([0.1])
    assert aot.call("dropout", x, probability, SEED, site, y.array) == Status.OK
    y.assert_intact()
    assert (y.array == native.dropout(x, 0.1, SEED, SITE)).all()
    cases = [
        ((x, probability, SEED, site), Status.BAD_ARGUMENT_COUNT),
        ((x, probability, SEED.astype(F32), site, y.array), Status.BAD_DTYPE),
        ((x, probability, SEED[:3], site, y.array), Status.BAD_SHAPE),
        ((x, F32([0.1, 0.1]), SEED, site, y.array), Status.BAD_SHAPE),
        ((x, probability, SEED, np.int32([1, 2]), y.array), Status.BAD_SHAPE),
        ((x, probability, SEED, site, y.array[:6]), Status.BAD_SHAPE),
        ((x, F32([1.0]), SEED, site, y.array), Status.BAD_VALUE),
        ((x, F32([-0.1]), SEED, site, y.array), Status.BAD_VALUE),
        ((x, F32([np.nan]), SEED, site, y.array), Status.BAD_VALUE),
    ]
    for tensors, status in cases:
        assert aot.call("dropout", *tensors) == status


def test_entry_point_in_bfloat16(instruction_set: int) -> None:
    x = to_bf16(np.random.default_rng(0).standard_normal((7, 31)).astype(F32))
    y, rest = Guarded((7, 31), np.uint16, 1), (F32([0.1]), SEED, np.int32([SITE]))
    assert aot.call("dropout", x, *rest, y.array) == Status.OK
    y.assert_intact()
    assert (y.array == native.dropout(x, 0.1, SEED, SITE)).all()
    assert aot.call("dropout", x, *rest, from_bf16(x)) == Status.BAD_DTYPE


def test_bad_arguments_get_a_sentence() -> None:
    x = np.ones(4, F32)
    with pytest.raises(KernelError, match="0 <= dropout < 1"):
        native.dropout(x, 1.0, SEED, SITE)
    with pytest.raises(TypeError, match="seed has element type int64; cast it to int32"):
        native.dropout(x, 0.1, SEED.astype(np.int64), SITE)
    with pytest.raises(TypeError, match="x has element type float64"):
        native.dropout(x.astype(np.float64), 0.1, SEED, SITE)
