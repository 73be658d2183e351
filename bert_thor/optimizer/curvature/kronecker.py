"""The Kronecker-factored curvature of one weight: probes, factors, inverses, and what they make of a gradient.

Letters: O rows and I columns of a weight, n blocks of edge b.
"""

from __future__ import annotations

import numpy as np
from mindspore import Parameter, Tensor

from bert_thor.network.architecture import ParameterSpec
from bert_thor.ops.precondition import precondition
from bert_thor.optimizer.capture import Layer, Probes
from bert_thor.optimizer.config import OptimizerConfig
from bert_thor.optimizer.curvature.blocks import factor_edges, factor_shapes, factor_sides
from bert_thor.optimizer.curvature.curvature import Curvature


class KroneckerCurvature(Curvature):
    """G⁻¹ dW A⁻¹ of a dense layer, A⁻¹ dE G⁻¹ of a table (whose rows are its inputs), on packed diagonal blocks.

    It owns the factors, their inverses, which start as identities, and what the host remembers of them, all as parameters, so that a
    checkpoint holds them: how often in a row each block kept its inverse; the trace in use and 1 if the layer is frozen.
    """

    @classmethod
    def state_shapes(cls, spec: ParameterSpec, config: OptimizerConfig) -> dict[str, tuple[int, ...]]:
        """Inverses, factors, counts of kept inverses, (trace in use, 1 if frozen)."""
        shapes, sides = factor_shapes(spec, int(config.block)), factor_sides(spec)
        return {
            **{f"inverse_{side.lower()}": shapes[side] for side in "AG"},
            **{f"factor_{side.lower()}": shapes[side] for side in sides},
            "kept_inverses": (sum(shapes[side][0] for side in sides),),
            "trace": (2,),
        }

    def __init__(self, spec: ParameterSpec, layer: Layer, config: OptimizerConfig) -> None:
        super().__init__(auto_prefix=False)
        self.spec, self.layer, self.block, self.sides = spec, layer, int(config.block), factor_sides(spec)
        for kind, shape in self.state_shapes(spec, config).items():
            start = np.broadcast_to(np.eye(shape[-1]), shape) if kind.startswith("inverse") else np.zeros(shape)
            setattr(self, kind, Parameter(start.astype(np.float32), f"{kind}.{spec.name}", requires_grad=False))
        self.table, self.weighted = spec.kind == "table", config.row_weights == "gradient"
        self.sizes = (spec.shape[0], spec.shape[1]) if self.table else (spec.shape[1], spec.shape[0])
        self.multiply = precondition()
        self.rows = 0
        self.attach(sums=False)

    def construct(self, gradient: Tensor) -> Tensor:
        """Return the preconditioned gradient [O, I]."""
        if self.table:
            return self.multiply(self.inverse_a, gradient, self.inverse_g)
        return self.multiply(self.inverse_g, gradient, self.inverse_a)

    def attach(self, sums: bool) -> None:
        """Give the layer probes; with `sums` for sums over rows, which those of several uses add up to."""
        probes = Probes(self.spec.name, factor_shapes(self.spec, self.block), self.weighted, sums)
        self.layer.attach(self, factor_edges(self.spec, self.block), probes)
        self.__dict__["captured"] = probes  # not a part of this cell's own state

    def probes(self) -> list[Parameter]:
        """The probes whose gradients are the factors, A first."""
        return [self.captured.a, self.captured.g][: len(self.sides)]

    def powers(self) -> list[int]:
        """For each of `probes` the power of the loss's scale that it has: 2 for G and a weighted A, 0 for an A of inputs alone."""
        return [2 if self.weighted else 0, 2][: len(self.sides)]

    def factors(self) -> list[Parameter]:
        """A, then G where it is captured."""
        return [getattr(self, f"factor_{side.lower()}") for side in self.sides]

    def inverses(self) -> list[Parameter]:
        """The inverses of `factors`."""
        return [getattr(self, f"inverse_{side.lower()}") for side in self.sides]

    def capture_scales(self, samples: tuple[int, int]) -> list[float]:
        """What the captured factors are multiplied by; `samples` as in `Moment`.

        A table's counts are divided by the samples of this process; G and a weighted A are multiplied by the square of the global ones,
        so that the gradients of the mean loss become those of one sample. Sums of several uses are divided by their rows.
        """
        of_g = float(samples[1] ** 2)
        of_a = (of_g if self.weighted else 1.0) / (samples[0] if self.table else 1.0)
        if self.rows:
            of_a, of_g = of_a if self.table else of_a / self.rows, of_g / self.rows
        return [of_a, of_g][: len(self.sides)]

    def frozen(self) -> bool:
        """Whether the trace rule has taken the layer out of all refreshes."""
        return bool(self.trace.asnumpy()[1] > 0)
