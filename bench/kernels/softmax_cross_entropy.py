"""Peers of softmax_cross_entropy and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench import frameworks
from bench.case import Contenders
from bench.frameworks import gradient, to_torch
from bert_thor.kernels.cases import Problem


def peers(problem: Problem, threads: int) -> Contenders:
    """The sum, the framework's loss by row, the weighted mean: in float32, as PyTorch's autocast does; MindSpore takes no bfloat16."""
    contenders: Contenders = {}
    torch = frameworks.torch(threads)
    if problem.function == "softmax_cross_entropy":
        arrays = problem.arguments
        if torch:
            tensors = [to_torch(torch, array) for array in arrays]
            contenders["pytorch"] = lambda: _pytorch(torch, *tensors)
        if arrays[0].dtype == np.float32 and (mindspore := frameworks.mindspore(threads)):
            copies = [mindspore.Tensor(array) for array in arrays[:3]]
            loss = mindspore.ops.cross_entropy
            contenders["mindspore"] = lambda: loss(copies[0] + copies[1], copies[2]).asnumpy()
        return contenders
    if torch:
        tensors = [to_torch(torch, array) for array in problem.arguments[1:5]]
        inputs = [tensor.requires_grad_() for tensor in tensors[:2]]
        output = _pytorch(torch, *tensors)
        contenders["pytorch"] = gradient(torch, output, inputs, torch.ones_like(output))
    return contenders


def _pytorch(torch: Any, logits: Any, bias: Any, labels: Any, weights: Any) -> Any:
    losses = torch.nn.functional.cross_entropy(logits.float() + bias, labels, reduction="none")
    return (losses * weights).sum() / weights.sum()
