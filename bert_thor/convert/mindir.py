"""A trained network as MindIR, which MindSpore and MindSpore Lite run without this package."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn

from bert_thor.compat import use_graph_mode
from bert_thor.network.model import BertForPreTraining, dropout_seed
from bert_thor.network.sizes import BertConfig
from bert_thor.ops._backend import VARIABLE
from bert_thor.training.parameters import assign, weights

MODEL = "model.mindir"


class FillMask(nn.Cell):
    """Logits over the vocabulary of every place of one sequence, and its next-sentence logits."""

    def __init__(self, model: BertForPreTraining, length: int) -> None:
        super().__init__(auto_prefix=False)
        self.model = model
        self.places = Tensor(np.arange(length, dtype=np.int32)[None])
        self.seed = dropout_seed(0, 0)

    def construct(self, ids_BS: Tensor, mask_BS: Tensor, segments_BS: Tensor) -> tuple[Tensor, Tensor]:
        """Return [S, V] and [1, 2] for one sequence [1, S]."""
        scores, bias, sentence = self.model(ids_BS, mask_BS, segments_BS, self.places, self.seed)
        return scores + bias, sentence


def write_mindir(folder: Path, config: BertConfig, parameters: Mapping[str, np.ndarray]) -> None:
    """Write model.mindir into the existing `folder`: (ids, mask, segments), int32 [1, max_position], to the outputs of `FillMask`.

    The graph has MindSpore's own operators: our kernels are files of this machine, which others have not.
    """
    use_graph_mode("CPU")
    with _own_operators():
        model = BertForPreTraining(config)
    assign(weights(model), dict(parameters), folder)
    network = FillMask(model, config.max_position)
    network.set_train(False)
    row = Tensor(np.zeros((1, config.max_position), np.int32))
    ms.export(network, row, row, row, file_name=str(folder / MODEL), file_format="MINDIR")
    (folder / MODEL).chmod(0o666 & ~_umask())  # the owner alone may read what MindSpore writes


@contextmanager
def _own_operators() -> Iterator[None]:
    """Operators that are made within are MindSpore's."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = "mindspore"
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
