"""Cases of a step of Adam with decoupled decay: a weight [rows, columns]."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import peers
from data import normal, to_torch
from measure import Case

from bert_thor.kernels.adam import native

BETAS, CORRECTION, EPS, RATE, DECAY = (0.9, 0.98), 1.0, 1e-8, 1e-6, 0.01


def case(threads: int, rows: str, columns: str) -> Case:
    """Bytes: weight and both moments read and written, and the gradient."""
    weight, first, gradient = (normal(int(rows), int(columns), seed=seed) for seed in range(3))
    second, one = np.square(first), np.ones(1, np.float32)
    state = tuple(array.copy() for array in (weight, first, second))
    numbers = (BETAS, CORRECTION, EPS, RATE, DECAY)
    contenders: dict[str, Callable[[], object]] = {
        "ours": lambda: native.adam_update(*state, gradient, one, *numbers, threads=threads, out=state)
    }
    if torch := peers.torch(threads):
        parameter = torch.nn.Parameter(to_torch(torch, weight.copy()))
        parameter.grad = to_torch(torch, gradient)
        contenders["pytorch"] = torch.optim.AdamW(
            [parameter], lr=RATE, betas=BETAS, eps=EPS, weight_decay=DECAY, fused=True
        ).step
    if mindspore := peers.mindspore(threads):
        contenders["mindspore"] = _framework(mindspore, weight, first, second, gradient)
    return Case("adam", f"step fp32 {rows}x{columns}", "copy", 7 * weight.nbytes, contenders)


def _framework(mindspore: Any, weight: Any, first: Any, second: Any, gradient: Any) -> Callable[[], object]:
    state = [mindspore.Parameter(array.copy(), str(k)) for k, array in enumerate((weight, first, second))]
    powers = [mindspore.Tensor(np.float32(value)) for value in (0.0, 0.0)]
    numbers = [mindspore.Tensor(np.float32(value)) for value in (RATE, *BETAS, EPS)]
    operator, mg = mindspore.ops.Adam(), mindspore.Tensor(gradient)

    def step() -> Any:
        mindspore.ops.assign(state[0], state[0] * (1 - RATE * DECAY))
        operator(*state, *powers, *numbers, mg)
        return state[0].asnumpy()

    return step
