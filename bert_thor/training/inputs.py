"""A batch of rows as what the network and its loss take, and what the optimizer has to know of the network."""

from __future__ import annotations

import numpy as np
from mindspore import Tensor

from bert_thor.data.records.schema import Batch
from bert_thor.network.architecture import architecture
from bert_thor.network.model import dropout_seed
from bert_thor.network.sizes import BertConfig


def inputs_and_labels(
    batch: Batch, seed: int, step: int, rank: int = 0, accumulate: int = 1
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """The inputs of `BertForPreTraining` in step `step` and the labels of `PretrainingLoss`.

    For several micro-batches all columns are made to be cut along their first axis: each part has a key for its own dropout, and the
    weight of the whole batch.
    """
    columns = [Tensor(array) for array in batch]
    if accumulate == 1:
        return (*columns[:4], dropout_seed(seed, step, rank)), tuple(columns[4:])
    keys = [dropout_seed(seed, step, rank * accumulate + part).asnumpy() for part in range(accumulate)]
    weight = np.full(accumulate, batch.masked_lm_weights.sum(dtype=np.float64), np.float32)
    return (*columns[:4], Tensor(np.concatenate(keys))), (*columns[4:], Tensor(weight))


def groups_of(model: BertConfig) -> dict[str, int]:
    """Parameters that are several tensors side by side, by name: query, key and value."""
    return {spec.name: spec.groups for spec in architecture(model) if spec.groups > 1}
