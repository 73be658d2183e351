"""How the layers of any network give their Kronecker factors: probes in the backward pass.

Letters: N rows, I input features, O output features, V rows of a table, H its features, b block edge, n blocks.

For y = x Wᵀ with rows x_NI and output gradients d_NO, K-FAC (Martens & Grosse, 2015) needs A = xᵀx / N and G = dᵀd / N, here only their
diagonal blocks. They come as the gradients of zero parameters, the probes, whose shapes are those of the packed blocks: `value_and_grad`
over weights and probes gives gradients and factors together, without side effects, and a data-parallel reducer averages both alike. Where
the gradient of a probe is not asked for, the compiler removes the covariance.

With weights A = Σ ‖dₙ‖² xₙxₙᵀ / N; the norms come from the output gradients that G is made of. A row whose gradient is zero, such as
padding, then has no part in any factor, whatever x is there. A table's row v has Σ ‖dₙ‖² over the rows that look it up.

The layer itself knows nothing of this. Of a layer whose `construct` calls `self.matmul(x, self.weight)`, the operator `matmul` is replaced
by a cell that calls it and has the probes; its weights, its code and its numbers stay. The probes are no parameters of the network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Optional

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn, ops

from bert_thor.errors import ConfigError
from bert_thor.network.architecture import ParameterSpec
from bert_thor.network.layers import Table
from bert_thor.ops.embedding import embedding_grad
from bert_thor.ops.fisher_covariance import fisher_covariance
from bert_thor.ops.linear import LinearProduct


class Product(nn.Cell):
    """y = x Wᵀ by the layer's own operator, dx and dW by its gradient; the backward pass returns (dx, dW, A, G, uses).

    `probes` say whether A is weighted, and whether A and G are sums over the rows instead of means: those of several uses can be added up.
    """

    def __init__(self, operator: Any, edges: Mapping[str, int], probes: Probes) -> None:
        super().__init__(auto_prefix=False)
        self.forward, self.sums, self.weighted = operator, probes.sums, probes.weighted
        self.covariance_a = fisher_covariance(edges["A"], probes.weighted)
        self.covariance_g = fisher_covariance(edges["G"])
        self.gradient = operator.gradient if isinstance(operator, LinearProduct) else MatMulGradient()
        self.use, self.row = (Tensor(np.array(pair, np.float32)) for pair in ((1, 0), (0, 1)))

    def construct(self, x_NI: Tensor, weight_OI: Tensor, probe_a: Tensor, probe_g: Tensor, uses: Tensor) -> Tensor:
        """Return x Wᵀ."""
        return self.forward(x_NI, weight_OI)

    def bprop(
        self, x_NI: Tensor, weight_OI: Tensor, probe_a: Tensor, probe_g: Tensor, uses: Tensor, out: Tensor, dout: Tensor
    ) -> Any:
        """Return one gradient per input; those of the probes are the factors, that of `uses` is (1, N)."""
        rows = x_NI.shape[0]
        a = self.covariance_a(x_NI, squared_norms(dout)) if self.weighted else self.covariance_a(x_NI)
        g = self.covariance_g(dout)
        if self.sums:
            a, g = a * rows, g * rows
        dx, dw = self.gradient(dout, x_NI, weight_OI)
        return dx, dw, a, g, self.use + rows * self.row


def squared_norms(dout: Tensor) -> Tensor:
    """‖d‖² of every row of an output gradient [N, O], in float32: [N]."""
    d_NO = dout.astype(ms.float32)
    return (d_NO * d_NO).sum(1)


class MatMulGradient(nn.Cell):
    """(dy, x, weight) -> (dx, dW) of a framework's x Wᵀ, as the framework computes them."""

    def __init__(self) -> None:
        super().__init__(auto_prefix=False)
        self.input_gradient, self.weight_gradient = ops.MatMul(), ops.MatMul(transpose_a=True)

    def construct(self, dy_NO: Tensor, x_NI: Tensor, weight_OI: Tensor) -> Any:
        """Return dx, dW."""
        return self.input_gradient(dy_NO, weight_OI), self.weight_gradient(dy_NO, x_NI)


