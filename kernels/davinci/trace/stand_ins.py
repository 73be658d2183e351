"""What a kernel file finds under CANN's names beside TIK: facts of the chip, checks of arguments, registration.

CANN has moved its functions between modules from release to release (``te.platform``, ``topi.cce.util``,
``tbe.common.platform``, ``impl.util.platform_adapter``, ...), so a name means the same in whichever of them it is looked
up. Names that are not known here are ``Absent``.
"""

from __future__ import annotations

import re
from types import FunctionType
from typing import Any, Callable, ClassVar

import numpy as np

from ..errors import ArgumentError, UnavailableError, caller_location
from ..instructions import TABLE, allocation, convert, move
from ..instructions.composite import COMPOSITES
from ..machine import DEFAULT_CHIP, Machine
from . import tik

TENSOR_EXPRESSIONS = ("tvm", "lang", "dsl", "topi")


class AbsentBase:
    """What a class is derived from when its base is absent."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return known(name, type(self).__name__)


class Absent:
    """Anything of CANN outside TIK. It may be passed around, called, entered, derived from and used as a decorator.

    Iterating or computing with it raises, and so does entering what belongs to tensor expressions (TE), by name.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return known(name, self._name)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """A decorated function comes back as it is; anything else stays absent."""
        if len(arguments) == 1 and not keywords and callable(arguments[0]) and not isinstance(arguments[0], Absent):
            return arguments[0]
        return Absent(f"{self._name}()")

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return (AbsentBase,)

    def __enter__(self) -> Any:
        if any(part in self._name.replace("()", "").split(".") for part in TENSOR_EXPRESSIONS):
            raise self._unavailable()
        return self

    def __exit__(self, *_: Any) -> None:
        """Nothing was acquired."""

    def __iter__(self) -> Any:
        raise self._unavailable()

    def _unavailable(self) -> UnavailableError:
        return UnavailableError(f"{self._name} is TE, not TIK; only TIK kernels can be run", caller_location())


def known(name: str, owner: str) -> Any:
    """What a name of CANN stands for, looked up in the module or object ``owner``."""
    if name in KNOWN:
        return KNOWN[name]
    if name.startswith("check_"):
        return _check
    if name.startswith("raise_err"):
        return _refusal(name)
    return Absent(f"{owner}.{name}")


# Checks ---------------------------------------------------------------------------------------------------------------


def _check(*arguments: Any, **_: Any) -> Any:
    """A check that lets everything pass, called for its effect or used as a decorator with or without arguments."""
    if len(arguments) == 1 and isinstance(arguments[0], FunctionType):
        return arguments[0]
    return lambda function: function


def _refusal(name: str) -> Callable[..., Any]:
    """A kernel's own refusal of its arguments, as an error."""

    def refuse(*arguments: Any, **keywords: Any) -> Any:
        parts = [str(a) for a in arguments] + [f"{k} {v}" for k, v in keywords.items()]
        raise ArgumentError(f"the kernel refuses its arguments ({name}): {', '.join(parts)}", caller_location())

    return refuse


# Facts of the chip ----------------------------------------------------------------------------------------------------


def _facts() -> dict[str, Any]:
    machine = Machine(DEFAULT_CHIP)
    sizes = {
        "UB_SIZE": allocation.UB,
        "L1_SIZE": allocation.L1,
        "L0A_SIZE": allocation.L0A,
        "L0B_SIZE": allocation.L0B,
        "L0C_SIZE": allocation.L0C,
    }
    return {
        "SOC_VERSION": machine.chip,
        "SHORT_SOC_VERSION": "Ascend910",
        "FULL_SOC_VERSION": machine.chip,
        "AICORE_TYPE": "AiCore",
        "CORE_NUM": machine.cores,
        **{name: machine.capacity(scope) for name, scope in sizes.items()},
        "L2_SIZE": int(machine["l2.bytes"]),
        "L0A_LAYOUT_IS_zN": False,
        "ubblock_size": 32,
        "ubbank_size": 4096,
        "ubbank_num": 64,
        "ubburst_in_one_block": 32,
        "ubbank_group_num": 16,
        "cube_m_size": 16,
        "cube_n_size": 16,
        "cube_k_size": 16,
        "vec_calc_size": 128,
    }


