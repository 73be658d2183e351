"""A network's parameters as arrays by name: what checkpoints hold."""

from __future__ import annotations

from typing import Any

import numpy as np
from mindspore import Parameter, Tensor, nn

from bert_thor.errors import CheckpointError
from bert_thor.training.checkpoint import match_parameters


def weights(model: nn.Cell) -> list[Parameter]:
    """The parameters that a checkpoint's model file holds."""
    return list(model.get_parameters())


def assign(parameters: list[Parameter], stored: dict[str, np.ndarray], path: object) -> None:
    """Set `parameters` to the arrays of the same names; raises `CheckpointError` when names, shapes or types differ."""
    match_parameters(path, stored, {p.name: p.shape for p in parameters})  # type: ignore[arg-type]
    for parameter in parameters:
        found, needed = stored[parameter.name].dtype, parameter.asnumpy().dtype
        if found != needed:
            raise CheckpointError(f"{path} holds {parameter.name} as {found}, this configuration needs {needed}")
    for parameter in parameters:
        parameter.set_data(Tensor(stored[parameter.name]))


def arrays(parameters: list[Parameter]) -> dict[str, np.ndarray]:
    """Copies of the values by name."""
    return {parameter.name: parameter.asnumpy() for parameter in parameters}


def read_count(state: dict[str, Any], name: str, path: object) -> int:
    """One count of a checkpoint's state.json; raises `CheckpointError` when it is missing or not a count."""
    value = state.get(name)
    if type(value) is not int or not 0 <= value < 2**53:
        raise CheckpointError(f"{path}/state.json has {name} = {value!r}: a count was expected, it cannot be used")
    return value