class CapturedProduct(nn.Cell):
    """Stands in the place of a dense layer's `matmul`."""

    def __init__(self, operator: Any, edges: Mapping[str, int], probes: Probes) -> None:
        super().__init__(auto_prefix=False)
        self.product = Product(operator, edges, probes)
        self.probe_a, self.probe_g, self.uses = probes.a, probes.g, probes.uses

    def construct(self, x_NI: Tensor, weight_OI: Tensor) -> Tensor:
        """Return x Wᵀ."""
        return self.product(x_NI, weight_OI, self.probe_a, self.probe_g, self.uses)


class CapturedDense(CapturedProduct):
    """Stands in the place of the `dense` of a `mint.nn.Linear`: x has any number of leading axes, and the bias is added here."""

    def construct(self, x: Tensor, weight_OI: Tensor, bias_O: Optional[Tensor] = None) -> Tensor:
        """Return x Wᵀ + b."""
        y_NO = self.product(x.reshape((-1, x.shape[-1])), weight_OI, self.probe_a, self.probe_g, self.uses)
        if bias_O is not None:
            y_NO = y_NO + bias_O
        return y_NO.reshape((*x.shape[:-1], y_NO.shape[-1]))


class Lookup(nn.Cell):
    """rows = table[ids] by the layer's own operator; the backward pass returns (dtable, d ids, counts, G, uses).

    The input of a table is a one-hot row, so its A is diagonal: how often each id occurs, or the sum of the weights of the rows where it
    does. counts [V, 1, 1] are its blocks of edge 1.
    """

    def __init__(self, operator: Any, edges: Mapping[str, int], probes: Probes) -> None:
        super().__init__(auto_prefix=False)
        self.forward, self.rows, self.sums, self.weighted = operator, probes.a.shape[0], probes.sums, probes.weighted
        self.covariance_g = fisher_covariance(edges["G"])
        self.sum_by_id = ops.UnsortedSegmentSum()
        self.table_gradient = embedding_grad()
        self.use, self.row = (Tensor(np.array(pair, np.float32)) for pair in ((1, 0), (0, 1)))

    def construct(self, table_VH: Tensor, ids_N: Tensor, probe_a: Tensor, probe_g: Tensor, uses: Tensor) -> Tensor:
        """Return the rows [N, H]."""
        return self.forward(table_VH, ids_N)

    def bprop(
        self, table_VH: Tensor, ids_N: Tensor, probe_a: Tensor, probe_g: Tensor, uses: Tensor, out: Tensor, dout: Tensor
    ) -> Any:
        """Return one gradient per input; those of the probes are the factors, that of `uses` is (1, N)."""
        rows = ids_N.shape[0]
        weights = squared_norms(dout).expand_dims(1) if self.weighted else ops.ones_like(dout[:, :1])
        counts = self.sum_by_id(weights, ids_N, self.rows).reshape(self.rows, 1, 1)
        g = self.covariance_g(dout) * rows if self.sums else self.covariance_g(dout)
        dtable = self.table_gradient(dout, ids_N, table_VH)
        return dtable, ops.zeros_like(ids_N), counts, g, self.use + rows * self.row


class CapturedLookup(nn.Cell):
    """Stands in the place of a table's `embedding` or `gather`."""

    def __init__(self, operator: Any, edges: Mapping[str, int], probes: Probes) -> None:
        super().__init__(auto_prefix=False)
        self.lookup = Lookup(operator, edges, probes)
        self.probe_a, self.probe_g, self.uses = probes.a, probes.g, probes.uses

    def construct(self, table_VH: Tensor, ids_N: Tensor, axis: int = 0) -> Tensor:
        """Return table[ids]; `axis` is what `ops.Gather` takes: 0."""
        return self.lookup(table_VH, ids_N, self.probe_a, self.probe_g, self.uses)


