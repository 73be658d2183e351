"""The interface through which a step sees curvature: probes, state, compile, refresh."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Optional

from mindspore import Parameter, Tensor, nn

from bert_thor.network.architecture import ParameterSpec
from bert_thor.optimizer.config import OptimizerConfig
from bert_thor.parallel.world import World


@dataclass
class RefreshReport:
    """What one refresh did; goes into the metrics as it is."""

    recomputed: int = 0
    """Layers whose inverses were computed."""
    reused: int = 0
    """Layers that kept them by the trace rule."""
    frozen: int = 0
    """Layers that are never refreshed again."""
    blocks: int = 0
    """Blocks inverted."""
    not_finite: int = 0
    """Captured blocks that were not finite and left out of the average."""
    rungs: dict[str, int] = field(default_factory=dict)
    """Blocks that needed more than float32, by the rung that served."""
    condition_max: float = 0.0
    """Largest condition number of the damped blocks that have a float32 inverse."""
    decisions: dict[str, tuple[Optional[float], str]] = field(default_factory=dict)
    """With the trace rule: (Δ, decision) by layer; no Δ before there was a trace to compare with."""

    @property
    def failed(self) -> int:
        """Blocks whose float32 inverse was not taken."""
        return sum(self.rungs.values())


@dataclass(frozen=True)
class Moment:
    """What a refresh is given: the gradients of the layers' weights, the captured factors in the order of `probes`, and the step."""

    gradients: Sequence[Tensor]
    captured: Sequence[Tensor]
    step: int
    samples: tuple[int, int]
    """Of this process's batch, or micro-batch, and of the step."""
    damping: float


class Curvature(nn.Cell):
    """The curvature of one weight: its state, and what it makes of a gradient."""

    spec: ParameterSpec

    @classmethod
    def state_shapes(cls, spec: ParameterSpec, config: OptimizerConfig) -> dict[str, tuple[int, ...]]:
        """The float32 tensors that it keeps for a weight, by kind."""
        raise NotImplementedError


class Curvatures(ABC):
    """The curvature of all layers of a network."""

    damped: ClassVar[bool] = False
    """Whether the damping of the configuration has a meaning."""

    def __init__(self, layers: Sequence[Curvature], config: OptimizerConfig, world: World, failures: Path) -> None:
        self.layers, self.config, self.failures = list(layers), config, failures

    def probes(self) -> list[Parameter]:
        """The parameters whose gradients a refresh needs; none where the weights' gradients are enough."""
        return []

    def powers(self) -> list[int]:
        """For each of `probes`: the power of the loss's scale that its gradient has."""
        return []

    def check(self) -> None:  # noqa: B027 - nothing to check is an answer
        """Raise `ConfigError` where the layers' probes are no longer this object's."""

    def uses(self) -> list[Parameter]:
        """For each layer with probes: the parameter whose gradient is (uses, rows) in a step."""
        return []

    def adapt(self, uses: Sequence[Tensor]) -> bool:
        """Take in how often each layer is used in a step; True: capture again, the probes have changed."""
        return False

    def captures(self, step: int) -> bool:
        """Whether the probes' gradients are needed in step `step`, from 0."""
        return False

    def refreshes(self, step: int) -> bool:
        """Whether `refresh` has anything to do in step `step`."""
        return self.captures(step)

    def moves(self, step: int) -> bool:
        """Whether there is a curvature to step by in step `step`; else the matrices stay where they are."""
        return True

    def compile(self) -> None:  # noqa: B027 - no graphs is an answer
        """Compile all graphs of a refresh."""

    @abstractmethod
    def refresh(self, moment: Moment) -> Optional[RefreshReport]:
        """Renew the curvature before the weights move; None where there is nothing to report. Raises `TrainingError` when it cannot be."""

    def settle(self, step: int) -> bool:
        """What is due after the weights have moved; whether there was anything."""
        return False
