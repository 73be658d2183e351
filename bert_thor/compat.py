"""Every difference between the MindSpore lines that are supported (1.10 and 2.0 with TBE on Ascend 910, 2.0 and 2.10 on the CPU)."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Union

import mindspore as ms
import numpy as np
from mindspore import nn, ops

from bert_thor.errors import CheckpointError


def use_graph_mode(device_target: str) -> None:
    """Compile cells into graphs and run them on `device_target` ("CPU" or "Ascend").

    2.10 starts in PyNative mode and 1.10 in graph mode, so it is always set. `set_device` exists since 2.5 and may be called only
    before the first kernel of the process.

    On the CPU 2.10 launches kernels from a second thread while the calling thread spins until that is done, on a core that the kernels
    need: a training step then takes twice as long on two cores. The variable makes the calling thread launch them itself.
    """
    if device_target == "CPU":
        os.environ.setdefault("MS_DEV_HOST_BLOCKING_RUN", "1")
    if hasattr(ms, "set_device"):
        ms.set_context(mode=ms.GRAPH_MODE)
        if ms.get_context("device_target") != device_target:
            ms.set_device(device_target)
    else:
        ms.set_context(mode=ms.GRAPH_MODE, device_target=device_target)


def version() -> tuple[int, ...]:
    """The MindSpore version as numbers, such as (2, 10, 0)."""
    return tuple(int(part) for part in ms.__version__.split(".")[:3] if part.isdigit())


def is_first_ascend_910(device_target: str) -> bool:
    """Whether the device is a first Ascend 910: up to 2.0 MindSpore runs on no other Ascend, later lines on Atlas A2 and A3."""
    return device_target == "Ascend" and version()[:2] <= (2, 0)


def float_status_operators() -> tuple[Any, Any, Any]:
    """(allocate, clear, get): MindSpore's operators on the overflow register of a first Ascend 910, as both lines for it document them.

    1.10 and 2.0 have them; 2.10 calls them deprecated.
    """
    return ops.NPUAllocFloatStatus(), ops.NPUClearFloatStatus(), ops.NPUGetFloatStatus()


def answer_last() -> None:
    """Let this process, the scheduler of MindSpore 2.0's cluster, run only on a core that nobody else wants.

    A worker of 2.0 sends a message, then clears the place for the answer, then waits: an answer that is faster than that is forgotten. The
    worker asks again after 30 s, when the scheduler has given it up for dead. Of starts with two workers on two
    busy cores six of 8 failed, and one of 15 where the scheduler is the last to run: rarer, not gone. 2.10 clears the place first.
    """
    if version() < (2, 10):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def has_all_gather() -> bool:
    """Whether ranks can gather on the chosen device: not on the CPU of 2.0, which sums and broadcasts only."""
    return version() >= (2, 10) or ms.get_context("device_target") != "CPU"


def sums_on_a_cpu() -> tuple[str, ...]:
    """The types that the processes of a CPU can sum: 2.10 knows two, 2.0 one."""
    return ("float32", "float16") if version() >= (2, 10) else ("float32",)


def name_parameters(cell: nn.Cell) -> None:
    """Name every parameter of `cell` by its path; 2.0 refuses `update_parameters_name` without a prefix."""
    for name, parameter in cell.parameters_and_names():
        parameter.name = name


def write_ckpt(parameters: Sequence[ms.Parameter], path: Path, facts: Mapping[str, Union[int, float]]) -> None:
    """Write a .ckpt file with the parameters and single numbers; with a checksum where the line has one (not 2.0)."""
    options: dict[str, Any] = {"crc_check": True} if _has_checksums() else {}
    entries = [{"name": parameter.name, "data": parameter} for parameter in parameters]
    ms.save_checkpoint(entries, str(path), append_dict=dict(facts), **options)


def read_ckpt(path: Path) -> dict[str, np.ndarray]:
    """Every entry of a .ckpt file by name; raises `CheckpointError` where it is damaged, as far as the line can tell."""
    with open(path, "rb") as file:
        file.seek(-min(32, path.stat().st_size), os.SEEK_END)
        checked = _has_checksums() and b"crc_num" in file.read()
    options: dict[str, Any] = {"crc_check": True} if checked else {}
    try:
        stored = ms.load_checkpoint(str(path), **options)
    except (ValueError, RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(
            f"{path} cannot be read as a MindSpore checkpoint: it is cut, damaged or something else ({reason})"
        ) from None
    return {
        name: value.asnumpy() if isinstance(value, ms.Tensor) else np.array(value) for name, value in stored.items()
    }


def _has_checksums() -> bool:
    return "crc_check" in inspect.signature(ms.save_checkpoint).parameters