def get_soc_spec(key: str) -> Any:
    """The chip's description under CANN's names."""
    facts = _facts()
    if key not in facts:
        raise ArgumentError(f"get_soc_spec({key!r}) is not modelled; it knows {', '.join(facts)}", caller_location())
    return facts[key]


class ProductParameters:
    """``CceProductParams``: the same facts under older names."""

    NAMES: ClassVar[dict[str, str]] = {
        "Unified_Buffer": "UB_SIZE",
        "L1_Buffer": "L1_SIZE",
        "L0A_Buffer": "L0A_SIZE",
        "L0B_Buffer": "L0B_SIZE",
        "L0C_Buffer": "L0C_SIZE",
    }

    def getParams(self, key: str) -> Any:  # noqa: N802 - CANN's name
        """A buffer's bytes or another fact of the chip."""
        return get_soc_spec(self.NAMES.get(key, key))


def get_bit_len(dtype: str) -> int:
    """Bits of one item: the digits in the type's name; a bool takes a byte."""
    digits = re.search(r"\d+", dtype)
    return int(digits.group()) if digits else 8 * np.dtype("int8" if dtype == "bool" else dtype).itemsize


ITEM = "bf16|f16|f32|s8|u8|s16|u16|s32|u32|s64|u64"
CONVERSION = re.compile(f"({ITEM})2({ITEM})([racfzo]?)")
ROUNDING_LETTERS = {"r": "round", "a": "away-zero", "c": "ceil", "f": "floor", "z": "to-zero", "o": "odd", "": "none"}
KINDS = {"f": "float", "s": "int", "u": "uint"}


def _converts(code: str) -> bool:
    """Whether ``vconv`` has a conversion such as ``f322s32r``."""
    match = CONVERSION.fullmatch(code)
    if match is None or "bf16" in match.group(1, 2):
        return False
    source, target = (KINDS[item[0]] + item[1:] for item in match.group(1, 2))
    return ROUNDING_LETTERS[match.group(3)] in convert.CONVERSIONS.get((source, target), ())


PLACES = {"out": allocation.GLOBAL, "ub": allocation.UB, "l1": allocation.L1, "l0c": allocation.L0C}
TENSOR_EXPRESSION_NAMES = {"vlog": "vln", "vcmpsel": "vsel", "cast_to": "vconv", "reduce_sum": "vcadd"}


def api_check_support(name: str, dtype: str = "") -> bool:
    """Whether the chip has a call, given as ``tik.vadd``, ``tbe.dsl.vadd`` or ``Intrinsic_vadd``, for a source type."""
    plain = name.rsplit(".", 1)[-1].replace("Intrinsic_", "", 1)
    plain = TENSOR_EXPRESSION_NAMES.get(plain, plain)
    if plain == "set_atomic_add":
        return dtype in ("", "float32")
    path = re.fullmatch(r"data_move_(out|ub|l1|l0c)2(out|ub|l1|l0c)", plain)
    if path:
        return (PLACES[path.group(1)], PLACES[path.group(2)]) in move.ROUTES
    entry = TABLE.get(plain)
    if entry is None:
        return plain in COMPOSITES or hasattr(tik.Tik, plain)
    if plain in ("vconv", "vec_conv") and dtype:
        return _converts(dtype)
    return not dtype or not entry.dtypes or dtype in entry.dtypes


# Shapes ---------------------------------------------------------------------------------------------------------------


def shape_to_list(shape: Any) -> list[int]:
    """The extents as a list."""
    return [int(extent) for extent in shape]


def shape_size(shape: Any, *_: Any, **__: Any) -> int:
    """The number of elements, which CANN's checks of a shape's size return."""
    return int(np.prod([int(extent) for extent in shape], dtype=np.int64))


def axis_check(dimensions: int, axis: Any) -> Any:
    """The axis, or the sorted axes, counted from the front."""
    if isinstance(axis, (list, tuple)):
        return sorted({int(a) % dimensions for a in axis})
    return int(axis) % dimensions


# Registration ---------------------------------------------------------------------------------------------------------


