"""Peers of a step of Adam with decoupled decay."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from bench import frameworks
from bench.case import Contenders
from bench.frameworks import to_torch
from bert_thor.kernels.cases import Problem


def peers(problem: Problem, threads: int) -> Contenders:
    """Of the whole step; the frameworks have no operator for the direction alone."""
    contenders: Contenders = {}
    if problem.function != "adam_update":
        return contenders
    weight, first, second, gradient, _, betas, _, eps, rate, decay = problem.arguments
    if torch := frameworks.torch(threads):
        parameter = torch.nn.Parameter(to_torch(torch, weight.copy()))
        parameter.grad = to_torch(torch, gradient)
        contenders["pytorch"] = torch.optim.AdamW(
            [parameter], lr=rate, betas=betas, eps=eps, weight_decay=decay, fused=True
        ).step
    if mindspore := frameworks.mindspore(threads):
        numbers = (rate, *betas, eps), rate * decay
        contenders["mindspore"] = _framework(mindspore, (weight, first, second), gradient, *numbers)
    return contenders


def _framework(
    mindspore: Any, arrays: tuple[Any, ...], gradient: Any, numbers: tuple[float, ...], shrink: float
) -> Callable[[], Any]:
    state = [mindspore.Parameter(array.copy(), str(k)) for k, array in enumerate(arrays)]
    powers = [mindspore.Tensor(np.float32(value)) for value in (0.0, 0.0)]
    tensors = [mindspore.Tensor(np.float32(value)) for value in numbers]
    operator, mg = mindspore.ops.Adam(), mindspore.Tensor(gradient)

    def step() -> Any:
        mindspore.ops.assign(state[0], state[0] * (1 - shrink))
        operator(*state, *powers, *tensors, mg)
        return state[0].asnumpy()

    return step
