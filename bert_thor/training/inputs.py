"""A batch of rows as what the network and its loss take, and what the optimizer has to know of the network."""

from __future__ import annotations

from mindspore import Tensor

from bert_thor.data.records.schema import Batch
from bert_thor.network.architecture import architecture
from bert_thor.network.model import dropout_seed
from bert_thor.network.sizes import BertConfig


def inputs_and_labels(
    batch: Batch, seed: int, step: int, rank: int = 0
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """The inputs of `BertForPreTraining` in step `step` and the labels of `PretrainingLoss`."""
    columns = [Tensor(array) for array in batch]
    return (*columns[:4], dropout_seed(seed, step, rank)), tuple(columns[4:])


def groups_of(model: BertConfig) -> dict[str, int]:
    """Parameters that are several tensors side by side, by name: query, key and value."""
    return {spec.name: spec.groups for spec in architecture(model) if spec.groups > 1}
