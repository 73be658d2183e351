"""The encoders that whole steps are timed with, in MindSpore and in PyTorch: the same sizes, batch and dropout.

Letters: H hidden size, V vocabulary, B sequences of S tokens, P masked tokens of each.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any, Callable

import numpy as np

from bert_thor.data.records.schema import Batch
from bert_thor.network.sizes import BERT_SIZES, BertConfig
from bert_thor.planning import work
from bert_thor.precision import Precision

SIZES = work.Batch(sequences=8, length=128, predictions=20)
ENCODERS = {
    256: BERT_SIZES["bert-mini"],
    768: replace(BERT_SIZES["bert-base"], num_layers=3, max_position=SIZES.length),
    1024: replace(BERT_SIZES["bert-large"], num_layers=2, max_position=SIZES.length),
}
"""By hidden size: 4 layers with a vocabulary of 8192, 3 and 2 with that of BERT."""
LABELS: dict[Precision, str] = {"float32": "fp32", "bfloat16": "bf16"}
"""Precisions that are raced, and what results call them."""
PYTORCH = ("pytorch", "pytorch_fused_attention", "pytorch_compiled")
"""Attention by products and softmax; by scaled_dot_product_attention; the same through torch.compile."""


@dataclass(frozen=True)
class Setting:
    """A network, the precision of its products and activations, and the threads of every contender."""

    model: BertConfig
    precision: Precision
    threads: int

    @property
    def label(self) -> str:
        """For names of results."""
        return f"{LABELS[self.precision]}, {self.model.num_layers} layers of {self.model.hidden_size}"

    @property
    def flop(self) -> float:
        """Multiply-adds of all matrix products of forward and backward pass, twice."""
        return float(work.step_flop(self.model, SIZES))


def batch(vocabulary: int, sequences: int = SIZES.sequences) -> Batch:
    """Random tokens without padding; which sentences follow each other alternates."""
    random = np.random.default_rng(0)
    ids = random.integers(0, vocabulary, (sequences, SIZES.length)).astype(np.int32)
    places = random.permuted(np.tile(np.arange(SIZES.length), (sequences, 1)), axis=1)
    positions = np.sort(places[:, : SIZES.predictions], 1).astype(np.int32)
    segments = np.tile((np.arange(SIZES.length) >= SIZES.length // 2).astype(np.int32), (sequences, 1))
    labels = np.take_along_axis(ids, positions, 1)
    weights = np.ones(positions.shape, np.float32)
    return Batch(ids, np.ones_like(ids), segments, positions, labels, weights, np.arange(sequences, dtype=np.int32) % 2)


def check_loss(name: str, loss: float, vocabulary: int) -> None:
    """Raise `SystemExit` unless an untrained network has this loss: who computes nothing would win every race."""
    if not np.log(vocabulary) < loss < np.log(vocabulary) + 2:
        raise SystemExit(
            f"error: the loss of {name} is {loss}; an untrained network's is about log(vocabulary) + log 2."
        )


def our_network(setting: Setting) -> Any:
    """The network in MindSpore, while training."""
    from bert_thor.compat import use_graph_mode
    from bert_thor.network.model import BertForPreTraining

    use_graph_mode("CPU")
    return BertForPreTraining(setting.model, 0, setting.precision).set_train()


def our_step(setting: Setting, sequences: int = SIZES.sequences) -> Callable[[], float]:
    """One graph: losses and the gradients of all weights."""
    import mindspore as ms

    from bert_thor.network.model import PretrainingLoss
    from bert_thor.optimizer.step import Forward
    from bert_thor.training.inputs import inputs_and_labels

    model = our_network(setting)
    inputs, labels = inputs_and_labels(batch(setting.model.vocab_size, sequences), seed=0, step=0)
    forward = Forward(model, PretrainingLoss(), len(inputs))
    backward = ms.value_and_grad(forward, None, ms.ParameterTuple(model.get_parameters()), has_aux=True)

    @ms.jit
    def step(*columns: Any) -> Any:
        return backward(*columns)

    def run() -> float:
        losses, gradients = step(*inputs, *labels)
        for gradient in gradients:
            gradient.asnumpy()
        return float(losses[0].asnumpy())

    return run


def pytorch_loss(name: str, setting: Setting) -> tuple[Any, Callable[[], Any]]:
    """(the network, a call that computes the batch's loss) of the variant `name`; in 16 bits under autocast."""
    import torch

    from bench.steps.pytorch_encoder import BertForPreTraining

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    sizes = setting.model
    network = BertForPreTraining(
        sizes.vocab_size, sizes.hidden_size, sizes.num_layers, sizes.num_heads, sizes.intermediate_size,
        sizes.max_position, fused=name != "pytorch",
    ).train()  # fmt: skip
    forward = torch.compile(network) if name == "pytorch_compiled" else network
    columns = [torch.from_numpy(a) for a in batch(sizes.vocab_size)]
    inputs = [column.long() if column.dtype == torch.int32 else column for column in columns]

    def loss() -> Any:
        with torch.autocast("cpu", torch.bfloat16, enabled=setting.precision == "bfloat16"):
            return forward(*inputs)

    return network, loss


def pytorch_step(name: str, setting: Setting) -> Callable[[], float]:
    """Forward and backward of the variant `name`."""
    return backward_pass(*pytorch_loss(name, setting))


def backward_pass(network: Any, compute: Callable[[], Any]) -> Callable[[], float]:
    """Forward and backward of the loss that `compute` gives; returns its value."""

    def run() -> float:
        network.zero_grad(set_to_none=True)
        loss = compute()
        loss.backward()
        return float(loss.detach())

    return run
