"""Importing a kernel file as it is: stand-ins for CANN's ``te``, ``tbe``, ``topi`` and ``impl`` and for MindSpore's registration.

While a kernel file is imported or traced, ``import te`` and its kin find modules made here. ``sys.modules`` is put back
afterwards, so a real MindSpore in the same process is not disturbed.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Callable

import numpy as np

from ..errors import ArgumentError, UnavailableError, caller_location
from ..instructions import TABLE
from ..instructions.composite import COMPOSITES
from ..machine import DEFAULT_CHIP, Machine
from . import tik

ROOTS = ("te", "tbe", "topi", "impl", "mindspore")
SIBLINGS = ("mindspore.ops._op_impl._custom_op.", "impl.")

SHAPE_PRODUCT_VERSIONS = {"VERSION_MINI": "1.1", "VERSION_CLOUD": "1.60"}


class Absent:
    """Anything of CANN outside TIK. It may be passed around and used as a decorator; computing with it raises by name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Absent:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent(f"{self._name}.{name}")

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """A decorated function comes back as it is; anything else stays absent."""
        if len(arguments) == 1 and not keywords and callable(arguments[0]) and not isinstance(arguments[0], Absent):
            return arguments[0]
        return Absent(f"{self._name}()")

    def __enter__(self) -> Any:
        raise UnavailableError(f"{self._name} is TE, not TIK; only TIK kernels can be run", caller_location())

    def __exit__(self, *_: Any) -> None:
        """Never reached: entering raises."""

    def __iter__(self) -> Iterator[Any]:
        raise UnavailableError(f"{self._name} is TE, not TIK; only TIK kernels can be run", caller_location())


def _do_nothing(*_: Any, **__: Any) -> None:
    return None


def _facts() -> dict[str, Any]:
    machine = Machine(DEFAULT_CHIP)
    return {
        "SOC_VERSION": machine.chip,
        "SHORT_SOC_VERSION": "Ascend910",
        "FULL_SOC_VERSION": machine.chip,
        "AICORE_TYPE": "AiCore",
        "CORE_NUM": machine.cores,
        "UB_SIZE": machine.capacity("ubuf"),
        "L1_SIZE": machine.capacity("cbuf"),
        "L0A_SIZE": machine.capacity("ca"),
        "L0B_SIZE": machine.capacity("cb"),
        "L0C_SIZE": machine.capacity("cc"),
        "L2_SIZE": int(machine["l2.bytes"]),
    }


def get_soc_spec(key: str) -> Any:
    """The chip's description under CANN's names."""
    facts = _facts()
    if key not in facts:
        raise ArgumentError(f"get_soc_spec({key!r}) is not modelled; it knows {', '.join(facts)}", caller_location())
    return facts[key]


def get_bit_len(dtype: str) -> int:
    """Bits of one item."""
    return 8 * np.dtype("int8" if dtype == "bool" else dtype).itemsize


def api_check_support(name: str, dtype: str = "") -> bool:
    """Whether the chip has a TIK instruction, given as ``tik.vadd``, for a source type."""
    plain = name[len("tik.") :] if name.startswith("tik.") else name
    entry = TABLE.get(plain)
    if entry is None:
        return plain in COMPOSITES
    return not dtype or not entry.dtypes or dtype in entry.dtypes


def _passing_decorator(*_: Any, **__: Any) -> Callable[[Any], Any]:
    return lambda function: function


class _Registration:
    """``TBERegOp(name).input(...)...get_op_info()``: remembers the calls, checks nothing."""

    def __init__(self, name: str = "") -> None:
        self.info: dict[str, Any] = {"op_name": name, "calls": []}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        if name == "get_op_info":
            return lambda: self.info
        return lambda *arguments, **keywords: self.info["calls"].append((name, arguments, keywords)) or self


