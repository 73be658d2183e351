"""THOR on a small GPT: two layers of 64 that predict the next character of Python's own documentation.

    python examples/gpt.py

Query, key and value are one dense layer with three matrices in it: `groups` says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from pydoc_data.topics import topics

import mindspore as ms
import numpy as np
from comparison import compare
from mindspore import Tensor, nn, ops

CHARACTERS, LENGTH, WIDTH, HEADS, LAYERS, SEQUENCES = 128, 32, 64, 4, 2, 16


class Block(nn.Cell):
    """Causal attention and feed-forward, each after a norm and added to what came in."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm((WIDTH,)), nn.LayerNorm((WIDTH,))
        self.qkv, self.mix = nn.Dense(WIDTH, 3 * WIDTH), nn.Dense(WIDTH, WIDTH)
        self.widen, self.narrow = nn.Dense(WIDTH, 4 * WIDTH, activation="gelu"), nn.Dense(4 * WIDTH, WIDTH)
        self.future = Tensor(np.triu(np.full((LENGTH, LENGTH), -1e4, np.float32), 1))

    def construct(self, x: Tensor) -> Tensor:
        """x [B, S, WIDTH] to the same."""
        shape = (x.shape[0], LENGTH, HEADS, WIDTH // HEADS)
        parts = ops.split(self.qkv(self.attention_norm(x)), WIDTH, axis=-1)
        q, k, v = [part.reshape(shape).transpose(0, 2, 1, 3) for part in parts]
        scores = ops.matmul(q, k.transpose(0, 1, 3, 2)) / (WIDTH // HEADS) ** 0.5 + self.future
        mixed = ops.matmul(ops.softmax(scores, -1), v).transpose(0, 2, 1, 3).reshape(x.shape)
        x = x + self.mix(mixed)
        return x + self.narrow(self.widen(self.feed_forward_norm(x)))


class Gpt(nn.Cell):
    """Characters [B, S] to logits [B·S, 128]; the table is the decoder too."""

    def __init__(self) -> None:
        super().__init__()
        self.characters = nn.Embedding(CHARACTERS, WIDTH, embedding_table=ms.common.initializer.Normal(0.02))
        self.positions = nn.Embedding(LENGTH, WIDTH, embedding_table=ms.common.initializer.Normal(0.02))
        self.blocks = nn.SequentialCell(*(Block() for _ in range(LAYERS)))
        self.norm = nn.LayerNorm((WIDTH,))
        self.places = Tensor(np.arange(LENGTH, dtype=np.int32))

    def construct(self, ids: Tensor) -> Tensor:
        """Return the logits of the next characters."""
        x = self.norm(self.blocks(self.characters(ids) + self.positions(self.places)))
        return ops.matmul(x.reshape((-1, WIDTH)), self.characters.embedding_table.T)


def batches(random: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """16 stretches of 32 characters, and the characters after each."""
    text = "\n".join(topics[name] for name in sorted(topics))
    ids = np.frombuffer(text.encode("ascii", "replace"), np.uint8).astype(np.int32)
    while True:
        starts = random.integers(0, len(ids) - LENGTH - 1, (SEQUENCES, 1))
        stretch = ids[starts + np.arange(LENGTH + 1)]
        yield Tensor(stretch[:, :-1]), Tensor(stretch[:, 1:].reshape(-1))


if __name__ == "__main__":
    compare("gpt", Gpt, nn.CrossEntropyLoss(), batches, steps=150, groups={"*.qkv.*": 3})