def _passing_decorator(*_: Any, **__: Any) -> Callable[[Any], Any]:
    return lambda function: function


class Registration:
    """``TBERegOp(name).input(...)...get_op_info()``: remembers the calls, checks nothing."""

    def __init__(self, name: str = "") -> None:
        self.info: dict[str, Any] = {"op_name": name, "calls": []}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        if name == "get_op_info":
            return lambda: self.info
        return lambda *arguments, **keywords: self.info["calls"].append((name, arguments, keywords)) or self


class DataTypes:
    """``DataType.F16_Default`` and its kin: each stands for its own name."""

    def __getattr__(self, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return name


def _do_nothing(*_: Any, **__: Any) -> None:
    return None


def _macs() -> dict[str, dict[str, list[int]]]:
    """Extents of one step of the cube, (m, k, n), per type of the factors."""
    return {
        t: {"mac": [16, 32 if t.endswith("int8") else 16, 16]} for t in ("float16", "float32", "int8", "uint8", "int32")
    }


CHIPS = {
    "ASCEND_310": "Ascend310",
    "ASCEND_310B": "Ascend310B",
    "ASCEND_310P": "Ascend310P",
    "ASCEND_610": "Ascend610",
    "ASCEND_610LITE": "Ascend610Lite",
    "ASCEND_910": "Ascend910",
    "ASCEND_910B": "Ascend910B",
    "ASCEND_910_93": "Ascend910_93",
    "ASCEND_615": "Ascend615",
    "AS31XM1": "AS31XM1",
    "BS9SX1A": "BS9SX1A",
    "BS9SX2A": "BS9SX2A",
    "HI3796CV300CS": "Hi3796CV300CS",
    "HI3796CV300ES": "Hi3796CV300ES",
    "SD3403": "SD3403",
}

KNOWN: dict[str, Any] = {
    "tik": tik,
    **{name: getattr(tik, name) for name in ("Expr", "Scalar", "ScalarArray", "Tensor")},
    **{name: getattr(tik, name) for name in dir(tik) if name.startswith("scope_")},
    "scope_reg": allocation.REGISTER,
    "get_soc_spec": get_soc_spec,
    "getValue": get_soc_spec,
    "CceProductParams": ProductParameters,
    **{name: name for name in _facts() if name.isupper()},
    **CHIPS,
    "get_bit_len": get_bit_len,
    "api_check_support": api_check_support,
    "intrinsic_check_support": api_check_support,
    "get_block_size": lambda: 32,
    "set_current_compile_soc_info": _do_nothing,
    "te_set_version": _do_nothing,
    "get_op_mode": lambda: "static",
    "VECTOR_INST_BLOCK_WIDTH": 256,
    "VECTOR_INST_BLOCK_NUM": 8,
    "VECTOR_INST_MAX_REPEAT_TIMES": 255,
    "ELEMENTS_VECTOR_OP_FP16": 128,
    "BLOCK_IN": 16,
    "BLOCK_OUT": 16,
    "BLOCK_REDUCE": 16,
    "BLOCK_REDUCE_INT8": 32,
    "BLOCK_VECTOR": 1,
    "C0_SIZE": 16,
    "CUBE_MKN": _macs(),
    "SHAPE_SIZE_LIMIT": 2**31 - 1,
    "DEFAULT_MIN_SHAPE_DIM": 1,
    "DEFAULT_MAX_SHAPE_DIM": 8,
    "DEFAULT_MAX_SHAPE_NUM": 200_000_000,
    "MAX_REDUCE_SHAPE_NUM": 200_000_000,
    "MAX_KERNEL_NAEM_LEN": 200,
    "VERSION_MINI": "1.1",
    "VERSION_CLOUD": "1.60",
    "get_product_version": lambda: "1.60",
    "check_tensor_shape_size": shape_size,
    "check_shape_size": shape_size,
    "shape_to_list": shape_to_list,
    "axis_check": axis_check,
    "compare_tensor_dict_key": _do_nothing,
    "op_info_register": _passing_decorator,
    "TBERegOp": Registration,
    "AkgAscendRegOp": Registration,
    "CustomRegOp": Registration,
    "DataType": DataTypes(),
}