class _DataTypes:
    def __getattr__(self, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return name


_CHECKS = (
    "check_kernel_name",
    "check_shape_rule",
    "check_shape_size",
    "check_dtype_rule",
    "check_tensor_shape_size",
    "check_shape",
    "check_dtype",
    "check_format",
    "check_size",
)
_UTIL: dict[str, Any] = {
    "get_product_version": lambda: SHAPE_PRODUCT_VERSIONS["VERSION_CLOUD"],
    **SHAPE_PRODUCT_VERSIONS,
    **dict.fromkeys(_CHECKS, _do_nothing),
    "check_input_type": _passing_decorator,
    "check_op_params": _passing_decorator,
}
_PLATFORM: dict[str, Any] = {
    "get_soc_spec": get_soc_spec,
    "get_bit_len": get_bit_len,
    "api_check_support": api_check_support,
    "set_current_compile_soc_info": _do_nothing,
    "te_set_version": _do_nothing,
    **{name: name for name in _facts()},
}
_BLOCKS = {
    "BLOCK_IN": 16,
    "BLOCK_OUT": 16,
    "BLOCK_REDUCE": 16,
    "BLOCK_REDUCE_INT8": 32,
    "BLOCK_VECTOR": 1,
    "C0_SIZE": 16,
}
_REGISTRATION: dict[str, Any] = {
    "op_info_register": _passing_decorator,
    "TBERegOp": _Registration,
    "AkgAscendRegOp": _Registration,
    "CustomRegOp": _Registration,
    "DataType": _DataTypes(),
}

# last part of a module's name: what it offers
CONTENT: dict[str, dict[str, Any]] = {
    "util": _UTIL,
    "para_check": _UTIL,
    "op_utils": _UTIL,
    "utils": _UTIL,
    "check_para": _UTIL,
    "platform": _PLATFORM,
    "cce_intrin": _PLATFORM,
    "cce_conf": {**_PLATFORM, "getValue": get_soc_spec},
    "tbe_platform": _PLATFORM,
    "platform_info": _PLATFORM,
    "cce_params": _BLOCKS,
    "op_info_register": _REGISTRATION,
    "op_register": _REGISTRATION,
    "ops": _REGISTRATION,
}


class _Module(ModuleType):
    """A stand-in module; what it lacks is Absent."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        full = f"{self.__name__}.{name}"
        if name in CONTENT or name == "tik":
            return importlib.import_module(full)
        return sys.modules.get(full) or Absent(full)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds stand-ins for every module under ROOTS, and a kernel's neighbours for MindSpore's ``_custom_op`` package."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> Any:
        """The stand-in for a module, or None when it is not CANN's or MindSpore's."""
        if name.split(".")[0] not in ROOTS:
            return None
        for prefix in SIBLINGS:
            neighbour = os.path.join(self.directory, name[len(prefix) :] + ".py")
            if name.startswith(prefix) and os.path.isfile(neighbour):
                return importlib.util.spec_from_file_location(name, neighbour)
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: Any) -> ModuleType:
        """An empty stand-in, or ``tik`` itself."""
        module = _Module(spec.name)
        last = spec.name.rsplit(".", 1)[-1]
        source = (
            {k: v for k, v in vars(tik).items() if not k.startswith("_")} if last == "tik" else CONTENT.get(last, {})
        )
        module.__dict__.update(source)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: the content is put in when the module is created."""


@contextmanager
def stand_ins(directory: str) -> Iterator[None]:
    """Let ``import te`` and its kin find the stand-ins inside the block."""

    def ours() -> list[str]:
        return [name for name in sys.modules if name.split(".")[0] in ROOTS]

    saved = {name: sys.modules.pop(name) for name in ours()}
    finder = _Finder(directory)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in ours():
            del sys.modules[name]
        sys.modules.update(saved)


def load(path: str) -> ModuleType:
    """Import a kernel file written for CANN, without CANN and without MindSpore.

    Args:
        path: a Python file that imports ``te``, ``tbe`` or ``topi``.

    Returns:
        The module; its kernel functions are attributes.

    Raises:
        ArgumentError: the file does not exist.
    """
    path = os.path.abspath(path)
    if not os.path.isfile(path):
        raise ArgumentError(f"there is no kernel file {path}")
    directory, file = os.path.split(path)
    package = _package_of(directory)
    name = f"{package}.{file[:-3]}" if package else f"davinci_kernel_{file[:-3]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with stand_ins(directory):
        spec.loader.exec_module(module)
    return module


def _package_of(directory: str) -> str | None:
    """The imported package whose folder this is, so that relative imports in the kernel work."""
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] not in ROOTS and directory in map(
            os.path.abspath, getattr(module, "__path__", None) or ()
        ):
            return name
    return None
