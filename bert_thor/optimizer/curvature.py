"""Factors and their inverses: averaged over time, damped, inverted, and kept safe.

Letters: n blocks of edge b. A refresh is two graphs, `Average` and `Invert`. Between them the host decides by the trace rule which
layers to invert (then each layer has a graph of its own); after them it treats the blocks whose inverse cannot be trusted, before anything
uses them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import numpy as np
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops

from bert_thor.kernels.arrays import Array
from bert_thor.network.layers import FactoredTable
from bert_thor.ops.cholesky_inverse import cholesky_inverse
from bert_thor.ops.factor_average import factor_average
from bert_thor.ops.inverse_update import inverse_update
from bert_thor.optimizer import safe_inverse, trace_rule
from bert_thor.optimizer.config import OptimizerConfig
from bert_thor.optimizer.directions import Kronecker
from bert_thor.optimizer.registration import Registration
from bert_thor.parallel.collectives import SharedInverse
from bert_thor.parallel.world import World

LAYERS_PER_GRAPH = 20
"""Layers that one graph inverts: MindSpore unrolls the loop over them into nested calls, of which it allows 1,000."""
TINY = 1e-30
"""Keeps the division by the trace of an all-zero factor finite."""


class Average(nn.Cell):
    """Averages the captured factors of all layers over time in one graph."""

    def __init__(self, layers: Sequence[LayerCurvature]) -> None:
        super().__init__(auto_prefix=False)
        self.factors = ParameterTuple(factor for layer in layers for factor in layer.factors)
        self.average = factor_average()

    def construct(self, keep: Tensor, *numbers: Tensor) -> Tensor:
        """`numbers`: what every captured factor is multiplied by, [1] each, then the captured factors; `keep` is β.

        Return the trace and the number of blocks left out of every factor, A's, then G's, of each layer in turn: [factors, 2].
        """
        count = len(self.factors)
        summaries = []
        for index in range(count):
            summaries.append(self.average(self.factors[index], numbers[count + index], keep, numbers[index]))
        return ops.stack(summaries)


class LocalInverses(nn.Cell):
    """Inverts lists of packed blocks on this process."""

    def __init__(self) -> None:
        super().__init__(auto_prefix=False)
        self.cholesky_inverse = cholesky_inverse()

    def construct(self, blocks: tuple[Tensor, ...], dampings: tuple[Tensor, ...]) -> Any:
        """Return (inverses, statuses), one of each per list."""
        inverses, statuses = [], []
        for one, damping in zip(blocks, dampings):
            inverse, status = self.cholesky_inverse(one, damping)
            inverses.append(inverse)
            statuses.append(status)
        return inverses, statuses


class Invert(nn.Cell):
    """Scales, damps and inverts the factors of some layers; a doubtful block keeps its previous inverse."""

    def __init__(self, layers: Sequence[LayerCurvature], world: World) -> None:
        super().__init__(auto_prefix=False)
        self.factors = ParameterTuple(factor for layer in layers for factor in layer.factors)
        self.inverses = ParameterTuple(inverse for layer in layers for inverse in layer.inverses)
        shapes = [factor.shape for factor in self.factors]
        shared = world.ranks > 1
        self.invert = SharedInverse(shapes, world.rank, world.ranks, cholesky_inverse()) if shared else LocalInverses()
        self.update = inverse_update(safe_inverse.CONDITION_LIMIT)

    def construct(self, *numbers: Tensor) -> tuple[Tensor, Tensor]:
        """`numbers`: what every factor is multiplied by, [1] each, then the dampings of its blocks, [n] each.

        Return status and condition number of every block, A's, then G's, of each layer in turn.
        """
        count = len(self.factors)
        blocks = []  # type: list[Tensor]  # MindSpore 2.0 compiles no annotated assignment
        for index in range(count):
            blocks.append(self.factors[index] * numbers[index])
        candidates, statuses = self.invert(blocks, numbers[count:])
        conditions = []
        for index in range(count):
            inverse, block, damping = self.inverses[index], blocks[index], numbers[count + index]
            conditions.append(self.update(inverse, block, damping, candidates[index], statuses[index]))
        return ops.concat(statuses), ops.concat(conditions)


def scales(rule: str, traces: Array, sizes: Array, damping: float) -> Array:
    """What factors are multiplied by and then damped with: (for A, damping of A, for G, damping of G), [layers, 4] float32.

    traces and sizes [layers, 2] are those of (A, G). With a = mean(diag A), g = mean(diag G) and the damping λ, `rule` says relative:
    (A/a + λI)⁻¹, (G/g + λI)⁻¹, free of the scale of loss and batch; absolute: (A + √λI)⁻¹, (G + √λI)⁻¹; pi: (A + π√λI)⁻¹,
    (G + √λ/π I)⁻¹ with π = √(a/g) (Martens & Grosse, 2015, §6.3).
    """
    mean = traces.astype(np.float32) / sizes.astype(np.float32) + np.float32(TINY)
    result = np.ones((len(mean), 4), np.float32)
    if rule == "relative":
        result[:, 0::2] = 1 / mean
        result[:, 1::2] = damping
        return result
    result[:, 1::2] = np.sqrt(np.float32(damping))
    if rule == "pi":
        pi = np.sqrt(mean[:, 0] / mean[:, 1])
        result[:, 1] *= pi
        result[:, 3] /= pi
    return result


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


class LayerCurvature:
    """The curvature of one layer: factors, inverses, and the host's own state, kept as parameters so that a checkpoint holds it."""

    def __init__(self, entry: Registration, kronecker: Kronecker) -> None:
        assert entry.layer is not None
        self.entry = entry
        self.sizes = entry.layer.inputs, entry.layer.outputs
        name = entry.parameter.name
        self.factors = [
            Parameter(np.zeros(probe.shape, np.float32), f"factor_{side.lower()}.{name}", requires_grad=False)
            for side, probe in zip(entry.sides, entry.probes())
        ]
        self.inverses = (kronecker.inverse_a, kronecker.inverse_g)[: len(self.factors)]
        blocks = sum(factor.shape[0] for factor in self.factors)
        self.kept = Parameter(np.zeros(blocks, np.float32), f"kept_inverses.{name}", requires_grad=False)
        self.trace = Parameter(np.zeros(2, np.float32), f"trace.{name}", requires_grad=False)

    def state(self) -> list[Parameter]:
        """Factors, counts of kept inverses, (trace in use, 1 if frozen)."""
        return [*self.factors, self.kept, self.trace]

    def capture_scales(self, sequences: tuple[int, int]) -> list[float]:
        """What the captured factors are multiplied by; `sequences` as in `Curvatures.refresh`."""
        counted = isinstance(self.entry.layer, FactoredTable)
        return [1.0 / sequences[0] if counted else 1.0, float(sequences[1] ** 2)][: len(self.factors)]

    def frozen(self) -> bool:
        """Whether the trace rule has taken the layer out of all refreshes."""
        return bool(self.trace.asnumpy()[1] > 0)


