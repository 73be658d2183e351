"""The number S by which the loss is multiplied, so that float16 holds the gradients of its activations (Micikevicius et al., 2018).

Everything that the optimizer sees has S taken out again: gradients of weights are divided by S, the factors that are of second order in
the output gradients (G, and A with `row_weights`) by S². Powers of two do that without a rounding.

A step that overflows (loss, gradient or factor not finite; for a device that saturates see `overflow_status`) changes nothing but S. As
in MindSpore's and NVIDIA's trainers it takes its batch and counts as a step of the run, but not of the schedule: rates, damping and
refreshes go on from the last step that was applied, so that a run of n steps with k overflows ends k steps before the end of its schedule.
"""

from __future__ import annotations

from typing import Union

import numpy as np
from mindspore import Parameter, Tensor

from bert_thor.errors import ConfigError

DYNAMIC, AUTO = "dynamic", "auto"
START, LEAST, MOST = 2.0**16, 1.0, 2.0**24
"""Of a dynamic scale: where it begins, where halving ends, and where doubling ends."""
LARGEST = 2.0**32
"""Of a constant one: float32 has to hold a loss and the squares of gradients that are so much larger."""


def check_loss_scale(scale: Union[float, str], window: int) -> None:
    """Raise `ConfigError` with one sentence for values that are no loss scale."""
    known = scale in (DYNAMIC, AUTO) if isinstance(scale, str) else 0.0 < scale <= LARGEST
    if not known:
        raise ConfigError(
            f"loss_scale is {scale}: write dynamic, auto, or a number above 0 and at most {LARGEST:.0f} (1: no scaling)"
        )
    if window < 1:
        raise ConfigError(f"loss_scale_window is {window}: it must be 1 step or more")


def scale_for(choice: Union[float, str], precision: str) -> Union[float, str]:
    """`choice` without auto: dynamic for float16, 1 for float32 and bfloat16, whose exponents are long enough."""
    if choice != AUTO:
        return choice
    return DYNAMIC if precision == "float16" else 1.0


class LossScale:
    """S, how long it has been without an overflow, and how many there were.

    A dynamic S starts at 2^16, is halved at an overflow, not below 1, and doubled, up to 2^24, after `window` steps in a row without one. A
    constant S drops steps that overflow too. With S constant 1 nothing is scaled, there is no state, and the graphs are those of training
    without scaling.
    """

    def __init__(self, choice: Union[float, str], window: int) -> None:
        check_loss_scale(choice, window)
        self.dynamic, self.window = choice == DYNAMIC, window
        start = START if self.dynamic else float(scale_for(choice, "float32"))
        self.active = self.dynamic or start != 1.0
        state = np.array([start, 0, 0], np.float32)
        self._state = Parameter(state, "loss_scale", requires_grad=False)

    def state(self) -> list[Parameter]:
        """(S, steps since it last changed or a step overflowed, overflows): a parameter, so that checkpoints hold it."""
        return [self._state] if self.active else []

    def inputs(self) -> list[Tensor]:
        """What the graph of a step takes before the batch."""
        return [Tensor(np.float32(self.value))] if self.active else []

    @property
    def value(self) -> float:
        """S of the next step."""
        return float(self._state.asnumpy()[0])

    @property
    def overflows(self) -> int:
        """Steps that overflowed so far; always 0 without scaling, where a step that is not finite is no fault of S."""
        return int(self._state.asnumpy()[2])

    def update(self, finite: bool) -> None:
        """Take in whether a step was finite."""
        if not self.active:
            return
        scale, clean, overflows = self._state.asnumpy().tolist()
        if not finite:
            scale, clean, overflows = self._halved(), 0.0, overflows + 1
        elif self.dynamic and clean + 1 >= self.window:
            scale, clean = min(MOST, 2 * scale), 0.0
        elif self.dynamic:
            clean += 1
        self._set(scale, clean, overflows)

    def lower(self) -> bool:
        """Halve S outside a step; False where that is not possible."""
        scale, clean, overflows = self._state.asnumpy().tolist()
        self._set(self._halved(), clean, overflows)
        return self.value < scale

    def _halved(self) -> float:
        return max(LEAST, self.value / 2) if self.dynamic else self.value

    def _set(self, *values: float) -> None:
        self._state.set_data(Tensor(np.array(values, np.float32)))
