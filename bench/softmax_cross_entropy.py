"""Cases of softmax_cross_entropy over a vocabulary and its gradient: rows x classes."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import peers
from data import gradient, normal, to_torch
from measure import Case

from bert_thor.kernels.softmax_cross_entropy import native


def case(threads: int, rows: str, classes: str, direction: str) -> Case:
    """Bytes: logits forward; logits and their gradient backward."""
    n, c = int(rows), int(classes)
    logits, bias = normal(n, c), normal(c, seed=1)
    labels = np.random.default_rng(2).integers(0, c, n).astype(np.int32)
    arrays = (logits, bias, labels, np.ones(n, np.float32))
    shape = f"{direction} fp32 {n}x{c}"
    contenders: dict[str, Callable[[], object]] = {}
    torch = peers.torch(threads)
    if direction == "forward":
        out = native.softmax_cross_entropy(*arrays)
        contenders["ours"] = lambda: native.softmax_cross_entropy(*arrays, threads=threads, out=out)
        if torch:
            tensors = [to_torch(torch, a) for a in arrays]
            contenders["pytorch"] = lambda: _pytorch(torch, *tensors)
        if mindspore := peers.mindspore(threads):
            copies = [mindspore.Tensor(a) for a in arrays[:3]]
            loss = mindspore.ops.cross_entropy
            contenders["mindspore"] = lambda: loss(copies[0] + copies[1], copies[2]).asnumpy()
        return Case("softmax_cross_entropy", shape, "copy", logits.nbytes, contenders)
    dloss = np.ones(1, np.float32)
    saved = (dloss, *arrays, native.softmax_cross_entropy(*arrays)[2])
    gradients = native.softmax_cross_entropy_grad(*saved)
    contenders["ours"] = lambda: native.softmax_cross_entropy_grad(*saved, threads=threads, out=gradients)
    if torch:
        tensors = [to_torch(torch, a) for a in arrays]
        inputs = [tensor.requires_grad_() for tensor in tensors[:2]]
        output = _pytorch(torch, *tensors)
        contenders["pytorch"] = gradient(torch, output, inputs, torch.ones_like(output))
    return Case("softmax_cross_entropy", shape, "copy", 2 * logits.nbytes, contenders)


def _pytorch(torch: Any, logits: Any, bias: Any, labels: Any, weights: Any) -> Any:
    losses = torch.nn.functional.cross_entropy(logits + bias, labels, reduction="none")
    return (losses * weights).sum() / weights.sum()
