"""Dropout by a mask of bits on Ascend 910: the bits of a batch of rows in UB, and the selection by them."""

from __future__ import annotations

from typing import Any

import numpy as np

from bert_thor.kernels.ascend.norms.row_batches import RowBatches
from bert_thor.kernels.ascend.norms.tiling import GROUP
from bert_thor.kernels.ascend.sizes import BLOCK_BYTES, FP32_LANES
from bert_thor.kernels.ascend.tik_support import fill
from bert_thor.kernels.residual_dropout_layer_norm.tiling import KEPT_ITEMS, MASK_BITS

RUN_BYTES = MASK_BITS // 8


def mask_elements(elements: int) -> int:
    """Bytes of the mask of so many elements: one bit each, in runs of 128."""
    return -(-elements // MASK_BITS) * MASK_BITS // 8


class Mask:
    """The mask of a kernel over batches of rows; bit i % 8 of byte i / 8 is 1 where element i is kept.

    The vector unit selects by a register of 128 bits, one repeat of fp16 at a time. fp32 is multiplied by 0 and 1 instead,
    which are selected in fp16.
    """

    def __init__(self, batches: RowBatches, probability: float) -> None:
        elements = batches.tiling.rows * batches.tiling.features
        self.batches, self.t = batches, batches.t
        self.scale = float(np.float32(1.0 / (1.0 - float(np.float32(probability)))))
        self.bits = batches.global_tensor("mask", (mask_elements(elements),), "uint8")
        self.items = batches.tiling.batch * batches.tiling.features  # a multiple of 128, as batches are of 8 rows

    def declare(self) -> None:
        """The constants to select from."""
        self.zeros, self.ones = (self.batches.local_tensor(n, (MASK_BITS,), "float16") for n in ("zeros", "ones"))
        fill(self.t, self.zeros, 0.0)
        fill(self.t, self.ones, 1.0)
        if self.batches.dtype == "float32":
            self.kept = [self.batches.local_tensor(f"kept_{i}", (KEPT_ITEMS,), "float16") for i in (0, 1)]

    def local(self, name: str) -> tuple[Any, Any]:
        """Room for the mask of a batch: the bytes, and at which of them it begins, since moves begin at blocks of 32."""
        room = self.batches.local_tensor(
            name, ((self.items // 8 + 2 * BLOCK_BYTES - 1) // BLOCK_BYTES * BLOCK_BYTES,), "uint8"
        )
        aligned = self.batches.tiling.features % (BLOCK_BYTES // GROUP * 8) == 0
        return room, 0 if aligned else self.t.Scalar("int64", f"{name}_begin", 0)

    def load(self, local: tuple[Any, Any], start: Any, rows: Any) -> None:
        """The mask of a batch into UB; of rows that a short batch lacks, all are dropped."""
        features, (room, begin) = self.batches.tiling.features, local
        first = start * features // 8
        if not isinstance(begin, int):
            begin.set_as(first % BLOCK_BYTES)
        end = begin + (rows * features + MASK_BITS - 1) // MASK_BITS * RUN_BYTES
        short = rows < self.batches.tiling.batch
        with self.t.if_scope(short):
            fill(self.t, room.reinterpret_cast_to("float16"), 0.0)
        self.t.data_move(room, self.bits[first - begin], 0, 1, (end + BLOCK_BYTES - 1) // BLOCK_BYTES, 0, 0)
        with self.t.if_scope(short):  # the last block may have read past the end of the mask
            words = room.reinterpret_cast_to("int32")
            for word in range(RUN_BYTES // 4):
                words[end // 4 + word].set_as(0)

    def drop(self, local: tuple[Any, Any], target: Any, source: Any) -> None:
        """target = source where it is kept, else 0; batches of fp16."""
        for first in range(0, self.items, MASK_BITS):
            self._select(local, first, target[first], source[first], self.zeros)

    def factors(self, local: tuple[Any, Any], target: Any) -> None:
        """target = 1 where it is kept, else 0; a batch of fp32."""
        for turn, first in enumerate(range(0, self.items, KEPT_ITEMS)):
            kept, count = self.kept[turn % 2], min(KEPT_ITEMS, self.items - first)
            for part in range(0, count, MASK_BITS):
                self._select(local, first + part, kept[part], self.ones, self.zeros)
            self.t.vconv(FP32_LANES, "none", target[first], kept, count // FP32_LANES, 1, 1, 8, 4)

    def _select(self, local: tuple[Any, Any], first: int, target: Any, yes: Any, no: Any) -> None:
        """128 numbers of fp16 by the bits of elements `first` and on."""
        room, begin = local
        chosen = self.t.mov_tensor_to_cmpmask(room[begin + first // 8])
        self.t.vsel(MASK_BITS, 0, target, chosen, yes, no, 1, 1, 1, 1, 8, 8, 8)
