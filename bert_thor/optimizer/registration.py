"""Which rule updates each parameter: the table that is printed at the start, and that fails when a parameter is forgotten."""

from __future__ import annotations

from dataclasses import dataclass

from mindspore import Parameter, nn

from bert_thor.config import ConfigError
from bert_thor.layers import FactoredLinear


@dataclass(frozen=True)
class Registration:
    """One trainable parameter and how it is updated."""

    parameter: Parameter
    rule: str
    """kronecker (THOR) or adam."""
    decayed: bool
    """Whether weight decay applies."""
    layer: FactoredLinear | None
    """The dense layer that it is the weight of; None for tables, norms and biases."""

    def state_bytes(self) -> int:
        """Bytes of optimizer state: moments, factors, inverses (float32)."""
        size = 4 * int(self.parameter.size)
        if self.rule == "adam" or self.layer is None:
            return 2 * size
        return size + 2 * 4 * int(self.layer.probe_a.size + self.layer.probe_g.size)


def is_probe(parameter: Parameter) -> bool:
    """Probes are zero parameters whose gradients are the factors; they are never updated."""
    return parameter.name.rsplit(".", 1)[-1] in ("probe_a", "probe_g")


def register(model: nn.Cell, optimizer: str) -> list[Registration]:
    """The table, in the model's parameter order. Raises `ConfigError` for a parameter that no rule covers."""
    layers = {id(cell.weight): cell for _, cell in model.cells_and_names() if isinstance(cell, FactoredLinear)}
    table = []
    for parameter in model.trainable_params():
        if is_probe(parameter):
            continue
        if parameter.ndim not in (1, 2):
            raise ConfigError(f"parameter {parameter.name} of shape {parameter.shape} has no update rule: it must be a matrix or a vector")
        layer = layers.get(id(parameter))
        rule = "kronecker" if layer is not None and optimizer == "thor" else "adam"
        table.append(Registration(parameter, rule, parameter.ndim == 2, layer))
    return table


def describe(table: list[Registration], device: str) -> str:
    """The table as text: parameter, shape, rule, blocks of A and G, kernel, device, state memory."""
    rows = [("parameter", "shape", "rule", "blocks of A", "blocks of G", "kernel", "device", "state")]
    for entry in table:
        layer = entry.layer if entry.rule == "kronecker" else None
        rows.append(
            (
                entry.parameter.name,
                "x".join(str(size) for size in entry.parameter.shape),
                entry.rule,
                _blocks(layer.probe_a) if layer else "-",
                _blocks(layer.probe_g) if layer else "-",
                "precondition, cholesky_inverse" if layer else "framework",
                device,
                f"{entry.state_bytes() / 2**20:.2f} MiB",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    total = sum(entry.state_bytes() for entry in table) / 2**20
    covered = sum(1 for entry in table if entry.rule == "kronecker")
    return "\n".join([*lines, f"{len(table)} parameters, {covered} preconditioned, {total:.1f} MiB of optimizer state"])


def _blocks(probe: Parameter) -> str:
    count, edge, _ = probe.shape
    return f"{count} x {edge}x{edge}"
