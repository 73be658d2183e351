"""One training step as compiled graphs: gradients (with or without factors), refresh, update.

The host sees the loss and the gradient's norm between the graphs, so a step that is not finite is dropped before it can touch a weight,
and a block that cannot be inverted is treated before its inverse is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Optional

import mindspore as ms
import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops

from bert_thor.errors import ConfigError
from bert_thor.ops._custom import kernel_errors
from bert_thor.ops.l2_norm import l2_norm
from bert_thor.optimizer.config import OptimizerConfig
from bert_thor.optimizer.curvature import Curvatures, LayerCurvature, RefreshReport
from bert_thor.optimizer.directions import Kronecker
from bert_thor.optimizer.registration import register
from bert_thor.optimizer.rules import PreconditionedRule, Rule, SoapRule, make_rule
from bert_thor.optimizer.schedule import damping, rate_factor, refreshes_at
from bert_thor.optimizer.soap import refresh_bases, start_bases
from bert_thor.parallel.collectives import Exchange
from bert_thor.parallel.world import World

ALONE = World()
"""One process."""


class Gradients(nn.Cell):
    """Losses, the global gradient norm, gradients of the weights, and the factors that the probes stand for."""

    def __init__(
        self, model: nn.Cell, weights: Sequence[Parameter], probes: Sequence[Parameter], exchange: Exchange
    ) -> None:
        super().__init__(auto_prefix=False)
        self.model = model
        self.exchange = exchange
        self.weight_count = len(weights)
        self.norm = l2_norm()
        self.backward = ms.value_and_grad(model, None, ParameterTuple([*weights, *probes]), has_aux=True)

    def construct(self, *batch: Tensor) -> Any:
        """Return (losses, norm, gradients, factors)."""
        losses, gradients = self.backward(*batch)
        losses, gradients = self.exchange(losses, gradients)
        weights = gradients[: self.weight_count]
        norms = ()  # type: Any
        for gradient in weights:
            norms = norms + (self.norm(gradient),)  # noqa: RUF005 - graph mode of MindSpore 2.0 has no starred tuples
        norm = self.norm(ops.concat(norms)).reshape(())
        return losses, norm, weights, gradients[self.weight_count :]


class Update(nn.Cell):
    """Applies every rule to its gradient."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        super().__init__(auto_prefix=False)
        self.rules = nn.CellList(list(rules), auto_prefix=False)

    def construct(
        self, scale: Tensor, rate: Tensor, first_rate: Tensor, correction: Tensor, root2: Tensor,
        root_damping: Tensor, sequences: Tensor, *gradients: Tensor
    ) -> Tensor:  # fmt: skip
        """Change all parameters; returns `scale` when all are done, so that the caller can wait for it.

        `scale` is the global clipping factor, correction = √(1 − β₂ᵗ)/(1 − β₁ᵗ) and root2 = √(1 − β₂ᵗ) undo the bias of Adam's moments.
        """
        scalars = (scale, rate, first_rate, correction, root2, root_damping, sequences)
        done = scale
        for rule, gradient in zip(self.rules, gradients):
            done = ops.depend(done, rule(gradient, scalars))
        return done


@dataclass(frozen=True)
class StepResult:
    """What one step did."""

    loss: float
    masked_lm_loss: float
    next_sentence_loss: float
    gradient_norm: float
    learning_rate: float
    damping: float
    refreshed: bool
    applied: bool
    failed_blocks: int
    step_seconds: float
    refresh_seconds: float
    curvature: Optional[RefreshReport]
    """What the refresh did; None in other steps."""


