"""THOR on a network that is there already: MindSpore's own nn.TransformerEncoder, in a classifier of short texts.

    python examples/encoder.py

Which topic of Python's documentation is a stretch of 24 characters from? Of the encoder THOR preconditions the dense layers; its fused
projection of query, key and value is a bare parameter and gets Adam: the printed table says which parameter got what.
"""

from __future__ import annotations

from collections.abc import Iterator
from pydoc_data.topics import topics

import mindspore as ms
import numpy as np
from comparison import compare
from mindspore import Tensor, nn

TOPICS, LENGTH, WIDTH = 8, 24, 64


class Classifier(nn.Cell):
    """Characters [B, S] to logits [B, TOPICS] through somebody else's encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.characters = nn.Embedding(128, WIDTH, embedding_table=ms.common.initializer.Normal(1.0))
        layer = nn.TransformerEncoderLayer(WIDTH, 4, 2 * WIDTH, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.classes = nn.Dense(WIDTH, TOPICS)

    def construct(self, ids: Tensor) -> Tensor:
        """Return the logits."""
        return self.classes(self.encoder(self.characters(ids)).mean(1))


def batches(random: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """32 stretches of the longest topics, and which they are from."""
    texts = sorted(topics.values(), key=len)[-TOPICS:]
    ids = [np.frombuffer(text.encode("ascii", "replace"), np.uint8).astype(np.int32) for text in texts]
    while True:
        chosen = random.integers(0, TOPICS, 32)
        starts = [random.integers(0, len(ids[topic]) - LENGTH) for topic in chosen]
        rows = [ids[topic][start : start + LENGTH] for topic, start in zip(chosen, starts)]
        yield Tensor(np.stack(rows)), Tensor(chosen.astype(np.int32))


if __name__ == "__main__":
    compare("encoder", Classifier, nn.CrossEntropyLoss(), batches, steps=200)
