"""Multi-head self-attention as one MindSpore operator with its own gradient."""

from __future__ import annotations

from typing import Any, Callable

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn, ops

from bert_thor.kernels.arrays import check_site
from bert_thor.kernels.attention.reference import MASKED
from bert_thor.ops._backend import choose
from bert_thor.ops._custom import SAME, CpuCell, cpu, dtypes
from bert_thor.ops.dropout import DropoutMindSpore

Attention = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def attention(heads: int, probability: float, site: int) -> Attention:
    """The operator (qkv, bias, mask, seed) -> dropout(softmax(q k^T / sqrt(head size) + mask)) v for `heads` heads.

    q, k and v are the thirds of qkv + bias. qkv [batch * length, 3 * hidden] float32, bfloat16 (cpu) or float16 (mindspore),
    and the result [batch * length, hidden] like it; bias [3 * hidden] and mask [batch, length] float32. The mask is added to
    the scores; a key whose mask is -10000 or less has weight 0, and a sequence of such keys alone gives 0 and gradients 0.
    seed [4] int32 = (key low, key high, step, slice), probability and `site` as for `dropout`. Gradients flow to qkv and bias,
    each stored like what it belongs to. Graph mode and PyNative.

    With MindSpore's own operators the scores are stored, and the masks come from the device's generator.
    """
    backends: dict[str, Callable[[int, float, int], Attention]] = {"mindspore": AttentionMindSpore, "cpu": AttentionCpu}
    return backends[choose("attention", backends)](heads, probability, check_site("attention", site))


_gradient = cpu(
    "attention_grad",
    lambda dout, qkv, bias, mask, log_sum_exp, probability, seed, site: (qkv, bias),
    dtypes("attention", 1, SAME, ms.float32),
)


def _backward(qkv: Any, bias: Any, mask: Any, probability: Any, seed: Any, site: Any, out: Any, dout: Any) -> Any:
    dqkv, dbias = _gradient(dout[0], qkv, bias, mask, out[1], probability, seed, site)
    zeros = ops.zeros_like
    return dqkv, dbias, zeros(mask), zeros(probability), zeros(seed), zeros(site)


class AttentionCpu(CpuCell):
    """The kernel for CPUs: the scores never reach memory."""

    def __init__(self, heads: int, probability: float, site: int) -> None:
        super().__init__()
        self.probability = Tensor(np.array([probability], np.float32))
        self.site = Tensor(np.array([site], np.int32))

        def shapes(qkv: Any, bias: Any, mask: Any, probability: Any, seed: Any, site: Any) -> Any:
            return [qkv[0], qkv[1] // 3], [mask[0], heads, mask[1]]

        self.operator = cpu("attention", shapes, dtypes("attention", 0, SAME, ms.float32), bprop=_backward)
        # MindSpore takes operators with equal attributes for one and the same.
        self.operator.add_prim_attr("heads", heads)

    def construct(self, qkv: Tensor, bias: Tensor, mask: Tensor, seed: Tensor) -> Tensor:
        """Return the mixed values."""
        return self.operator(qkv, bias, mask, self.probability, seed, self.site)[0]


@ops.constexpr
def _scale(size: int) -> float:
    return size**-0.5


class AttentionMindSpore(nn.Cell):
    """MindSpore's own operators; of float16 the products are float16, softmax, dropout and the bias's sum are float32."""

    def __init__(self, heads: int, probability: float, site: int) -> None:
        super().__init__()
        self.heads = heads
        self.scores, self.mix = ops.BatchMatMul(transpose_b=True), ops.BatchMatMul()
        self.softmax, self.largest = ops.Softmax(-1), ops.ReduceMax()
        self.dropout = DropoutMindSpore(probability, site)

    def construct(self, qkv: Tensor, bias: Tensor, mask: Tensor, seed: Tensor) -> Tensor:
        """Return the mixed values."""
        batch, length = mask.shape
        size = qkv.shape[1] // (3 * self.heads)
        biased = (qkv.astype(ms.float32) + bias).astype(qkv.dtype)
        split = biased.reshape(batch, length, 3, self.heads, size).transpose(2, 0, 3, 1, 4)
        added = ops.maximum(mask, MASKED).reshape(batch, 1, 1, length)
        scores = self.scores(split[0], split[1]).astype(ms.float32) * _scale(size) + added
        weights = self.dropout(self.softmax(scores), seed).astype(qkv.dtype)
        counts = (self.largest(mask, 1) > MASKED).astype(qkv.dtype).reshape(batch, 1, 1, 1)  # whether any key does
        mixed = self.mix(weights, split[2]) * counts
        return mixed.transpose(0, 2, 1, 3).reshape(batch * length, -1)
