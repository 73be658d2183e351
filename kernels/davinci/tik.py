"""The stand-in for ``te.tik``: declarations and control flow. Instructions come from the table in ``instructions``."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from .errors import ArgumentError, LimitError, ScopeError, StructureError, UnavailableError, caller_location
from .expressions import FLOAT_TYPES, Expression, Variable, call, conjunction, disjunction
from .instructions import TABLE, Instruction, bind
from .instructions.composite import COMPOSITES, NOT_ON_ASCEND_910
from .machine import DEFAULT_CHIP, Machine
from .program import (
    GLOBAL, L0A, L0B, L0C, L1, REGISTER, UB, Allocation, Barrier, Block, Branch, Declare, DeclareScalar, Jump, KernelProgram, Loop,
)
from .scopes import ALL_SCOPES, Buffers, Scope
from .tensors import Scalar, ScalarArray, Tensor, make_assignment, require_data_type, require_open

scope_gm, scope_ubuf, scope_cbuf, scope_ca, scope_cb, scope_cc, scope_cbuf_out = GLOBAL, UB, L1, L0A, L0B, L0C, L0C
all = conjunction
any = disjunction

MAX_THREADS, MAX_BLOCKS, MAX_INPUTS_AND_OUTPUTS = 4, 65535, 192
COMPARE_MASK_BYTES = 16

_built: List[List[KernelProgram]] = []


class Dprofile:
    """``tik.Dprofile(architecture, product)``; only ("v100", "cloud"), which is Ascend 910, is modelled."""

    def __init__(self, arch: Optional[str] = None, product: Optional[str] = None) -> None:
        if (arch or "v100", product or "cloud") != ("v100", "cloud"):
            raise UnavailableError(f"profile ({arch}, {product}) is not Ascend 910; use ('v100', 'cloud')", caller_location())


class Tik:
    """One kernel under construction.

    Every method has TIK's name and parameters. Calls of instructions are looked up in the instruction table; a name that
    is in neither place raises UnavailableError.
    """

    def __init__(self, profile: Optional[Dprofile] = None, disable_debug: bool = True, err_msg_level: int = 0, *_: Any, **__: Any) -> None:
        self.machine = Machine(DEFAULT_CHIP)
        self._buffers = Buffers(self.machine)
        self._scopes: List[Scope] = [Scope(Block())]
        self._block_num = 1
        self._in_core_loop = False
        self._atomic = False
        self._arguments: List[Variable] = []
        self._globals: List[Allocation] = []
        mask = Allocation("CMPMASK", "uint8", (COMPARE_MASK_BYTES,), REGISTER, caller_location())
        self._scopes[0].block.nodes.append(Declare(mask))
        self.compare_mask = Tensor(self, mask, "uint8", (COMPARE_MASK_BYTES,))

    # Declarations ---------------------------------------------------------------------------------------------------

    def Tensor(  # noqa: N802 - TIK's name
        self, dtype: str, shape: Sequence[int], scope: Optional[str] = None, name: Optional[str] = None, *,
        enable_buffer_reuse: bool = False, no_reuse_list: Any = None, reuse_list: Any = None, is_workspace: bool = False,
        is_atomic_add: bool = False, max_mem_size: Any = None, init_value: Any = None, is_global_tensor: bool = False,
        start_addr: Any = None,
    ) -> Tensor:
        """Declare a tensor. ``scope`` and ``name`` may come in either order when positional."""
        if name in ALL_SCOPES and scope not in ALL_SCOPES:
            scope, name = name, scope
        if scope not in ALL_SCOPES:
            raise ScopeError(f"scope {scope!r} is not a buffer of Ascend 910; use one of {', '.join(ALL_SCOPES)}", caller_location())
        dtype = require_data_type(dtype)
        allocation = Allocation(
            name or "tensor", dtype, _shape(shape), scope, caller_location(), self._scopes[-1].copies if scope != GLOBAL else 1,
            is_workspace=is_workspace, is_atomic_add=is_atomic_add, initial=_initial(init_value),
        )
        if (is_workspace or is_atomic_add) and scope != GLOBAL:
            raise ScopeError(f"{name} is a workspace or atomic tensor; these live in scope_gm", caller_location())
        self._declare(allocation)
        return Tensor(self, allocation, dtype, allocation.shape)

    def _declare(self, allocation: Allocation) -> None:
        if allocation.scope == GLOBAL:
            self._globals.append(allocation)
            return
        self._buffers.place(allocation)
        self._scopes[-1].declared.append(allocation)
        self._append(Declare(allocation))

    def Scalar(self, dtype: str = "int64", name: str = "reg_buf", init_value: Any = None) -> Scalar:  # noqa: N802
        """Declare a register, optionally with a value."""
        scalar = Scalar(self, require_data_type(dtype), name)
        self._scopes[-1].declared.append(scalar)
        self._append(DeclareScalar(scalar))
        if init_value is not None:
            self.assign(scalar, init_value)
        return scalar

    def ScalarArray(  # noqa: N802
        self, dtype: str = "int64", length: int = 1, name: str = "reg_buf", init_value: Any = None
    ) -> ScalarArray:
        """Declare ``length`` registers."""
        return ScalarArray(self, require_data_type(dtype), length, name, init_value)

    def InputScalar(self, dtype: str = "int64", name: str = "input_scalar") -> Variable:  # noqa: N802
        """A number passed when the kernel runs, after the input tensors."""
        scalar = Variable(name, require_data_type(dtype))
        self._arguments.append(scalar)
        return scalar

    # Control flow ---------------------------------------------------------------------------------------------------

    @contextmanager
    def for_range(
        self, begint: Any, endt: Any, name: str = "i", thread_num: int = 1, thread_type: str = "whole", block_num: Any = 1,
        dtype: str = "int32", for_type: str = "serial", *_: Any, **__: Any,
    ) -> Iterator[Variable]:
        """A loop over begint <= i < endt; ``block_num`` > 1 makes its iterations cores, ``thread_num`` > 1 double-buffers."""
        is_core_loop = not (isinstance(block_num, int) and block_num == 1)
        self._check_loop(begint, endt, thread_num, block_num, is_core_loop, for_type)
        loop = Loop(Variable(name, dtype), begint, endt, max(thread_num, 1), block_num if is_core_loop else 1, caller_location())
        self._append(loop)
        if is_core_loop:
            self._block_num = block_num
        with self._scope(loop.body, max(thread_num, 1), is_core_loop):
            yield loop.variable

    def _check_loop(self, begint: Any, endt: Any, thread_num: int, block_num: Any, is_core_loop: bool, for_type: str) -> None:
        where = caller_location()
        if for_type != "serial":
            raise ValueError(f"{where}: for_type is {for_type!r}; TIK has 'serial' only")
        if not isinstance(thread_num, int) or not 0 <= thread_num <= MAX_THREADS:
            raise LimitError(f"thread_num is {thread_num}; it is 0 to {MAX_THREADS}", where)
        for bound in (begint, endt):
            if not isinstance(bound, (int, np.integer, Expression)) or (isinstance(bound, Expression) and bound.dtype in FLOAT_TYPES):
                raise ArgumentError(f"for_range: a bound is an integer or an integer scalar, not {bound!r}", where)
        if isinstance(begint, int) and isinstance(endt, int) and endt < begint:
            raise LimitError(f"for_range runs from {begint} to {endt}; the end must not be before the begin", where)
        if is_core_loop:
            self._check_core_loop(begint, endt, thread_num, block_num)

    def _check_core_loop(self, begint: Any, endt: Any, thread_num: int, block_num: Any) -> None:
        where = caller_location()
        if isinstance(block_num, Expression):
            raise UnavailableError("block_num is a scalar; only Python integers are modelled", where)
        if self._in_core_loop:
            raise StructureError("loops over cores (block_num > 1) cannot be nested", where)
        if self._block_num != 1:
            raise StructureError("a kernel has one loop over cores (block_num > 1); this is the second", where)
        if not 1 <= block_num <= MAX_BLOCKS:
            raise LimitError(f"block_num is {block_num}; it is 1 to {MAX_BLOCKS}", where)
        if (begint, endt) != (0, block_num):
            raise StructureError(f"a loop over cores runs from 0 to block_num {block_num}, not from {begint} to {endt}", where)
        if thread_num > 1:
            raise StructureError(f"a loop over cores cannot also have thread_num {thread_num}", where)

    @contextmanager
    def if_scope(self, cond: Any) -> Iterator[None]:
        """Run the block where ``cond`` holds."""
        branch = Branch([(cond, Block())], caller_location())
        self._append(branch)
        with self._scope(branch.arms[0][1]):
            yield

    @contextmanager
    def elif_scope(self, cond: Any) -> Iterator[None]:
        """Another condition, tried where those before failed."""
        with self._scope(self._next_arm(cond, "elif_scope")):
            yield

    @contextmanager
    def else_scope(self) -> Iterator[None]:
        """Run the block where no condition before held."""
        with self._scope(self._next_arm(None, "else_scope")):
            yield

    def _next_arm(self, condition: Any, what: str) -> Block:
        nodes = self._scopes[-1].block.nodes
        if not nodes or not isinstance(nodes[-1], Branch) or nodes[-1].arms[-1][0] is None:
            raise StructureError(f"{what} must follow an if_scope or elif_scope directly", caller_location())
        block = Block()
        nodes[-1].arms.append((condition, block))
        return block

    @contextmanager
    def new_stmt_scope(self, disable_sync: bool = False) -> Iterator[None]:
        """A scope whose tensors end with it."""
        block = Block()
        with self._scope(block, disable_sync=disable_sync):
            yield
        self._scopes[-1].block.nodes.extend(block.nodes)

    @contextmanager
    def _scope(self, block: Block, threads: int = 1, is_core_loop: bool = False, disable_sync: bool = False) -> Iterator[None]:
        outer = self._scopes[-1]
        scope = Scope(block, outer.copies * threads, is_core_loop, disable_sync or outer.disable_sync)
        self._scopes.append(scope)
        self._in_core_loop |= is_core_loop
        try:
            yield
        finally:
            self._scopes.pop()
            self._buffers.release(scope)
            self._in_core_loop &= not is_core_loop

    def tik_break(self) -> None:
        """Leave the innermost loop."""
        self._jump("break")

    def tik_continue(self) -> None:
        """Go to the next iteration of the innermost loop."""
        self._jump("continue")

    def tik_return(self) -> None:
        """End the kernel on this core."""
        self._append(Jump("return", caller_location()))

    def _jump(self, kind: str) -> None:
        self._append(Jump(kind, caller_location()))

    def block_barrier(self, sync_workspace: Tensor) -> None:
        """Wait for all cores. The workspace is int64, zeroed (is_atomic_add), block_num * 4 elements."""
        where = caller_location()
        if not self._in_core_loop:
            raise StructureError("block_barrier belongs inside the loop over cores", where)
        if not 2 <= self._block_num <= self.machine.cores:
            raise LimitError(f"block_barrier needs 2 to {self.machine.cores} cores at once; block_num is {self._block_num}", where)
        memory = sync_workspace.allocation
        if not (memory.is_workspace and memory.is_atomic_add and memory.dtype == "int64" and memory.size == 4 * self._block_num):
            raise ArgumentError(
                f"block_barrier needs an int64 workspace with is_workspace and is_atomic_add of {4 * self._block_num} elements", where
            )
        self._append(Barrier(where))

    def set_atomic_add(self, mode: int) -> None:
        """1: moves from UB to global memory add float32; 0: they store again."""
        if mode not in (0, 1):
            raise LimitError(f"atomic mode is {mode}; Ascend 910 has 0 and 1 (float32)", caller_location())
        self._atomic = bool(mode)

    # Scalars --------------------------------------------------------------------------------------------------------

    def assign(self, scalar: Scalar, value: Any) -> None:
        """``scalar.set_as(value)``."""
        require_open(scalar, f"scalar {scalar.name}")
        if isinstance(value, Tensor):
            require_open(value.allocation, value.name)
            if value.scope != UB:
                raise ScopeError(f"a scalar reads from UB; {value.name} is in {value.scope}", caller_location())
        self._append(make_assignment(scalar, value))

    def store_element(self, element: Tensor, value: Any) -> None:
        """``tensor[i] = value`` or ``tensor[i].set_as(value)``."""
        if element.scope != UB:
            raise ScopeError(f"single elements are written in UB; {element.name} is in {element.scope}", caller_location())
        if isinstance(value, Tensor):
            register = self.Scalar(element.dtype, "element")
            register.set_as(value)
            value = register
        self._emit("set_element", (element, value), {})

    def scalar_sqrt(self, dst: Scalar, src: Any) -> None:
        """dst = sqrt(src)."""
        self.assign(dst, call("sqrt", src))

    def scalar_abs(self, dst: Scalar, src: Any) -> None:
        """dst = |src|."""
        self.assign(dst, call("abs", src))

    def scalar_max(self, dst: Scalar, src0: Any, src1: Any) -> None:
        """dst = max(src0, src1)."""
        self.assign(dst, call("max", src0, src1))

    def scalar_min(self, dst: Scalar, src0: Any, src1: Any) -> None:
        """dst = min(src0, src1)."""
        self.assign(dst, call("min", src0, src1))

    def scalar_countbit0(self, dst: Scalar, src: Any) -> None:
        """dst = number of zero bits of a 64-bit src."""
        self.assign(dst, call("countbit0", src, dtype="uint64"))

    def scalar_countbit1(self, dst: Scalar, src: Any) -> None:
        """dst = number of one bits of a 64-bit src."""
        self.assign(dst, call("countbit1", src, dtype="uint64"))

    def scalar_countleading0(self, dst: Scalar, src: Any) -> None:
        """dst = number of leading zero bits of a 64-bit src."""
        self.assign(dst, call("countleading0", src, dtype="uint64"))

    def scalar_conv(self, round_mode: str, dst: Scalar, src: Any) -> None:
        """Dst = src in dst's type, rounded as named."""
        self.assign(dst, COMPOSITES["scalar_conv"](self, round_mode, dst, src))

    # Instructions ---------------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in COMPOSITES:
            return lambda *arguments, **keywords: COMPOSITES[name](self, *arguments, **keywords)
        if name in TABLE:
            return lambda *arguments, **keywords: self._emit(name, arguments, keywords)
        if name in NOT_ON_ASCEND_910:
            raise UnavailableError(f"{name} does not exist on Ascend 910", caller_location())
        raise UnavailableError(f"{name} is not an instruction that this interpreter knows", caller_location())

    def _emit(self, name: str, arguments: Tuple[Any, ...], keywords: Dict[str, Any]) -> None:
        where = caller_location()
        entry = TABLE[name]
        bound = bind(entry, arguments, keywords, where)
        self._append(Instruction(entry, bound, where, self._atomic))

    def _append(self, node: Any) -> None:
        self._scopes[-1].block.nodes.append(node)

    def BuildCCE(  # noqa: N802
        self, kernel_name: str, inputs: Sequence[Any], outputs: Sequence[Tensor], output_files_path: Any = None,
        enable_l2: bool = False, config: Any = None, flowtable: Any = None, evaluates: Any = None, extend_params: Any = None,
    ) -> "Tik":
        """End the kernel: name its inputs and outputs, all in global memory."""
        where = caller_location()
        tensors = [t for t in (*inputs, *outputs) if isinstance(t, Tensor)]
        for tensor in tensors:
            if tensor.scope != GLOBAL:
                raise ScopeError(f"{tensor.name} is in {tensor.scope}; inputs and outputs are in scope_gm", where)
        names = [t.name for t in inputs] + [t.name for t in outputs if t not in inputs]
        if len(set(names)) != len(names):
            raise StructureError(f"the names of inputs and outputs must differ: {', '.join(names)}", where)
        if len(names) > MAX_INPUTS_AND_OUTPUTS:
            raise LimitError(f"{len(names)} inputs and outputs; BuildCCE takes {MAX_INPUTS_AND_OUTPUTS}", where)
        if len(self._scopes) != 1:
            raise StructureError("BuildCCE is called inside a with block", where)
        given = {t.allocation for t in tensors}
        workspaces = [a for a in self._globals if a.is_workspace and a not in given]
        program = KernelProgram(
            kernel_name, self._scopes[0].block, [t.allocation for t in inputs if isinstance(t, Tensor)],
            [t.allocation for t in outputs], workspaces, self._block_num, dict(self._buffers.peak), list(self._arguments),
        )
        if _built:
            _built[-1].append(program)
        return self


def _shape(shape: Any) -> Tuple[int, ...]:
    extents = shape if isinstance(shape, (list, tuple)) else (shape,)
    for extent in extents:
        if not isinstance(extent, (int, np.integer)) or extent < 1:
            raise ArgumentError(f"shape {tuple(extents)} must hold positive Python integers", caller_location())
    return tuple(int(e) for e in extents)


def _initial(value: Any) -> Optional[List[Any]]:
    return None if value is None else list(np.ravel(value))


@contextmanager
def collecting() -> Iterator[List[KernelProgram]]:
    """Collect the programs that BuildCCE finishes inside the block."""
    _built.append([])
    try:
        yield _built[-1]
    finally:
        _built.pop()
