"""Which implementation an operator uses: a kernel for Ascend 910 in TIK (`tbe`) or AKG (`akg`), MindSpore's own operators
(`mindspore`), or the kernel for CPUs (`cpu`).

`auto`, the default: on the CPU `cpu`; on a device the first that an operation offers and that can run there, and where that is
not its first, a warning says why, once. THOR_BACKEND chooses: a name, for every operation that offers it, or `operation=name`,
separated by commas, the last that fits (`THOR_BACKEND=akg`, `THOR_BACKEND=mindspore,layer_norm=cpu`). A choice that cannot be met
raises.

The device is that of MindSpore's context when the operator is made. `mindspore` runs wherever the graph does. `cpu` runs on the
host: in a graph for a device its tensors cross the bus twice.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import warnings
from collections.abc import Iterable
from functools import cache

import mindspore as ms

from bert_thor.errors import UserError
from bert_thor.kernels.cases import operations

VARIABLE = "THOR_BACKEND"
BACKENDS = ("tbe", "akg", "mindspore", "cpu")
NEWEST_ASCEND_910 = (2, 0)  # the last line of MindSpore that builds TBE and AKG kernels


class BackendError(UserError, RuntimeError):
    """THOR_BACKEND asks for something that does not exist or cannot run here."""


def choose(operation: str, offered: Iterable[str]) -> str:
    """The backend of `operation`, which offers these, the best first.

    Raises:
        BackendError: THOR_BACKEND is not understood, or asks for a backend that cannot be used; the sentence says why.
    """
    offered = tuple(offered)
    request = requested(operation, offered)
    if request == "auto":
        return _first_usable(operation, offered)
    if request not in offered:
        raise BackendError(f"{VARIABLE} asks for {request}, but {operation} has only {' and '.join(offered)}")
    reason = obstacle(request)
    if reason:
        raise BackendError(f"{VARIABLE} asks for {request}, but {operation} cannot use it: {reason}")
    return request


def requested(operation: str, offered: tuple[str, ...]) -> str:
    """What THOR_BACKEND says about `operation`: a backend, or auto. Raises `BackendError` where it is not understood."""
    result = "auto"
    for part in filter(None, os.environ.get(VARIABLE, "").split(",")):
        name, _, backend = part.strip().rpartition("=")
        if backend == "aot":
            raise BackendError(f"{VARIABLE}={part} names a backend that is called cpu: use {part.strip()[:-3]}cpu")
        if backend not in (*BACKENDS, "auto"):
            raise BackendError(f"{VARIABLE}={part} names no backend: use {', '.join(BACKENDS)} or auto")
        if name not in ("", *operations()):
            raise BackendError(f"{VARIABLE}={part} names no operation: use {', '.join(operations())}")
        if name == operation or (not name and backend in (*offered, "auto")):
            result = backend
    return result


def obstacle(backend: str) -> str | None:
    """Why `backend` cannot run on the device of MindSpore's context, in words; None where it can."""
    if backend in ("mindspore", "cpu"):
        return None
    target = ms.get_context("device_target")
    if target != "Ascend":
        return f"it needs an Ascend 910, and the device target is {target}"
    if _line() > NEWEST_ASCEND_910:
        return f"MindSpore {ms.__version__} cannot build such kernels: 1.10 and 2.0.0 are the last that can"
    if backend == "tbe" and not any(map(importlib.util.find_spec, ("tbe", "te"))):
        return "CANN's Python package (tbe or te) is not installed: source CANN's set_env.sh"
    if backend == "akg" and shutil.which("ccec") is None:
        return "CANN's compiler ccec is not on PATH: source CANN's set_env.sh"
    return None


def _first_usable(operation: str, offered: tuple[str, ...]) -> str:
    if ms.get_context("device_target") != "Ascend":
        return "cpu"
    obstacles = {backend: obstacle(backend) for backend in offered}
    usable = next(backend for backend in offered if obstacles[backend] is None)
    if usable != offered[0]:
        _warn(f"{operation} uses {usable} instead of {offered[0]}: {obstacles[offered[0]]}")
    return usable


@cache
def _warn(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=5)


def _line() -> tuple[int, ...]:
    return tuple(int(part) for part in ms.__version__.split(".")[:2])
