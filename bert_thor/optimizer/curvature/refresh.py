"""A refresh of all Kronecker factors: captured, averaged over time, damped, inverted, and kept safe.

A refresh is two graphs, `Average` and `Invert`. Between them the host decides by the trace rule which layers to invert (then each layer has
a graph of its own); after them it treats the blocks whose inverse cannot be trusted, before anything uses them.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mindspore import Parameter, Tensor

from bert_thor.errors import ConfigError
from bert_thor.kernels.arrays import Array
from bert_thor.optimizer.config import OptimizerConfig
from bert_thor.optimizer.curvature import safe_inverse, trace_rule
from bert_thor.optimizer.curvature.curvature import Curvatures, Moment, RefreshReport
from bert_thor.optimizer.curvature.graphs import Average, Invert, scales
from bert_thor.optimizer.curvature.kronecker import KroneckerCurvature
from bert_thor.optimizer.schedule import refreshes_at
from bert_thor.parallel.world import World

LAYERS_PER_GRAPH = 20
"""Layers that one graph inverts: MindSpore unrolls the loop over them into nested calls, of which it allows 1,000."""


class KroneckerCurvatures(Curvatures):
    """All layers' factors and the host's part of a refresh."""

    damped = True
    layers: list[KroneckerCurvature]  # type: ignore[assignment]

    def __init__(
        self, layers: Sequence[KroneckerCurvature], config: OptimizerConfig, world: World, failures: Path
    ) -> None:
        super().__init__(layers, config, world, failures)
        self.traced, self.world, self.adapted = config.trace_recompute > 0.0, world, False
        self._take(self.layers)

    def _take(self, layers: Sequence[KroneckerCurvature]) -> None:
        """Refresh these layers; the others keep what they have."""
        self.active = list(layers)
        self.sizes = np.array([layer.sizes for layer in self.active])
        self.average = Average(self.active)
        width = 1 if self.traced else LAYERS_PER_GRAPH
        self.parts = [slice(start, start + width) for start in range(0, len(self.active), width)]
        self.inverts = [Invert(self.active[part], self.world) for part in self.parts]

    def probes(self) -> list[Parameter]:
        """The probes of all layers, A's, then G's, of each layer in turn."""
        return [probe for layer in self.active for probe in layer.probes()]

    def powers(self) -> list[int]:
        """Of all layers, as `probes`."""
        return [power for layer in self.active for power in layer.powers()]

    def check(self) -> None:
        """Raise `ConfigError` where another optimizer was made for the network since."""
        if not all(layer.layer.belongs_to(layer) for layer in self.layers):
            raise ConfigError(
                "another Thor was made for this network, and the layers give their factors to the newest: go on with that one"
            )

    def uses(self) -> list[Parameter]:
        """Their counts of uses and rows."""
        return [layer.captured.uses for layer in self.active]

    def adapt(self, uses: Sequence[Tensor]) -> bool:
        """Known from the first capture on: a layer that is used more than once captures sums over its rows, one that is not used nothing.

        A weight whose layer is not used (it has no gradient, or its owner multiplies by it in another way) keeps identities for inverses.
        """
        if self.adapted:
            return False
        self.adapted = True
        counts = [tensor.asnumpy() for tensor in uses]
        idle = [layer.spec.name for layer, (used, _) in zip(self.layers, counts) if used == 0]
        several = [(layer, int(rows)) for layer, (used, rows) in zip(self.layers, counts) if used > 1]
        for layer, rows in several:
            layer.rows = rows
            layer.attach(sums=True)
        if idle:
            warnings.warn(
                f"the layers of {', '.join(idle)} are not used in a step: these weights are not preconditioned; list them in first_order "
                "to give them the first-order rule",
                RuntimeWarning,
                stacklevel=4,
            )
            self._take([layer for layer in self.layers if layer.spec.name not in idle])
        return bool(several or idle)

    def captures(self, step: int) -> bool:
        """Whether `step` refreshes: by the schedule, unless every layer is frozen or none is used."""
        if not self.active:
            return False
        return refreshes_at(step, self.config) and not (self.traced and all(layer.frozen() for layer in self.active))

    def compile(self) -> None:
        """Compile all graphs of a refresh."""
        captured = [Tensor(np.zeros(probe.shape, np.float32)) for probe in self.probes()]
        self.average.compile(*(_number(0.0) for _ in range(1 + len(captured))), *captured)
        for cell, part in zip(self.inverts, self.parts):
            cell.compile(*_numbers(self.active[part], np.zeros((len(self.active[part]), 4), np.float32)))

    def refresh(self, moment: Moment) -> RefreshReport:
        """Average the captured factors and renew the inverses; raises `TrainingError` when a block stays without one."""
        report = RefreshReport()
        numbers = [scale for layer in self.active for scale in layer.capture_scales(moment.samples)]
        keep = _number(self.config.factor_decay)
        summaries = self.average(keep, *(_number(value) for value in numbers), *moment.captured).asnumpy()
        report.not_finite = int(summaries[:, 1].sum())
        traces = self._traces(summaries[:, 0])
        for cell, part in zip(self.inverts, self.parts):
            if not self.traced or self._due(self.active[part.start], traces[part.start], moment.damping, report):
                used = scales(self.config.damping_rule, traces[part], self.sizes[part], moment.damping)
                self._invert(cell, self.active[part], used, report)
        return report

    def _traces(self, of_factors: Array) -> Array:
        """(tr A, tr G) of every layer; a G that is taken as the identity has as much trace as rows."""
        traces = self.sizes.astype(np.float32)
        places = [(row, side) for row, layer in enumerate(self.active) for side in range(len(layer.factors()))]
        traces[tuple(zip(*places))] = of_factors
        return traces

    def _invert(self, cell: Invert, layers: Sequence[KroneckerCurvature], used: Array, report: RefreshReport) -> None:
        status, condition = (output.asnumpy() for output in cell(*_numbers(layers, used)))
        self._examine(layers, status, condition, used, report)

    def _due(self, layer: KroneckerCurvature, row: Any, damping: float, report: RefreshReport) -> bool:
        """Decide by the trace rule, remember and count the decision."""
        before, frozen = layer.trace.asnumpy().tolist()
        absolute = damping if self.config.damping_rule != "relative" else 0.0
        trace = float(np.float32(trace_rule.damped_trace(row[0], row[1], float(np.prod(layer.spec.shape)), absolute)))
        change = trace_rule.relative_change(trace, before)
        decision = trace_rule.FROZEN
        if not frozen:
            decision = trace_rule.decide(change, self.config.trace_recompute, self.config.trace_freeze)
        if decision == trace_rule.RECOMPUTE:
            before = trace
        frozen = float(decision in (trace_rule.FREEZE, trace_rule.FROZEN))
        layer.trace.set_data(Tensor(np.array([before, frozen], np.float32)))
        report.decisions[layer.spec.name] = (change if np.isfinite(change) else None, decision)
        report.frozen += int(frozen)
        report.reused += decision == trace_rule.REUSE
        return decision == trace_rule.RECOMPUTE

    def _examine(
        self, layers: Sequence[KroneckerCurvature], status: Array, condition: Array, used: Array, report: RefreshReport
    ) -> None:
        report.recomputed += len(layers)
        report.blocks += len(status)
        report.condition_max = max(report.condition_max, float(np.where(status == 0, condition, 0.0).max()))
        sound = (status == 0) & (condition <= safe_inverse.CONDITION_LIMIT)
        rungs: Counter[str] = Counter(report.rungs)
        start = 0
        for layer, scale in zip(layers, used):
            here = slice(start, start + layer.kept_inverses.shape[0])
            start = here.stop
            kept = layer.kept_inverses.asnumpy().copy()
            if not sound[here].all() or kept.any():
                kept[sound[here]] = 0
                rungs.update(self._repair(layer, kept, status[here], ~sound[here], scale))
                layer.kept_inverses.set_data(Tensor(kept))
        report.rungs = dict(rungs)

    def _repair(self, layer: KroneckerCurvature, kept: Any, status: Any, doubtful: Any, scale: Any) -> list[str]:
        """Take every doubtful block of a layer up the ladder; changes `kept`, returns the rungs."""
        rungs, offset = [], 0
        for side, (factor, inverse) in enumerate(zip(layer.factors(), layer.inverses())):
            blocks, values = factor.asnumpy(), inverse.asnumpy().copy()
            factor_scale, damping = (float(value) for value in scale[2 * side : 2 * side + 2])
            for block in np.flatnonzero(doubtful[offset : offset + len(blocks)]):
                matrix = np.float64(blocks[block]) * factor_scale
                found = safe_inverse.repair(matrix, damping)
                rungs.append(found.rung)
                if found.inverse is not None:
                    values[block] = found.inverse
                    kept[offset + block] = 0
                    continue
                kept[offset + block] += 1
                if kept[offset + block] > safe_inverse.MAX_KEPT:
                    pivot = int(status[offset + block])
                    raise safe_inverse.stop(self.failures, factor.name, int(block), pivot, matrix, damping)
            inverse.set_data(Tensor(values))
            offset += len(blocks)
        return rungs


def _number(value: float) -> Tensor:
    return Tensor(np.array([value], np.float32))


def _numbers(layers: Sequence[KroneckerCurvature], used: Array) -> list[Tensor]:
    """The inputs of `Invert` that stand for `used`, a row of `scales` for each layer."""
    sides = [
        (factor, row[2 * side :]) for layer, row in zip(layers, used) for side, factor in enumerate(layer.factors())
    ]
    dampings = [Tensor(np.full(factor.shape[0], row[1], np.float32)) for factor, row in sides]
    return [_number(row[0]) for _, row in sides] + dampings
