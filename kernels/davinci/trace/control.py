"""Control flow of a kernel under construction: loops, branches, scopes, barriers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..errors import ArgumentError, LimitError, StructureError, caller_location
from ..instructions.expressions import FLOAT_TYPES, Expression, Variable
from ..instructions.program import MAX_BLOCKS, Barrier, Block, Branch, Jump, Loop
from ..instructions.tensors import Tensor
from ..machine import DEFAULT_CHIP, Machine
from .scopes import Buffers, Scope

MAX_THREADS = 4
MAX_NODES = 200_000  # about 2 KiB each


class ControlFlow:
    """The part of ``Tik`` that collects nodes into blocks. Every method has TIK's name and parameters."""

    def __init__(self) -> None:
        self.machine = Machine(DEFAULT_CHIP)
        self._buffers = Buffers(self.machine)
        self._scopes: list[Scope] = [Scope(Block())]
        self._block_num: Any = 1
        self._has_core_loop = False
        self._in_core_loop = False
        self._nodes = 0

    @property
    def copies(self) -> int:
        """How often a tensor declared here exists: the product of the loops' ``thread_num``."""
        return self._scopes[-1].copies

    def get_available_buffer_size(self, buffer_scope: str) -> int:
        """Bytes of an on-chip buffer that nothing holds."""
        return self._buffers.free(buffer_scope)

    def _append(self, node: Any) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise LimitError(
                f"the kernel is longer than {MAX_NODES} instructions and scopes; put the repetition into for_range "
                "instead of a Python loop",
                caller_location(),
            )
        self._scopes[-1].block.nodes.append(node)

    @contextmanager
    def for_range(
        self,
        begint: Any,
        endt: Any,
        name: str = "i",
        thread_num: int = 1,
        thread_type: str = "whole",
        block_num: Any = 1,
        dtype: str = "int32",
        for_type: str = "serial",
        *_: Any,
        **__: Any,
    ) -> Iterator[Variable]:
        """A loop over begint <= i < endt; ``block_num`` > 1 makes its iterations cores, ``thread_num`` > 1 double-buffers."""
        begint, endt, block_num = _integral(begint), _integral(endt), _integral(block_num)
        is_core_loop = not (isinstance(block_num, int) and block_num == 1)
        self._check_loop(begint, endt, thread_num, block_num, is_core_loop, for_type)
        variable, copies = Variable(name, dtype), max(thread_num, 1)
        loop = Loop(variable, begint, endt, copies, block_num if is_core_loop else 1, caller_location(), is_core_loop)
        self._append(loop)
        if is_core_loop:
            self._block_num, self._has_core_loop = block_num, True
        with self._scope(loop.body, max(thread_num, 1), is_core_loop):
            yield loop.variable

    def _check_loop(
        self, begint: Any, endt: Any, thread_num: int, block_num: Any, is_core_loop: bool, for_type: str
    ) -> None:
        where = caller_location()
        if for_type != "serial":
            raise ValueError(f"{where}: for_type is {for_type!r}; TIK has 'serial' only")
        if not isinstance(thread_num, int) or not 0 <= thread_num <= MAX_THREADS:
            raise LimitError(f"thread_num is {thread_num}; it is 0 to {MAX_THREADS}", where)
        for bound in (begint, endt):
            if not isinstance(bound, (int, np.integer, Expression)) or (
                isinstance(bound, Expression) and bound.dtype in FLOAT_TYPES
            ):
                raise ArgumentError(f"for_range: a bound is an integer or an integer scalar, not {bound!r}", where)
        if isinstance(begint, int) and isinstance(endt, int) and endt < begint:
            raise LimitError(f"for_range runs from {begint} to {endt}; the end must not be before the begin", where)
        if is_core_loop:
            self._check_core_loop(begint, endt, thread_num, block_num)

    def _check_core_loop(self, begint: Any, endt: Any, thread_num: int, block_num: Any) -> None:
        where = caller_location()
        if self._in_core_loop:
            raise StructureError("loops over cores (block_num > 1) cannot be nested", where)
        if self._has_core_loop:
            raise StructureError("a kernel has one loop over cores (block_num > 1); this is the second", where)
        is_scalar = isinstance(block_num, Expression)
        if not is_scalar and not 1 <= block_num <= MAX_BLOCKS:
            raise LimitError(f"block_num is {block_num}; it is 1 to {MAX_BLOCKS}", where)
        runs_over_all = endt is block_num if is_scalar else isinstance(endt, int) and endt == block_num
        if not isinstance(begint, int) or begint != 0 or not runs_over_all:
            raise StructureError(
                f"a loop over cores runs from 0 to block_num {block_num}, not from {begint} to {endt}", where
            )
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
    def _scope(
        self, block: Block, threads: int = 1, is_core_loop: bool = False, disable_sync: bool = False
    ) -> Iterator[None]:
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
        is_scalar = isinstance(self._block_num, Expression)
        if not is_scalar and not 2 <= self._block_num <= self.machine.cores:
            raise LimitError(
                f"block_barrier needs 2 to {self.machine.cores} cores at once; block_num is {self._block_num}", where
            )
        memory = sync_workspace.allocation
        if not (
            memory.is_workspace
            and memory.is_atomic_add
            and memory.dtype == "int64"
            and (is_scalar or memory.size == 4 * self._block_num)
        ):
            raise ArgumentError(
                f"block_barrier needs an int64 workspace with is_workspace and is_atomic_add of {4 * self._block_num} elements",
                where,
            )
        self._append(Barrier(where))


def _integral(value: Any) -> Any:
    """A float without a fraction as an integer: kernels compute bounds with ``/`` and ``math.ceil``."""
    return int(value) if isinstance(value, (float, np.floating)) and float(value).is_integer() else value