class Curvatures:
    """All layers' curvature and the host's part of a refresh."""

    def __init__(self, layers: Sequence[LayerCurvature], config: OptimizerConfig, world: World, failures: Path) -> None:
        self.layers, self.config, self.failures = list(layers), config, failures
        self.traced = config.trace_recompute > 0.0
        self.sizes = np.array([layer.sizes for layer in self.layers])
        self.average = Average(self.layers)
        width = 1 if self.traced else LAYERS_PER_GRAPH
        self.parts = [slice(start, start + width) for start in range(0, len(self.layers), width)]
        self.inverts = [Invert(self.layers[part], world) for part in self.parts]

    def state(self) -> list[Parameter]:
        """Every parameter of all layers."""
        return [parameter for layer in self.layers for parameter in layer.state()]

    def all_frozen(self) -> bool:
        """Whether no refresh will ever be needed again."""
        return self.traced and all(layer.frozen() for layer in self.layers)

    def compile(self) -> None:
        """Compile all graphs of a refresh."""
        captured = [
            Tensor(np.zeros(probe.shape, np.float32)) for layer in self.layers for probe in layer.entry.probes()
        ]
        self.average.compile(*(_number(0.0) for _ in range(1 + len(captured))), *captured)
        for cell, part in zip(self.inverts, self.parts):
            cell.compile(*_numbers(self.layers[part], np.zeros((len(self.layers[part]), 4), np.float32)))

    def refresh(self, captured: Sequence[Tensor], sequences: tuple[int, int], damping: float) -> RefreshReport:
        """Average the captured factors and renew the inverses; raises `TrainingError` when a block stays without one.

        `sequences` are those of this process's batch and of the global one. A table's counts are divided by the first; G is multiplied by
        the square of the second, so that the gradients of the mean loss become those of one sequence.
        """
        report = RefreshReport()
        numbers = [scale for layer in self.layers for scale in layer.capture_scales(sequences)]
        keep = _number(self.config.factor_decay)
        summaries = self.average(keep, *(_number(value) for value in numbers), *captured).asnumpy()
        report.not_finite = int(summaries[:, 1].sum())
        traces = self._traces(summaries[:, 0])
        for cell, part in zip(self.inverts, self.parts):
            if not self.traced or self._due(self.layers[part.start], traces[part.start], damping, report):
                used = scales(self.config.damping_rule, traces[part], self.sizes[part], damping)
                self._invert(cell, self.layers[part], used, report)
        return report

    def _traces(self, of_factors: Array) -> Array:
        """(tr A, tr G) of every layer; a G that is taken as the identity has as much trace as rows."""
        traces = self.sizes.astype(np.float32)
        places = [(row, side) for row, layer in enumerate(self.layers) for side in range(len(layer.factors))]
        traces[tuple(zip(*places))] = of_factors
        return traces

    def _invert(self, cell: Invert, layers: Sequence[LayerCurvature], used: Array, report: RefreshReport) -> None:
        status, condition = (output.asnumpy() for output in cell(*_numbers(layers, used)))
        self._examine(layers, status, condition, used, report)

    def _due(self, layer: LayerCurvature, row: Any, damping: float, report: RefreshReport) -> bool:
        """Decide by the trace rule, remember and count the decision."""
        before, frozen = layer.trace.asnumpy().tolist()
        absolute = damping if self.config.damping_rule != "relative" else 0.0
        trace = float(np.float32(trace_rule.damped_trace(row[0], row[1], float(layer.entry.parameter.size), absolute)))
        change = trace_rule.relative_change(trace, before)
        decision = trace_rule.FROZEN
        if not frozen:
            decision = trace_rule.decide(change, self.config.trace_recompute, self.config.trace_freeze)
        if decision == trace_rule.RECOMPUTE:
            before = trace
        frozen = float(decision in (trace_rule.FREEZE, trace_rule.FROZEN))
        layer.trace.set_data(Tensor(np.array([before, frozen], np.float32)))
        report.decisions[layer.entry.parameter.name] = (change if np.isfinite(change) else None, decision)
        report.frozen += int(frozen)
        report.reused += decision == trace_rule.REUSE
        return decision == trace_rule.RECOMPUTE

    def _examine(
        self, layers: Sequence[LayerCurvature], status: Array, condition: Array, used: Array, report: RefreshReport
    ) -> None:
        report.recomputed += len(layers)
        report.blocks += len(status)
        report.condition_max = max(report.condition_max, float(np.where(status == 0, condition, 0.0).max()))
        sound = (status == 0) & (condition <= safe_inverse.CONDITION_LIMIT)
        rungs: Counter[str] = Counter(report.rungs)
        start = 0
        for layer, scale in zip(layers, used):
            here = slice(start, start + layer.kept.shape[0])
            start = here.stop
            kept = layer.kept.asnumpy().copy()
            if not sound[here].all() or kept.any():
                kept[sound[here]] = 0
                rungs.update(self._repair(layer, kept, status[here], ~sound[here], scale))
                layer.kept.set_data(Tensor(kept))
        report.rungs = dict(rungs)

    def _repair(self, layer: LayerCurvature, kept: Any, status: Any, doubtful: Any, scale: Any) -> list[str]:
        """Take every doubtful block of a layer up the ladder; changes `kept`, returns the rungs."""
        rungs, offset = [], 0
        for side, (factor, inverse) in enumerate(zip(layer.factors, layer.inverses)):
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


def _numbers(layers: Sequence[LayerCurvature], used: Array) -> list[Tensor]:
    """The inputs of `Invert` that stand for `used`, a row of `scales` for each layer."""
    sides = [(factor, row[2 * side :]) for layer, row in zip(layers, used) for side, factor in enumerate(layer.factors)]
    dampings = [Tensor(np.full(factor.shape[0], row[1], np.float32)) for factor, row in sides]
    return [_number(row[0]) for _, row in sides] + dampings
