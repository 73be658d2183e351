"""What the update rules share: cells that own a parameter's optimizer state and change the parameter in place.

Letters: O rows (outputs) and I columns (inputs) of a weight. A weight may be several tensors side by side along O (query, key, value);
norms are taken of each, and a factor may be given for each.

`numbers` are the scalars of a step by name: scale (what global clipping multiplies every gradient by), rate and first_rate, correction =
√(1 − β₂ᵗ)/(1 − β₁ᵗ) and root2 = √(1 − β₂ᵗ), which undo the bias of Adam's moments, root_damping = √λ, samples (of the global batch).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, Optional

import numpy as np
from mindspore import Parameter, Tensor, nn

from bert_thor.errors import ConfigError
from bert_thor.network.architecture import ParameterSpec
from bert_thor.ops.l2_norm import l2_norm
from bert_thor.ops.weight_update import weight_update
from bert_thor.optimizer.capture import Layer
from bert_thor.optimizer.config import OptimizerConfig

TINY = 1e-30
"""Keeps a division by the norm of an all-zero tensor finite."""

Numbers = Mapping[str, Tensor]
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Registration:
    """One trainable parameter and how it is updated."""

    parameter: Parameter
    spec: ParameterSpec
    rule: type[Rule]
    matrix: bool
    """Whether it has learning_rate; else it has first_order_learning_rate."""
    layer: Optional[Layer]
    """The layer or table that it is the weight of, where that can have factors."""

    @property
    def decayed(self) -> bool:
        """Weight decay is for matrices and tables (and kernels of convolutions), not for norms and biases."""
        return len(self.spec.shape) > 1


class Rule(nn.Cell):
    """What all rules share: which rate, decay, and the step of the weight."""

    label: ClassVar[str] = ""
    """The rule's name in the table."""
    kernels: ClassVar[str] = "framework"
    """Kernels of the rule beside weight_update; "framework": the framework's elementwise and matrix operators."""
    has_curvature: ClassVar[bool] = False
    """Whether it has an attribute `curvature`, which the step refreshes."""

    @classmethod
    def state_shapes(cls, spec: ParameterSpec, config: OptimizerConfig) -> Shapes:
        """The float32 tensors that the rule keeps for a parameter, by kind."""
        return {}

    @classmethod
    def flop(cls, spec: ParameterSpec) -> int:
        """Multiplications and additions of the matrix products that an update makes, preconditioning aside."""
        return 0

    def __init__(self, entry: Registration, config: OptimizerConfig) -> None:
        super().__init__(auto_prefix=False)
        self.weight = entry.parameter
        self.rate = "rate" if entry.matrix else "first_rate"
        self.unscaled = constants(1.0)
        self.weight_decay = config.weight_decay if entry.decayed else 0.0
        self.decay = constants(self.weight_decay)
        self.wanted_norm = config.update_rms * (float(prod(entry.spec.shape)) / entry.spec.groups) ** 0.5
        self.norms = l2_norm(entry.spec.groups)
        self.update = weight_update()
        for kind, shape in self.state_shapes(entry.spec, config).items():
            setattr(
                self, kind, Parameter(np.zeros(shape, np.float32), f"{kind}.{entry.spec.name}", requires_grad=False)
            )

    def apply(self, direction: Tensor, factors: Tensor, numbers: Numbers) -> Any:
        """w ← w(1 − rate·decay) − rate·factor·direction."""
        return self.update(self.weight, direction, factors, numbers[self.rate], self.decay)

    def to_rms(self, direction: Tensor) -> Tensor:
        """Factors that bring each group's root mean square to `update_rms`; 1 where that is 0."""
        return self.wanted_norm / (self.norms(direction) + TINY) if self.wanted_norm > 0.0 else self.unscaled


def layer_of(entry: Registration) -> Layer:
    """The layer of a parameter that needs one; raises `ConfigError` where it cannot have factors."""
    if entry.layer is None:
        raise ConfigError(
            f"parameter {entry.spec.name} of shape {entry.spec.shape} can have no Kronecker factors, because it is the weight of layers "
            "of two kinds: add its name to first_order"
        )
    return entry.layer


def constants(*values: float) -> Tensor:
    """Numbers that a kernel takes as a tensor."""
    return Tensor(np.array(values, np.float32))
