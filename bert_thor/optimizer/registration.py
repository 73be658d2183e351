"""Which rule updates each parameter: the table that is printed at the start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from mindspore import nn

from bert_thor.errors import ConfigError
from bert_thor.optimizer.capture import inspect
from bert_thor.optimizer.config import OptimizerConfig
from bert_thor.optimizer.methods import method
from bert_thor.optimizer.methods.method import is_listed
from bert_thor.optimizer.rule import Registration, Shapes


def register(
    network: nn.Cell, config: OptimizerConfig, groups: Mapping[str, int], strict: bool = False
) -> list[Registration]:
    """The table, in the network's parameter order.

    A parameter that `config.first_order` lists, or of a kind for which the method has no rule, has the method's rule for the rest. With
    `strict` the second raises `ConfigError`, unless the method treats every parameter alike. `groups` as in `capture.inspect`.
    """
    chosen = method(config.name)
    parameters, specs, layers = inspect(network, groups)
    if not parameters:
        raise ConfigError("the network has no trainable parameter: there is nothing to optimise")
    table = []
    for parameter, spec in zip(parameters, specs):
        rule, matrix = chosen.rule_of(spec, config)
        if strict and not chosen.is_uniform and not matrix and not is_listed(spec, config):
            raise ConfigError(
                f"parameter {spec.name} of shape {spec.shape} ({spec.kind}) has no rule of its own with {config.name}: "
                "add its name or kind to --first-order, or use a first-order optimizer"
            )
        table.append(Registration(parameter, spec, rule, matrix, layers.get(spec.name)))
    return table


def describe(table: Sequence[Registration], config: OptimizerConfig, device: str) -> str:
    """The table as text: parameter, shape, kind, rule, blocks of A and G, what computes it, device, state memory."""
    chosen = method(config.name)
    states = [chosen.state_shapes(entry.spec, config) for entry in table]
    sizes = [4 * sum(map(prod, shapes.values())) / 2**20 for shapes in states]
    rows = [("parameter", "shape", "kind", "rule", "blocks of A", "blocks of G", "computed by", "device", "state")]
    for entry, shapes, size in zip(table, states, sizes):
        blocks = [_blocks(shapes, side) for side in "ag"]
        what = (entry.spec.name, "x".join(map(str, entry.spec.shape)), entry.spec.kind, entry.rule.label)
        rows.append((*what, *blocks, entry.rule.kernels, device, f"{size:.2f} MiB"))  # type: ignore[arg-type]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    covered = sum("factor_a" in shapes for shapes in states)
    return "\n".join(
        [*lines, f"{len(table)} parameters, {covered} preconditioned, {sum(sizes):.1f} MiB of optimizer state"]
    )


def _blocks(shapes: Shapes, side: str) -> str:
    """Of one factor; a classifier's G is taken as the identity."""
    if f"inverse_{side}" not in shapes:
        return "-"
    count, edge, _ = shapes.get(f"factor_{side}", (0, 0, 0))
    return f"{count} x {edge}x{edge}" if count else "identity"