class RowsOf(nn.Cell):
    """`ops.Gather` along the first axis, called as our own embedding is."""

    def __init__(self, gather: Any) -> None:
        super().__init__(auto_prefix=False)
        self.gather = gather

    def construct(self, table_VH: Tensor, ids_N: Tensor) -> Tensor:
        """Return table[ids]."""
        return self.gather(table_VH, ids_N, 0)


class Probes:
    """Zero parameters whose gradients are the factors A and G [n, b, b], and the number of uses and rows, of one weight.

    `weighted`: A's rows count by the squared norm of their output gradient. `sums`: factors are sums over the rows, not means.
    """

    def __init__(
        self, name: str, shapes: Mapping[str, tuple[int, int, int]], weighted: bool = False, sums: bool = False
    ) -> None:
        self.weighted, self.sums = weighted, sums
        self.a, self.g = (_zeros(f"probe_{side.lower()}.{name}", shapes[side]) for side in "AG")
        self.uses = _zeros(f"uses.{name}", (2,))


OPERATORS: Mapping[str, tuple[str, type[nn.Cell]]] = {
    "matmul": ("weight", CapturedProduct),
    "dense": ("weight", CapturedDense),
    "embedding": ("embedding_table", CapturedLookup),
    "gather": ("embedding_table", CapturedLookup),
}
"""By the name of the operator inside a layer: the weight that it is called with, and what stands in its place while captured."""


@dataclass
class Layer:
    """One weight that can have factors: its cells (several where they share it) and the name of the operator in each."""

    spec: ParameterSpec
    places: list[tuple[nn.Cell, str]]

    def attach(self, owner: object, edges: Mapping[str, int], probes: Probes) -> None:
        """Put cells with `probes` in the places of the operators. The newest owner has the layer."""
        for cell, name in self.places:
            operator = _attribute(cell, name)
            original = operator.original if isinstance(operator, _CAPTURED) else operator
            forward = RowsOf(original) if name == "gather" else original
            captured = OPERATORS[name][1](forward, edges, probes)
            # MindSpore knows a compiled cell by its address: the one that stood here may not be freed, but its probes may.
            captured.__dict__.update(original=original, owner=owner, before=operator)
            if isinstance(operator, _CAPTURED):
                for probe in ("probe_a", "probe_g", "uses"):
                    operator.__dict__["_params"].pop(probe, None)
            cell.__dict__[name] = captured

    def belongs_to(self, owner: object) -> bool:
        """Whether `owner` was the last that attached probes."""
        return all(_attribute(cell, name).__dict__.get("owner") is owner for cell, name in self.places)


_CAPTURED = (CapturedProduct, CapturedLookup)


def inspect(
    network: nn.Cell, groups: Mapping[str, int]
) -> tuple[list[Parameter], list[ParameterSpec], dict[str, Layer]]:
    """The trainable parameters, what each is, and the layers by the name of their weight.

    Kinds: dense, the weight [O, I] of a cell that multiplies by it; table, an embedding's; norm, scale and shift of a normalisation;
    bias, any other parameter with one axis; other, all else. `groups` says by a pattern of names how many equal tensors lie side by side
    along the first axis of a parameter. A matrix that is both a table and a dense layer's weight is a table, without a layer.
    Raises `ConfigError` for two parameters of one name and for groups that do not divide.
    """
    parameters = list(network.trainable_params())
    _check_names(parameters)
    kinds, places = _kinds(network)
    specs = [_spec(parameter, kinds.get(id(parameter), set()), groups) for parameter in parameters]
    layers = {
        spec.name: Layer(spec, places[id(parameter)])
        for parameter, spec in zip(parameters, specs)
        if places.get(id(parameter)) and len(kinds[id(parameter)]) == 1
    }
    return parameters, specs, layers


