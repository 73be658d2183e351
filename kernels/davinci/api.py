"""The public calls: ``trace`` a kernel, ``run`` the program, read the ``Result``."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Callable

import numpy as np

from .errors import ArgumentError, PoisonError, StructureError, UnwrittenOutputError
from .instructions.allocation import GLOBAL, Allocation
from .instructions.expressions import Expression
from .instructions.program import KernelProgram, Loop
from .instructions.table import Instruction
from .machine import Machine
from .run.cores import Scout
from .run.execute import Execution, walk
from .run.memory import POISON, UNWRITTEN, Storage
from .time.report import Report, Timing
from .trace.load import package_of_kernel, stand_ins
from .trace.tik import collecting

LARGEST_OUTPUT, LARGEST_WORKSPACE = 1 << 30, 1 << 26
CHECKS = ("uninitialised", "poison", "bounds", "races")


def describe(description: Any) -> Any:
    """A TBE tensor description from what the caller gave: a dict, ``(shape, dtype)``, an array, or None for an absent input.

    A list of them is described one by one, for kernels that take any number of tensors.
    """
    if description is None:
        return None
    if isinstance(description, list) and not any(isinstance(item, (int, str)) for item in description[1:]):
        return [describe(item) for item in description]
    if isinstance(description, np.ndarray):
        description = (description.shape, str(description.dtype))
    if isinstance(description, (tuple, list)) and len(description) == 2 and isinstance(description[1], str):
        description = {"shape": description[0], "dtype": description[1]}
    if not isinstance(description, Mapping) or not {"shape", "dtype"} <= set(description):
        raise ArgumentError(
            f"a tensor description is a dict with shape and dtype, or (shape, dtype); not {description!r}"
        )
    shape = tuple(int(n) for n in description["shape"])
    layout = description.get("format", "ND")
    defaults = {"format": layout, "ori_shape": shape, "ori_format": layout}
    return {**defaults, **description, "shape": shape}


def trace(kernel: Callable[..., Any], *descriptions: Any, **attributes: Any) -> Program:
    """Build the program of a kernel function.

    Args:
        kernel: a function that declares a TIK program and calls BuildCCE, usually from ``load``.
        descriptions: one per input and output in the kernel's order: a dict with shape and dtype (format, ori_shape and
            ori_format default to ND and the same shape), ``(shape, dtype)``, or None. ``defined`` in that of an output is an
            index, as NumPy takes it, of the elements that the kernel promises to store and the caller to read; without it
            all are. The kernel does not see it.
        attributes: the kernel's attributes by name. ``kernel_name`` defaults to the function's name.

    Raises:
        DavinciError: the kernel breaks a rule that is visible without data; the error has the kernel's file and line.
        StructureError: the kernel did not reach BuildCCE exactly once.
    """
    if "kernel_name" in inspect.signature(kernel).parameters:
        attributes.setdefault("kernel_name", kernel.__name__)
    plain = inspect.unwrap(kernel)
    directory = os.path.dirname(os.path.abspath(inspect.getsourcefile(plain) or "."))
    described = [describe(d) for d in descriptions]
    shapes, defined = _shapes(described), _promises(described)  # before the kernel, which may change its descriptions
    with stand_ins(directory, package_of_kernel(plain)), collecting() as built:
        kernel(*described, **attributes)
    if len(built) != 1:
        raise StructureError(f"{kernel.__name__} called BuildCCE {len(built)} times; a TIK kernel calls it once")
    return Program(built[0], shapes, defined)


def _shapes(described: Sequence[Any]) -> list[tuple[int, ...]]:
    """Shapes of all tensors in the caller's order, those of lists too."""
    shapes: list[tuple[int, ...]] = []
    for item in described:
        if isinstance(item, list):
            shapes += _shapes(item)
        elif item is not None:
            shapes.append(item["shape"])
    return shapes


def _promises(described: Sequence[Any]) -> list[Any]:
    """What each tensor's ``defined`` says, in the order of ``_shapes``; taken out of the descriptions."""
    promises: list[Any] = []
    for item in described:
        if isinstance(item, list):
            promises += _promises(item)
        elif item is not None:
            promises.append(item.pop("defined", None))
    return promises


