"""One training step as compiled graphs: gradients (with or without factors), refresh, update.

The host sees the loss and the gradient's norm between the graphs, so a step that is not finite is dropped before it can touch a weight,
and a block that cannot be inverted is treated before its inverse is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops

from bert_thor.collectives import Exchange
from bert_thor.distributed import World
from bert_thor.ops._custom import kernel_errors
from bert_thor.ops.cholesky_inverse import cholesky_inverse
from bert_thor.optimizer.config import OptimizerConfig, rate_factor
from bert_thor.optimizer.registration import Registration, register
from bert_thor.optimizer.rules import AdamRule, KroneckerRule, Refresh


class Gradients(nn.Cell):
    """Losses, the global gradient norm, gradients of the weights, and the factors that the probes stand for."""

    def __init__(
        self, model: nn.Cell, weights: Sequence[Parameter], probes: Sequence[Parameter], exchange: Exchange
    ) -> None:
        super().__init__(auto_prefix=False)
        self.model = model
        self.exchange = exchange
        self.weight_count = len(weights)
        self.backward = ms.value_and_grad(model, None, ParameterTuple([*weights, *probes]), has_aux=True)

    def construct(self, *batch: Tensor) -> Any:
        """Return (losses, norm, gradients, factors)."""
        losses, gradients = self.backward(*batch)
        losses, gradients = self.exchange(losses, gradients)
        weights = gradients[: self.weight_count]
        total = ms.Tensor(0.0, ms.float32)
        for gradient in weights:
            total = total + (gradient * gradient).sum()
        return losses, ops.sqrt(total), weights, gradients[self.weight_count :]


class Update(nn.Cell):
    """Applies every rule to its gradient, scaled by `scale` (the clipping factor)."""

    def __init__(self, rules: Sequence[nn.Cell]) -> None:
        super().__init__(auto_prefix=False)
        self.rules = nn.CellList(list(rules), auto_prefix=False)

    def construct(
        self, scale: Tensor, rate: Tensor, first_rate: Tensor, power1: Tensor, power2: Tensor, *gradients: Tensor
    ) -> Tensor:
        """Change all parameters; returns `scale`, so that the caller can wait for it."""
        for rule, gradient in zip(self.rules, gradients):
            rule(gradient * scale, rate, first_rate, power1, power2)
        return scale


class RefreshAll(nn.Cell):
    """Refreshes the factors and inverses of every layer; returns the status of all blocks, A and G of each layer in turn."""

    def __init__(self, refreshes: Sequence[Refresh]) -> None:
        super().__init__(auto_prefix=False)
        self.refreshes = nn.CellList(list(refreshes), auto_prefix=False)

    def construct(self, keep: Tensor, *factors: Tensor) -> Tensor:
        """`factors` are A and G of each layer in turn."""
        statuses = ()
        for index, refresh in enumerate(self.refreshes):
            statuses = statuses + refresh(factors[2 * index], factors[2 * index + 1], keep)
        return ops.concat(statuses)


@dataclass(frozen=True)
class StepResult:
    """What one step did."""

    loss: float
    masked_lm_loss: float
    next_sentence_loss: float
    gradient_norm: float
    learning_rate: float
    refreshed: bool
    applied: bool
    failed_blocks: int
    step_seconds: float
    refresh_seconds: float


class Optimizer:
    """Owns the state of the rules and runs the steps of one model."""

    def __init__(self, model: nn.Cell, config: OptimizerConfig, world: World = World()) -> None:
        config.check()
        self.config = config
        self.table = register(model, config.name)
        weights = [entry.parameter for entry in self.table]
        rules = [(KroneckerRule if entry.rule == "kronecker" else AdamRule)(entry, config) for entry in self.table]
        kronecker = [(entry, rule) for entry, rule in zip(self.table, rules) if isinstance(rule, KroneckerRule)]
        self.preconditioned: list[Registration] = [entry for entry, _ in kronecker]
        probes = [probe for entry, _ in kronecker for probe in (entry.layer.probe_a, entry.layer.probe_g)]
        model.set_train()
        self.exchange = Exchange(world, [weight.shape for weight in weights], [probe.shape for probe in probes])
        self.gradients = Gradients(model, weights, [], self.exchange)
        self.update = Update(rules)
        self.refreshes = [Refresh(rule, entry, config, cholesky_inverse()) for entry, rule in kronecker]
        self.gradients_and_factors = Gradients(model, weights, probes, self.exchange) if probes else None
        self.refresh_all = RefreshAll(self.refreshes) if probes else None

    def state(self) -> list[Parameter]:
        """Every parameter of the optimizer's own: moments, factors, inverses."""
        cells = [self.update, *self.refreshes]
        weights = {id(entry.parameter) for entry in self.table}
        found = {id(p): p for cell in cells for p in cell.get_parameters() if id(p) not in weights}
        return list(found.values())

    def refreshes_at(self, step: int) -> bool:
        """Whether step `step` (from 0) captures factors and refreshes the inverses."""
        return self.refresh_all is not None and step % self.config.refresh_interval == 0

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
            refresh_seconds, failed = 0.0, 0
            if finite and refreshing:
                refresh_seconds, failed = self._refresh(factors, first=step == 0)
            factor = rate_factor(step, steps, self.config.warmup)
            if finite:
                self._update(gradients, norm, step, factor)
        seconds = perf_counter() - started
        rate = self.config.learning_rate * factor
        return StepResult(
            loss,
            masked_lm_loss,
            next_sentence_loss,
            norm,
            rate,
            refreshing and finite,
            finite,
            failed,
            seconds,
            refresh_seconds,
        )

    def _refresh(self, factors: Sequence[Tensor], first: bool) -> tuple[float, int]:
        assert self.refresh_all is not None
        started = perf_counter()
        status = self.refresh_all(_scalar(0.0 if first else self.config.factor_decay), *factors).asnumpy()
        return perf_counter() - started, int(np.count_nonzero(status))

    def _update(self, gradients: Sequence[Tensor], norm: float, step: int, factor: float) -> None:
        config = self.config
        clip = min(1.0, config.clip_norm / norm) if config.clip_norm > 0 and norm > 0 else 1.0
        rates = config.learning_rate * factor, config.first_order_learning_rate * factor
        powers = config.beta1 ** (step + 1), config.beta2 ** (step + 1)
        self.update(*(_scalar(value) for value in (clip, *rates, *powers)), *gradients).asnumpy()


def _scalar(value: float) -> Tensor:
    return Tensor(np.float32(value))
