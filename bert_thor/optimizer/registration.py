"""Which rule updates each parameter: the table that is printed at the start, and that fails when a parameter is forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Optional, Union

from mindspore import Parameter, nn

from bert_thor.errors import ConfigError
from bert_thor.network.layers import FactoredLinear, FactoredTable
from bert_thor.optimizer.config import OptimizerConfig

Layer = Union[FactoredLinear, FactoredTable]

MATRIX_RULES = {
    "thor": "kronecker", "thor-2020": "kronecker", "thor-2021": "kronecker",
    "sgd": "momentum", "adamw": "adam", "lamb": "lamb", "muon": "muon", "soap": "soap",
}  # fmt: skip
"""Rule of the dense layers' weights by optimizer name."""
FIRST_ORDER_RULES = {
    "thor": "adam", "thor-2020": "momentum", "thor-2021": "momentum",
    "sgd": "momentum", "adamw": "adam", "lamb": "lamb", "muon": "adam", "soap": "adam",
}  # fmt: skip
"""Rule of the parameters without curvature by optimizer name."""
KERNELS = {
    "kronecker": "fisher_covariance, cholesky_inverse, precondition",
    "adam": "adam",
    "lamb": "adam, l2_norm",
    "momentum": "momentum",
}
"""Kernels of a rule beside weight_update; the framework's elementwise and matrix operators where nothing is listed."""
STATE_TENSORS = {"kronecker": 1, "diagonal": 1, "momentum": 1, "muon": 1, "adam": 2, "lamb": 2, "soap": 2}
"""Tensors of the parameter's own shape that a rule keeps."""
CLASSIFIER_OUTPUTS = 2
"""Up to this many outputs a layer's G is taken as the identity, as the original does."""


@dataclass(frozen=True)
class Registration:
    """One trainable parameter and how it is updated."""

    parameter: Parameter
    rule: str
    """kronecker, diagonal, muon, soap, lamb, adam or momentum."""
    matrix: bool
    """Whether it is a dense layer's weight with learning_rate; else it has first_order_learning_rate."""
    layer: Optional[Layer]
    """The layer or table that it is the weight of; None for norms and biases."""
    groups: int
    """Separate tensors side by side along the first axis (query, key and value)."""

    @property
    def decayed(self) -> bool:
        """Weight decay is for matrices and tables."""
        return bool(self.parameter.ndim == 2)

    @property
    def sides(self) -> str:
        """Which factors its curvature has: "AG", "A" (a classifier's G is the identity) or "" (none)."""
        if self.rule != "kronecker" or self.layer is None:
            return ""
        return "A" if isinstance(self.layer, FactoredLinear) and self.layer.outputs <= CLASSIFIER_OUTPUTS else "AG"

    def state_bytes(self) -> int:
        """Bytes of optimizer state: moments, factors and their inverses, bases (float32)."""
        rows, columns = (self.parameter.shape[0] // self.groups, self.parameter.shape[-1])
        curvature = {
            "kronecker": 2 * sum(int(probe.size) for probe in self.probes()),
            "soap": 2 * self.groups * (rows * rows + columns * columns),
        }
        return 4 * (STATE_TENSORS[self.rule] * int(self.parameter.size) + curvature.get(self.rule, 0))

    def probes(self) -> list[Parameter]:
        """The probes whose gradients are its factors, A first."""
        return [getattr(self.layer, f"probe_{side.lower()}") for side in self.sides]


def is_probe(parameter: Parameter) -> bool:
    """Probes are zero parameters whose gradients are the factors; they are never updated."""
    return parameter.name.rsplit(".", 1)[-1] in ("probe_a", "probe_g")


def register(model: nn.Cell, config: OptimizerConfig) -> list[Registration]:
    """The table, in the model's parameter order.

    A parameter listed in `config.first_order` has the first-order rule. Any other needs a curvature: the optimizer's rule for a dense
    layer's weight, for tables and norm parameters those of thor. Raises `ConfigError` for a parameter that is neither.
    """
    layers = _layers(model)
    parameters = [parameter for parameter in model.trainable_params() if not is_probe(parameter)]
    return [_registration(parameter, layers, config) for parameter in parameters]


def _layers(model: nn.Cell) -> dict[int, Layer]:
    """Layer by the identity of its weight and, for a dense layer, of its bias."""
    found: dict[int, Layer] = {}
    for _, cell in model.cells_and_names():
        if isinstance(cell, (FactoredLinear, FactoredTable)):
            found[id(cell.weight)] = cell
        if isinstance(cell, FactoredLinear):
            found[id(cell.bias)] = cell
    return found


def _registration(parameter: Parameter, layers: dict[int, Layer], config: OptimizerConfig) -> Registration:
    owner = layers.get(id(parameter))
    layer = owner if owner is not None and owner.weight is parameter else None
    groups = owner.groups if owner is not None else 1
    dense = isinstance(layer, FactoredLinear)
    listed = any(fnmatchcase(parameter.name, pattern) for pattern in config.first_order)
    if MATRIX_RULES[config.name] in ("adam", "lamb", "momentum"):
        matrix = dense and not listed
        return Registration(parameter, MATRIX_RULES[config.name], matrix, layer, groups)
    if listed:
        return Registration(parameter, FIRST_ORDER_RULES[config.name], False, layer, groups)
    return Registration(parameter, _curvature(parameter, layer, config), True, layer, groups)


def _curvature(parameter: Parameter, layer: Optional[Layer], config: OptimizerConfig) -> str:
    rule = MATRIX_RULES[config.name]
    if isinstance(layer, FactoredLinear) or (rule == "kronecker" and layer is not None):
        return rule
    if rule == "kronecker" and parameter.name.endswith((".gamma", ".beta")):
        return "diagonal"
    raise ConfigError(
        f"parameter {parameter.name} of shape {tuple(parameter.shape)} has no curvature with {config.name}: "
        "add it to --first-order, or use a first-order optimizer"
    )


def describe(table: Sequence[Registration], device: str) -> str:
    """The table as text: parameter, shape, rule, blocks of A and G, what computes it, device, state memory."""
    rows = [("parameter", "shape", "rule", "blocks of A", "blocks of G", "computed by", "device", "state")]
    for entry in table:
        rows.append(
            (
                entry.parameter.name,
                "x".join(str(size) for size in entry.parameter.shape),
                entry.rule,
                _blocks(entry, "A"),
                _blocks(entry, "G"),
                KERNELS.get(entry.rule, "framework"),
                device,
                f"{entry.state_bytes() / 2**20:.2f} MiB",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    total = sum(entry.state_bytes() for entry in table) / 2**20
    covered = sum(1 for entry in table if entry.rule == "kronecker")
    return "\n".join([*lines, f"{len(table)} parameters, {covered} preconditioned, {total:.1f} MiB of optimizer state"])


def _blocks(entry: Registration, side: str) -> str:
    if side not in entry.sides:
        return "identity" if entry.sides else "-"
    count, edge, _ = entry.probes()[entry.sides.index(side)].shape
    return f"{count} x {edge}x{edge}"