class Optimizer:
    """Owns the state of the rules and runs the steps of one model. Blocks that end a run are saved in `failures`."""

    def __init__(self, model: nn.Cell, config: OptimizerConfig, world: World = ALONE, failures: Path = Path()) -> None:
        config.check()
        if config.block == "auto":
            raise ConfigError("block is auto: choose an edge first, the model's factors have their shapes from it")
        self.config, self.world = config, world
        self.table = register(model, config)
        self.rules = [make_rule(entry, config) for entry in self.table]
        self.soap = [rule for rule in self.rules if isinstance(rule, SoapRule)]
        layers = [
            LayerCurvature(entry, rule.precondition)
            for entry, rule in zip(self.table, self.rules)
            if isinstance(rule, PreconditionedRule) and isinstance(rule.precondition, Kronecker)
        ]
        weights = [entry.parameter for entry in self.table]
        probes = [probe for layer in layers for probe in layer.entry.probes()]
        model.set_train()
        self.exchange = Exchange(world, [weight.shape for weight in weights], [probe.shape for probe in probes])
        self.gradients = Gradients(model, weights, [], self.exchange)
        self.gradients_and_factors = Gradients(model, weights, probes, self.exchange)
        self.update = Update(self.rules)
        self.curvatures = Curvatures(layers, config, world, failures) if layers else None

    def state(self) -> list[Parameter]:
        """Every parameter of the optimizer's own: moments, factors, inverses."""
        weights = {id(entry.parameter) for entry in self.table}
        own = [parameter for parameter in self.update.get_parameters() if id(parameter) not in weights]
        return own + (self.curvatures.state() if self.curvatures else [])

    def compile(self, batch: Sequence[Tensor]) -> None:
        """Compile the graphs of all steps now, in one order whatever step comes first, instead of when each is first needed."""
        with kernel_errors():
            self.gradients.compile(*batch)
            if self.curvatures is not None:
                self.gradients_and_factors.compile(*batch)
                self.curvatures.compile()
            gradients = [_zeros(entry.parameter.shape) for entry in self.table]
            self.update.compile(*(_scalar(0.0) for _ in range(7)), *gradients)

    def refreshes_at(self, step: int) -> bool:
        """Whether step `step` (from 0) captures factors and refreshes the inverses."""
        return self.curvatures is not None and refreshes_at(step, self.config) and not self.curvatures.all_frozen()

    def step(self, batch: Sequence[Tensor], step: int, steps: int) -> StepResult:
        """Run step `step` of `steps` on one batch. A loss or gradient that is not finite leaves everything as it was."""
        started = perf_counter()
        refreshing = self.refreshes_at(step)
        with kernel_errors():
            losses, norm_tensor, gradients, factors = (self.gradients_and_factors if refreshing else self.gradients)(
                *batch
            )
            loss, masked_lm_loss, next_sentence_loss, norm = (float(x.asnumpy()) for x in (*losses, norm_tensor))
            finite = bool(np.isfinite(loss) and np.isfinite(norm))
            strength = damping(step, steps, self.config)
            sequences = int(batch[0].shape[0]), int(batch[0].shape[0]) * self.world.ranks
            report, refresh_seconds = None, 0.0
            if finite and refreshing:
                report, refresh_seconds = self._refresh(factors, sequences, strength)
            factor = rate_factor(step, steps, self.config)
            if finite:
                refresh_seconds += self._update(gradients, norm, step, factor, (strength, sequences[1]))
        return StepResult(
            loss=loss,
            masked_lm_loss=masked_lm_loss,
            next_sentence_loss=next_sentence_loss,
            gradient_norm=norm,
            learning_rate=self.config.learning_rate * factor,
            damping=strength if self.curvatures else 0.0,
            refreshed=report is not None,
            applied=finite,
            failed_blocks=report.failed if report else 0,
            step_seconds=perf_counter() - started,
            refresh_seconds=refresh_seconds,
            curvature=report,
        )

    def _refresh(
        self, factors: Sequence[Tensor], sequences: tuple[int, int], strength: float
    ) -> tuple[RefreshReport, float]:
        assert self.curvatures is not None
        started = perf_counter()
        report = self.curvatures.refresh(factors, sequences, strength)
        return report, perf_counter() - started

    def _update(
        self, gradients: Sequence[Tensor], norm: float, step: int, factor: float, context: tuple[float, int]
    ) -> float:
        """Change the parameters; returns the seconds that SOAP's bases took."""
        config = self.config
        seconds = self._start_soap(gradients) if self.soap and step == 0 else 0.0
        rate = 0.0 if step == 0 and self.soap else config.learning_rate * factor
        rates = rate, config.first_order_learning_rate * factor
        root2 = (1.0 - config.beta2 ** (step + 1)) ** 0.5
        bias = root2 / (1.0 - config.beta1 ** (step + 1)), root2
        scalars = (_scalar(value) for value in (*rates, *bias, context[0] ** 0.5, context[1]))
        clipped = config.clip == "global" and config.clip_norm > 0 and norm > config.clip_norm
        self.update(_scalar(config.clip_norm / norm if clipped else 1.0), *scalars, *gradients).asnumpy()
        if self.soap and step > 0 and refreshes_at(step, config):
            started = perf_counter()
            refresh_bases(self.soap)
            seconds += perf_counter() - started
        return seconds

    def _start_soap(self, gradients: Sequence[Tensor]) -> float:
        """SOAP's first step sets its bases and leaves the matrices: in a basis made from this very gradient every sign would be noise."""
        started = perf_counter()
        chosen = [gradient for rule, gradient in zip(self.rules, gradients) if isinstance(rule, SoapRule)]
        start_bases(self.soap, chosen)
        return perf_counter() - started


def _zeros(shape: tuple[int, ...]) -> Tensor:
    return Tensor(np.zeros(shape, np.float32))


def _scalar(value: float) -> Tensor:
    return Tensor(np.float32(value))