def _kinds(network: nn.Cell) -> tuple[dict[int, set[str]], dict[int, list[tuple[nn.Cell, str]]]]:
    """By the identity of a parameter: what the cells that own it make of it, and the operators that are called with it."""
    kinds: dict[int, set[str]] = {}
    places: dict[int, list[tuple[nn.Cell, str]]] = {}
    for _, cell in network.cells_and_names():
        own = {attribute: value for attribute, value in cell.__dict__.get("_params", {}).items() if value is not None}
        operator = _operator(cell, own)
        if operator is not None:
            weight = own[OPERATORS[operator][0]]
            places.setdefault(id(weight), []).append((cell, operator))
        for attribute, parameter in own.items():
            kind = _kind(attribute, parameter, own, operator)
            if kind is not None:
                kinds.setdefault(id(parameter), set()).add(kind)
    return kinds, places


def _operator(cell: nn.Cell, own: Mapping[str, Parameter]) -> Optional[str]:
    """The name of the operator by which the cell multiplies by its weight, or looks up rows of its table; None where there is none.

    An attribute of such a name that is a cell is a layer by itself; of our own table it may be one, by its backend.
    """
    if getattr(cell, "use_one_hot", False):
        return None
    for name, (weight, _) in OPERATORS.items():
        operator = _attribute(cell, name)
        if weight not in own or own[weight].ndim != 2:
            continue
        operator = operator.original if isinstance(operator, _CAPTURED) else operator
        if isinstance(cell, Table) if name == "embedding" else _is_usable(name, operator):
            return name
    return None


def _is_usable(name: str, operator: Any) -> bool:
    """Whether an attribute is an operator of that kind: x Wᵀ, in the case of `matmul`, ours or the framework's."""
    if not isinstance(operator, ops.Primitive):
        return name == "matmul" and isinstance(operator, LinearProduct)
    return name != "matmul" or (getattr(operator, "transpose_b", False) and not operator.transpose_a)


def _attribute(cell: nn.Cell, name: str) -> Any:
    """A primitive or a cell that is an attribute; what captures stands before it."""
    return cell.__dict__.get(name) or cell.__dict__["_cells"].get(name)


def _kind(attribute: str, parameter: Parameter, own: Mapping[str, Parameter], operator: Optional[str]) -> Optional[str]:
    """What a cell makes of one of its parameters; None where its code would have to be read to know."""
    if attribute == "embedding_table":
        return "table"
    if operator is not None and attribute == OPERATORS[operator][0]:
        return "dense"
    scale = own.get("gamma", own.get("weight"))
    of_norm = scale is not None and scale.ndim == 1 and attribute in ("gamma", "beta", "weight", "bias")
    return "norm" if of_norm and parameter.ndim == 1 else None


def _spec(parameter: Parameter, kinds: set[str], groups: Mapping[str, int]) -> ParameterSpec:
    kind = min(kinds) if len(kinds) == 1 else "bias" if parameter.ndim == 1 else "table" if kinds else "other"
    count = next((number for pattern, number in groups.items() if fnmatchcase(parameter.name, pattern)), 1)
    if count < 1 or parameter.shape[0] % count:
        raise ConfigError(
            f"groups says that {parameter.name} of shape {tuple(parameter.shape)} is {count} tensors side by side: "
            f"its first axis must be a multiple of that"
        )
    return ParameterSpec(parameter.name, tuple(parameter.shape), kind, count)


def _check_names(parameters: Sequence[Parameter]) -> None:
    name, count = next(iter(Counter(parameter.name for parameter in parameters).most_common(1)), ("", 0))
    if count > 1:
        raise ConfigError(
            f"{count} parameters of the network are called {name}: give each a name of its own (parameter.name = ...), "
            "because the optimizer's state is stored by name"
        )


def _zeros(name: str, shape: tuple[int, ...]) -> Parameter:
    return Parameter(np.zeros(shape, np.float32), name)
