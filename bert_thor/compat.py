"""Every difference between the MindSpore lines that are supported (1.10 and 2.0 with TBE on Ascend 910, 2.0 and 2.10 on the CPU)."""

from __future__ import annotations

import mindspore as ms
from mindspore import nn


def use_graph_mode(device_target: str) -> None:
    """Compile cells into graphs and run them on `device_target` ("CPU" or "Ascend").

    2.10 starts in PyNative mode and 1.10 in graph mode, so it is always set; `set_device` exists since 2.5.
    """
    if hasattr(ms, "set_device"):
        ms.set_context(mode=ms.GRAPH_MODE)
        ms.set_device(device_target)
    else:
        ms.set_context(mode=ms.GRAPH_MODE, device_target=device_target)


def version() -> tuple[int, ...]:
    """The MindSpore version as numbers, such as (2, 10, 0)."""
    return tuple(int(part) for part in ms.__version__.split(".")[:3] if part.isdigit())


def name_parameters(cell: nn.Cell) -> None:
    """Name every parameter of `cell` by its path; 2.0 refuses `update_parameters_name` without a prefix."""
    for name, parameter in cell.parameters_and_names():
        parameter.name = name