class Program:
    """A traced kernel.

    Attributes:
        name: the kernel's name.
        block_num: number of cores that it asks for; None where a scalar decides, so that a run's report knows it.
        inputs, outputs: (name, shape, dtype) of each, in BuildCCE's order. The shape is the caller's where the kernel has as
            many inputs and outputs as there were descriptions, and the kernel's own otherwise. The tensors of ``flowtable``,
            which tell a kernel for any shape its sizes, are the last inputs.
        peak_bytes: most bytes in use at once, per on-chip buffer.
    """

    def __init__(
        self, kernel: KernelProgram, shapes: Sequence[tuple[int, ...]] = (), defined: Sequence[Any] = ()
    ) -> None:
        self._kernel = kernel
        declared = [*kernel.inputs, *(a for a in kernel.outputs if a not in kernel.inputs)]
        known = len(shapes) == len(declared)
        self._shapes = dict(zip(declared, shapes if known else (a.shape for a in declared)))
        if not known and any(d is not None for d in defined):
            raise ArgumentError(
                f"{kernel.name} has {len(declared)} inputs and outputs for {len(shapes)} descriptions, so it is not known to "
                "which of them 'defined' belongs; describe exactly those"
            )
        self._defined = {a: self._promised(a, d) for a, d in zip(declared, defined) if d is not None}
        self.name = kernel.name
        self.block_num: int | None = None if isinstance(kernel.block_num, Expression) else kernel.block_num
        self.inputs, self.outputs = (
            [(a.name, self._shape(a), a.dtype) for a in tensors]
            for tensors in ((*kernel.inputs, *kernel.tiling), kernel.outputs)
        )
        self.peak_bytes = kernel.peak_bytes

    def run(
        self,
        *arrays: Any,
        chip: str = "Ascend910A",
        constants: Mapping[str, float] | None = None,
        ignore: Iterable[str] = (),
        inplace: Mapping[str, str] | None = None,
    ) -> Result:
        """Run the kernel on every core, check it, and time it.

        Args:
            arrays: one per input, with its dtype, those of ``flowtable`` last; then one number per InputScalar. The kernel's
                declaration may be larger or smaller: the memory is the caller's.
            chip: a chip of machine.json.
            constants: timing constants to replace, by name.
            ignore: checks to skip, for foreign kernels with such habits: "uninitialised" (outputs and scalars that
                nothing wrote), "poison" (undefined values in outputs and scalars), "bounds" (accesses past the end of a local
                tensor, which then behaves as if the rest of its buffer were its own, and reads past the end of a global one,
                which are undefined), "races" (cores that touch the same
                place in global memory; they then run one after another).
            inplace: outputs that are stored over an input, by name: {output: input}.

        Raises:
            ArgumentError: an array does not fit its input.
            DavinciError: the kernel breaks a rule; the error has the kernel's file and line.
        """
        unknown = [name for name in ignore if name not in CHECKS]
        if unknown:
            raise ArgumentError(f"there is no check {unknown[0]!r} to ignore; there are {', '.join(CHECKS)}")
        machine = Machine(chip, constants)
        aliases = self._aliases(inplace or {})
        kernel = replace(self._kernel, block_num=self._cores(arrays, aliases, ignore))
        execution = Execution(kernel, ignore)
        self._place_arguments(execution, arrays, aliases)
        execution.run()
        outputs = [self._output(execution.storage(a), set(ignore)) for a in self._kernel.outputs]
        return Result(outputs, Timing(kernel, execution, machine))

    def _cores(self, arrays: Sequence[Any], aliases: Mapping[Allocation, Allocation], ignore: Iterable[str]) -> int:
        """Number of cores; where a scalar decides, one core goes ahead to find it."""
        if self.block_num is not None:
            return self.block_num
        scout = Scout(replace(self._kernel, block_num=1), ignore)
        self._place_arguments(scout, arrays, aliases)
        return scout.count()

    def _promised(self, allocation: Allocation, index: Any) -> np.ndarray:
        """True where an output is to be defined."""
        mask = np.zeros(self._shape(allocation), bool)
        try:
            mask[index] = True
        except IndexError as error:
            raise ArgumentError(f"'defined' of {allocation.name}: {error}") from error
        return mask.reshape(-1)

    def _shape(self, allocation: Allocation) -> tuple[int, ...]:
        """The caller's shape where it differs in size from the declaration."""
        shape = self._shapes.get(allocation, allocation.shape)
        return allocation.shape if int(np.prod(shape)) == allocation.size else shape

    def _aliases(self, inplace: Mapping[str, str]) -> dict[Allocation, Allocation]:
        """Which output lies on which input. Loops are examined anew when that changes."""
        by_name = {a.name: a for a in (*self._kernel.inputs, *self._kernel.outputs)}
        unknown = [n for pair in inplace.items() for n in pair if n not in by_name]
        if unknown:
            raise ArgumentError(f"inplace names {unknown[0]!r}; the kernel has {', '.join(by_name)}")
        aliases = {by_name[out]: by_name[source] for out, source in inplace.items()}
        if aliases != {a: a.lies_on for a in self._kernel.outputs if a.lies_on is not None}:
            for allocation in self._kernel.outputs:
                allocation.lies_on = aliases.get(allocation)
            for node in walk(self._kernel.body):
                if isinstance(node, Loop):
                    node.summary = None
        return aliases

    def _place_arguments(
        self, execution: Execution, arrays: Sequence[Any], aliases: Mapping[Allocation, Allocation]
    ) -> None:
        kernel = self._kernel
        inputs = [*kernel.inputs, *kernel.tiling]
        wanted = len(inputs) + len(kernel.arguments)
        if len(arrays) != wanted:
            raise ArgumentError(
                f"{kernel.name} takes {wanted} arrays ({', '.join(n for n, _, _ in self.inputs)}); {len(arrays)} were given"
            )
        read, written, atomic = self._global_use(aliases)
        for allocation, array in zip(inputs, arrays):
            writable = allocation in written
            array = self._fitting(allocation, array)
            execution.place(allocation, array.size, array, writable, allocation in read)
        for variable, number in zip(kernel.arguments, arrays[len(inputs) :]):
            execution.arguments[variable.identifier] = number
        for allocation in (*kernel.outputs, *kernel.workspaces):
            if allocation in aliases:
                execution.lay(allocation, aliases[allocation])
            elif allocation not in inputs:
                zeroed = allocation.is_atomic_add or allocation in atomic
                size = self._room(allocation)
                content = np.zeros(size, allocation.dtype) if zeroed else None
                execution.place(allocation, size, content, True, allocation in read)

    def _global_use(
        self, aliases: Mapping[Allocation, Allocation]
    ) -> tuple[set[Allocation], set[Allocation], set[Allocation]]:
        """Global tensors that instructions read, write, and add to atomically."""
        read: set[Allocation] = set()
        written: set[Allocation] = set()
        atomic: set[Allocation] = set()
        for node in walk(self._kernel.body):
            if isinstance(node, Instruction):
                for name, tensor in node.operands.items():
                    if tensor.scope == GLOBAL:
                        allocation = aliases.get(tensor.allocation, tensor.allocation)
                        if node.is_read(name):
                            read.add(allocation)
                        if node.is_written(name):
                            (atomic if node.atomic else written).add(allocation)
        return read, written | atomic, atomic

    def _room(self, allocation: Allocation) -> int:
        """Elements of an output or a workspace. A workspace for any shape is declared as large as can be."""
        size, itemsize = int(np.prod(self._shape(allocation))), np.dtype(allocation.dtype).itemsize
        if allocation in self._kernel.outputs:
            if size * itemsize > LARGEST_OUTPUT:
                raise ArgumentError(
                    f"output {allocation.name} has {size * itemsize} B; the interpreter takes {LARGEST_OUTPUT}. A kernel for any "
                    "shape needs a description for each of its inputs and outputs and for nothing else"
                )
            return size
        return min(size, LARGEST_WORKSPACE // itemsize)

    def _fitting(self, allocation: Allocation, array: Any) -> np.ndarray:
        array, size = np.asarray(array), int(np.prod(self._shape(allocation)))
        if allocation in self._kernel.tiling and str(array.dtype) == allocation.dtype:
            return array
        if str(array.dtype) != allocation.dtype or array.size != size:
            raise ArgumentError(
                f"input {allocation.name} is {allocation.dtype} of shape {self._shape(allocation)}; got {array.dtype} of "
                f"shape {array.shape}"
            )
        return array

    def _output(self, storage: Storage, ignore: set[str]) -> np.ndarray:
        allocation = storage.allocation
        shape = self._shape(allocation)
        size, cells = int(np.prod(shape)), np.dtype(allocation.dtype).itemsize // allocation.granularity
        state = storage.state[0, : size * cells].reshape(size, cells)
        free = ~self._defined.get(allocation, np.ones(size, bool))
        if "uninitialised" not in ignore:
            _require_written(allocation, free | (state != UNWRITTEN).all(axis=1))
        if "poison" not in ignore:
            _require_defined(storage, free | (state != POISON).all(axis=1))
        return storage.view(allocation.dtype)[0, :size].reshape(shape).copy()


def _require_written(allocation: Allocation, written: np.ndarray) -> None:
    if not written.all():
        missing = int(np.argmin(written))
        raise UnwrittenOutputError(
            f"{allocation.name}: element {missing} of {written.size} was never written "
            f"({int((~written).sum())} are missing); store every element of an output",
            allocation.location,
        )


def _require_defined(storage: Storage, defined: np.ndarray) -> None:
    if not defined.all():
        first, allocation = int(np.argmin(defined)), storage.allocation
        assert storage.blame is not None
        item = np.dtype(allocation.dtype).itemsize // allocation.granularity
        raise PoisonError(
            f"element {first} of {allocation.name} receives an undefined value here ({int((~defined).sum())} such); it comes "
            "from memory that nothing wrote, or from the padding of a tensor or of a matrix tile; store only what is defined, "
            "or say which elements are with 'defined' in the output's description",
            storage.culprits[int(storage.blame[first * item : (first + 1) * item].max())],
        )


class Result:
    """What a run gives.

    Attributes:
        outputs: one array per output, in BuildCCE's order.
        cycles: estimated cycles from start to end, over all waves of cores.
        report: the timing in full; ``str(result.report)`` is for people, ``result.report.to_dict()`` for scripts,
            ``result.report.save_trace(path)`` for Perfetto or chrome://tracing.
    """

    def __init__(self, outputs: list[np.ndarray], timing: Timing) -> None:
        self.outputs = outputs
        self._timing = timing
        self.report: Report = timing.report()
        self.cycles: int = self.report.cycles

    def sensitivity(self) -> dict[str, tuple[int, int]]:
        """Cycles with each uncertain constant at the low and at the high end of its range."""
        return self._timing.sensitivity()

    def cycles_with(self, constants: Mapping[str, float]) -> int:
        """Cycles with some constants of machine.json replaced, by name."""
        return self._timing.cycles_with(constants)
