"""The stand-in for ``te.tik``: declarations and control flow. Instructions come from the table in ``instructions``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Callable

import numpy as np

from ..errors import (
    ArgumentError,
    DataTypeError,
    LimitError,
    ScopeError,
    StructureError,
    UnavailableError,
    caller_location,
)
from ..instructions import TABLE, Instruction, bind, tensors
from ..instructions.allocation import GLOBAL, L0A, L0B, L0C, L1, REGISTER, UB, Allocation
from ..instructions.composite import COMPOSITES, NOT_ON_ASCEND_910
from ..instructions.expressions import FLOAT_TYPES, Expression, Variable, binary, call, conjunction, disjunction
from ..instructions.program import Assign, Declare, DeclareScalar, KernelProgram
from ..instructions.proposals import DEFAULT_OFFSET
from ..instructions.tensors import require_data_type, require_open
from ..machine import DEFAULT_CHIP, Machine
from .control import ControlFlow
from .scopes import ALL_SCOPES

scope_gm, scope_ubuf, scope_cbuf, scope_ca, scope_cb, scope_cc, scope_cbuf_out = GLOBAL, UB, L1, L0A, L0B, L0C, L0C
Tensor, Scalar, ScalarArray, Expr = tensors.Tensor, tensors.Scalar, tensors.ScalarArray, Expression
all = conjunction
any = disjunction


def negate(condition: Any) -> Expression:
    """True where the condition is not."""
    return binary("==", condition, 0)


MAX_INPUTS_AND_OUTPUTS = 192
COMPARE_MASK_BYTES = 16
LARGEST_GLOBAL = 2**31 - 1
ATOMIC_MODES: dict[Any, bool] = {0: False, 1: True, "float32": True}

_built: list[list[KernelProgram]] = []


class Dprofile:
    """``tik.Dprofile(architecture, product)``; only ("v100", "cloud"), which is Ascend 910, is modelled."""

    def __init__(self, arch: str | None = None, product: str | None = None) -> None:
        if (arch or "v100", product or "cloud") != ("v100", "cloud"):
            raise UnavailableError(
                f"profile ({arch}, {product}) is not Ascend 910; use ('v100', 'cloud')", caller_location()
            )

    def get_aicore_num(self) -> int:
        """Number of cores."""
        return Machine(DEFAULT_CHIP).cores

    def get_unified_buffer_size(self) -> int:
        """Bytes of UB."""
        return Machine(DEFAULT_CHIP).capacity(UB)

    def get_product_name(self) -> str:
        """The product line."""
        return "cloud"

    def get_l1_buffer_size(self) -> int:
        """Bytes of L1."""
        return Machine(DEFAULT_CHIP).capacity(L1)

    def get_l0a_buffer_size(self) -> int:
        """Bytes of L0A."""
        return Machine(DEFAULT_CHIP).capacity(L0A)

    def get_l0b_buffer_size(self) -> int:
        """Bytes of L0B."""
        return Machine(DEFAULT_CHIP).capacity(L0B)

    def get_l0c_buffer_size(self) -> int:
        """Bytes of L0C."""
        return Machine(DEFAULT_CHIP).capacity(L0C)


class Tik(ControlFlow):
    """One kernel under construction.

    Every method has TIK's name and parameters. Calls of instructions are looked up in the instruction table; a name that
    is in neither place raises UnavailableError.
    """

    def __init__(
        self, profile: Dprofile | None = None, disable_debug: bool = True, err_msg_level: int = 0, *_: Any, **__: Any
    ) -> None:
        super().__init__()
        self.d_profiling = profile if isinstance(profile, Dprofile) else Dprofile()
        self._atomic = False
        self._arguments: list[Variable] = []
        self._globals: list[Allocation] = []
        self.compare_mask = self._register("CMPMASK", "uint8", COMPARE_MASK_BYTES)
        self.suppressed = self._register("RPN_COR_IR", "uint16", 1, 0)
        self.box_offset = self._register("RPN_OFFSET", "float16", 1, DEFAULT_OFFSET)

    def _register(self, name: str, dtype: str, length: int, value: Any = None) -> tensors.Tensor:
        """A special register of the vector unit, which keeps its content over scopes."""
        initial = None if value is None else [value] * length
        memory = Allocation(name, dtype, (length,), REGISTER, caller_location(), initial=initial)
        self._scopes[0].block.nodes.append(Declare(memory))
        return tensors.Tensor(self, memory, dtype, (length,))

    # Declarations ---------------------------------------------------------------------------------------------------

    def Tensor(  # noqa: N802 - TIK's name
        self,
        dtype: str,
        shape: Sequence[int],
        scope: str | None = None,
        name: str | None = None,
        *,
        enable_buffer_reuse: bool = False,
        no_reuse_list: Any = None,
        reuse_list: Any = None,
        is_workspace: bool = False,
        is_atomic_add: bool = False,
        max_mem_size: Any = None,
        init_value: Any = None,
        is_global_tensor: bool = False,
        start_addr: Any = None,
    ) -> tensors.Tensor:
        """Declare a tensor. ``scope`` and ``name`` may come in either order when positional.

        One with ``is_global_tensor`` is memory of the runtime, such as the status of float operations; it starts as 0.
        """
        if name in ALL_SCOPES and scope not in ALL_SCOPES:
            scope, name = name, scope
        if scope not in ALL_SCOPES:
            raise ScopeError(
                f"scope {scope!r} is not a buffer of Ascend 910; use one of {', '.join(ALL_SCOPES)}", caller_location()
            )
        dtype = require_data_type(dtype)
        extents = _shape(shape)
        memory = self._room(dtype, scope, max_mem_size) if tensors.has_scalars(extents) else extents
        allocation = Allocation(
            name or "tensor",
            dtype,
            memory,
            scope,
            caller_location(),
            self._scopes[-1].copies if scope != GLOBAL else 1,
            is_workspace=is_workspace or is_global_tensor,
            is_atomic_add=is_atomic_add or is_global_tensor,
            initial=_initial(init_value),
        )
        if (is_workspace or is_atomic_add) and scope != GLOBAL:
            raise ScopeError(f"{name} is a workspace or atomic tensor; these live in scope_gm", caller_location())
        self._declare(allocation)
        return tensors.Tensor(self, allocation, dtype, extents)

    def _room(self, dtype: str, scope: str, max_mem_size: Any) -> tuple[int]:
        """Elements of a tensor whose shape holds scalars: ``max_mem_size`` bytes of them, or what is left of its buffer."""
        if scope == GLOBAL:
            return (LARGEST_GLOBAL,)
        room = self._buffers.free(scope) // self._scopes[-1].copies if max_mem_size is None else int(max_mem_size)
        return (max(1, room // np.dtype(dtype).itemsize),)

    def _declare(self, allocation: Allocation) -> None:
        if allocation.scope == GLOBAL:
            self._globals.append(allocation)
            return
        self._buffers.place(allocation)
        self._scopes[-1].declared.append(allocation)
        self._append(Declare(allocation))

    def Scalar(self, dtype: str = "int64", name: str = "reg_buf", init_value: Any = None) -> tensors.Scalar:  # noqa: N802
        """Declare a register, optionally with a value."""
        scalar = tensors.Scalar(self, require_data_type(dtype), name)
        self._scopes[-1].declared.append(scalar)
        self._append(DeclareScalar(scalar))
        if init_value is not None:
            self.assign(scalar, init_value)
        return scalar

    def global_scalar(self, dtype: str = "int64", name: str = "reg_buf", init_value: Any = None) -> tensors.Scalar:
        """A register that outlives the scope."""
        scalar = tensors.Scalar(self, require_data_type(dtype), name)
        self._scopes[0].block.nodes.insert(0, DeclareScalar(scalar))
        if init_value is not None:
            self.assign(scalar, init_value)
        return scalar

    def ScalarArray(  # noqa: N802
        self, dtype: str = "int64", length: int = 1, name: str = "reg_buf", init_value: Any = None
    ) -> tensors.ScalarArray:
        """Declare ``length`` registers."""
        return tensors.ScalarArray(self, require_data_type(dtype), length, name, init_value)

    def InputScalar(self, dtype: str = "int64", name: str = "input_scalar") -> Variable:  # noqa: N802
        """A number passed when the kernel runs, after the input tensors."""
        scalar = Variable(name, require_data_type(dtype))
        self._arguments.append(scalar)
        return scalar

    def set_atomic_add(self, mode: int | str) -> None:
        """1 or "float32": moves from UB to global memory add float32; 0: they store again."""
        if mode not in ATOMIC_MODES:
            raise LimitError(f"atomic mode is {mode!r}; Ascend 910 has 0 and 1 (float32)", caller_location())
        self._atomic = ATOMIC_MODES[mode]

    def pipe_barrier(self, pipe: Any) -> None:
        """Wait until a pipe is empty. Nothing is to be done: the timeline waits for what an instruction needs."""

    def set_flag(self, from_pipe: Any, to_pipe: Any, event: Any) -> None:
        """Tell another pipe. Nothing is to be done: the timeline waits for what an instruction needs."""

    def wait_flag(self, from_pipe: Any, to_pipe: Any, event: Any) -> None:
        """Wait for another pipe's flag. Nothing is to be done: the timeline waits for what an instruction needs."""

    # Scalars --------------------------------------------------------------------------------------------------------

    def assign(self, scalar: tensors.Scalar, value: Any) -> None:
        """``scalar.set_as(value)``."""
        require_open(scalar, f"scalar {scalar.name}")
        if isinstance(value, tensors.Tensor):
            require_open(value.allocation, value.name)
            if value.scope != UB:
                raise ScopeError(f"a scalar reads from UB; {value.name} is in {value.scope}", caller_location())
        self._append(_assignment(scalar, value))

    def store_element(self, element: tensors.Tensor, value: Any) -> None:
        """``tensor[i] = value`` or ``tensor[i].set_as(value)``."""
        if element.scope != UB:
            raise ScopeError(
                f"single elements are written in UB; {element.name} is in {element.scope}", caller_location()
            )
        if isinstance(value, tensors.Tensor):
            register = self.Scalar(element.dtype, "element")
            register.set_as(value)
            value = register
        self.emit("set_element", (element, value), {})

    def scalar_sqrt(self, dst: tensors.Scalar, src: Any) -> None:
        """dst = sqrt(src)."""
        self.assign(dst, call("sqrt", src))

    def scalar_abs(self, dst: tensors.Scalar, src: Any) -> None:
        """dst = |src|."""
        self.assign(dst, call("abs", src))

    def scalar_max(self, dst: tensors.Scalar, src0: Any, src1: Any) -> None:
        """dst = max(src0, src1)."""
        self.assign(dst, call("max", src0, src1))

    def scalar_min(self, dst: tensors.Scalar, src0: Any, src1: Any) -> None:
        """dst = min(src0, src1)."""
        self.assign(dst, call("min", src0, src1))

    def scalar_countbit0(self, dst: tensors.Scalar, src: Any) -> None:
        """dst = number of zero bits of a 64-bit src."""
        self.assign(dst, call("countbit0", src, dtype="uint64"))

    def scalar_countbit1(self, dst: tensors.Scalar, src: Any) -> None:
        """dst = number of one bits of a 64-bit src."""
        self.assign(dst, call("countbit1", src, dtype="uint64"))

    def scalar_countleading0(self, dst: tensors.Scalar, src: Any) -> None:
        """dst = number of leading zero bits of a 64-bit src."""
        self.assign(dst, call("countleading0", src, dtype="uint64"))

    def scalar_conv(self, round_mode: str, dst: tensors.Scalar, src: Any) -> None:
        """Dst = src in dst's type, rounded as named."""
        self.assign(dst, COMPOSITES["scalar_conv"](self, round_mode, dst, src))

    # Instructions ---------------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in COMPOSITES:
            return lambda *arguments, **keywords: COMPOSITES[name](self, *arguments, **keywords)
        if name in TABLE:
            return lambda *arguments, **keywords: self.emit(name, arguments, keywords)
        if name in NOT_ON_ASCEND_910:
            raise UnavailableError(f"{name} does not exist on Ascend 910", caller_location())
        raise UnavailableError(f"{name} is not an instruction that this interpreter knows", caller_location())

    def emit(self, name: str, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        """Append the instruction of that name."""
        where = caller_location()
        entry = TABLE[name]
        bound = bind(entry, arguments, keywords, where)
        self._append(Instruction(entry, bound, where, self._atomic))

    def BuildCCE(  # noqa: N802
        self,
        kernel_name: str,
        inputs: Any,
        outputs: Any,
        output_files_path: Any = None,
        enable_l2: bool = False,
        config: Any = None,
        flowtable: Any = None,
        evaluates: Any = None,
        extend_params: Any = None,
    ) -> Tik:
        """End the kernel: name its inputs and outputs, each a tensor or a list of them, all in global memory.

        ``flowtable``: tensors with the numbers that a kernel for any shape is told, which are inputs too.
        """
        where = caller_location()
        inputs, outputs, tiling = _listed(inputs), _listed(outputs), _listed(flowtable)
        given = [t for t in (*inputs, *tiling, *outputs) if isinstance(t, tensors.Tensor)]
        for tensor in given:
            if tensor.scope != GLOBAL:
                raise ScopeError(f"{tensor.name} is in {tensor.scope}; inputs and outputs are in scope_gm", where)
        known = {id(t) for t in inputs}
        names = [t.name for t in (*inputs, *tiling)] + [t.name for t in outputs if id(t) not in known]
        if len(set(names)) != len(names):
            raise StructureError(f"the names of inputs and outputs must differ: {', '.join(names)}", where)
        if len(names) > MAX_INPUTS_AND_OUTPUTS:
            raise LimitError(f"{len(names)} inputs and outputs; BuildCCE takes {MAX_INPUTS_AND_OUTPUTS}", where)
        if len(self._scopes) != 1:
            raise StructureError("BuildCCE is called inside a with block", where)
        arguments = {t.allocation for t in given}
        workspaces = [a for a in self._globals if a.is_workspace and a not in arguments]
        program = KernelProgram(
            kernel_name,
            self._scopes[0].block,
            [t.allocation for t in inputs if isinstance(t, tensors.Tensor)],
            [t.allocation for t in outputs],
            workspaces,
            self._block_num,
            dict(self._buffers.peak),
            list(self._arguments),
            [t.allocation for t in tiling if isinstance(t, tensors.Tensor)],
        )
        if _built:
            _built[-1].append(program)
        return self


def _assignment(scalar: tensors.Scalar, value: Any) -> Assign:
    """The node for ``scalar.set_as(value)``, its types checked."""
    if isinstance(value, tensors.Tensor) and value.dtype != scalar.dtype:
        value = _loaded_as(scalar, value)
    if not isinstance(value, (tensors.Tensor, Expression, int, float, np.integer, np.floating)):
        raise ArgumentError(f"cannot assign {type(value).__name__} to scalar {scalar.name}", caller_location())
    return Assign(scalar, value, caller_location())


def _loaded_as(scalar: tensors.Scalar, element: tensors.Tensor) -> tensors.Tensor:
    """An element of another type than the register's: its bits where the sizes agree, its number where both are integers."""
    if np.dtype(element.dtype).itemsize == np.dtype(scalar.dtype).itemsize:
        return element.reinterpreted(scalar.dtype)
    if {element.dtype, scalar.dtype} & set(FLOAT_TYPES):
        raise DataTypeError(
            f"scalar {scalar.name} is {scalar.dtype} and {element.name} is {element.dtype}; they must have the same size, or "
            "both be integers",
            caller_location(),
        )
    return element


def _listed(given: Any) -> list[Any]:
    return list(given) if isinstance(given, (list, tuple)) else [] if given is None else [given]


def _shape(shape: Any) -> tuple[Any, ...]:
    extents = shape if isinstance(shape, (list, tuple)) else (shape,)
    for extent in extents:
        if isinstance(extent, Expression):
            continue
        whole = isinstance(extent, (int, np.integer)) or (isinstance(extent, float) and extent.is_integer())
        if not whole or extent < 1:
            raise ArgumentError(f"shape {tuple(extents)} must hold positive integers", caller_location())
    return tuple(e if isinstance(e, Expression) else int(e) for e in extents)


def _initial(value: Any) -> list[Any] | None:
    return None if value is None else list(np.ravel(value))


@contextmanager
def collecting() -> Iterator[list[KernelProgram]]:
    """Collect the programs that BuildCCE finishes inside the block."""
    _built.append([])
    try:
        yield _built[-1]
    finally:
        _built.pop()
