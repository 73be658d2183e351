"""THOR on a classifier: scikit-learn's handwritten digits, three dense layers of MindSpore's own.

python examples/digits.py
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from comparison import compare
from mindspore import Tensor, nn
from sklearn.datasets import load_digits


def network() -> nn.Cell:
    """64 pixels to 10 classes."""
    return nn.SequentialCell(
        nn.Dense(64, 128, activation="relu"), nn.Dense(128, 128, activation="relu"), nn.Dense(128, 10)
    )


def batches(random: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """64 of the 1,797 images at a time, pixels from -1 to 1."""
    digits = load_digits()
    pixels, classes = (digits.data / 8 - 1).astype(np.float32), digits.target.astype(np.int32)
    while True:
        chosen = random.integers(0, len(pixels), 64)
        yield Tensor(pixels[chosen]), Tensor(classes[chosen])


if __name__ == "__main__":
    compare("digits", network, nn.CrossEntropyLoss(), batches, steps=100)
