from __future__ import annotations

import numpy as np
import pytest

from bert_thor.data.batches.order import permuted


@pytest.mark.parametrize("size", (1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 1000, 4096, 4097, 49_105))
def test_every_number_occurs_once(size: int) -> None:
    for seed, epoch in ((0, 0), (12345, 7), (2**64 - 1, 10**6), (-1, 1)):
        assert np.array_equal(np.sort(permuted(np.arange(size), size, seed, epoch)), np.arange(size))


def test_a_place_does_not_depend_on_what_else_is_asked() -> None:
    whole = permuted(np.arange(1000), 1000, 3, 2)
    np.testing.assert_array_equal(permuted(np.array([999, 5, 5, 0]), 1000, 3, 2), whole[[999, 5, 5, 0]])


def test_the_order_never_changes_between_versions() -> None:
    """Checkpoints hold a position in this order, so these numbers are part of the file format."""
    assert permuted(np.arange(10), 10, 0, 0).tolist() == [2, 0, 8, 1, 9, 7, 4, 5, 6, 3]
    assert permuted(np.arange(5), 10**12, 12345, 3).tolist() == [
        928154276760,
        315177030208,
        828469809469,
        73050520258,
        468945188351,
    ]


def test_places_and_seeds_are_independent() -> None:
    """Chi-square of (place, number) counts over many seeds and epochs: 5 standard deviations around its mean."""
    size, draws = 12, 6000
    counts = np.zeros((size, size))
    for draw in range(draws):
        counts[np.arange(size), permuted(np.arange(size), size, draw // 3, draw % 3)] += 1
    expected = draws / size
    chi_square = ((counts - expected) ** 2 / expected).sum()
    freedom = (size - 1) ** 2
    assert abs(chi_square - freedom) <= 5 * (2 * freedom) ** 0.5


def test_neighbours_are_scattered() -> None:
    size = 10_000
    numbers = permuted(np.arange(size), size, 1, 0)
    steps = np.diff(numbers)
    assert (np.abs(steps) == 1).sum() <= 2 + 5 * 2**0.5  # about 2 pairs of neighbours stay neighbours in a random order
    other = permuted(np.arange(size), size, 1, 1)
    assert (numbers == other).sum() <= 1 + 5
    assert abs(np.corrcoef(np.arange(size), numbers)[0, 1]) <= 5 / size**0.5
