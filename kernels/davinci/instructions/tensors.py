"""What a kernel sees of memory and registers while it is traced: ``Tensor`` views and ``Scalar``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from ..errors import (
    ArgumentError,
    BoundsError,
    DataTypeError,
    ScopeError,
    StructureError,
    UnavailableError,
    caller_location,
)
from .allocation import Allocation
from .expressions import FLOAT_TYPES, INTEGER_TYPES, Expression, Variable, binary, constant_difference

DATA_TYPES = (*INTEGER_TYPES, *FLOAT_TYPES)
SCATTERED = (-1,)  # stands for the extents of a slice that is not contiguous


class Builder(Protocol):
    """The kernel under construction, as far as its tensors, scalars and composed calls need it; ``Tik`` is one."""

    @property
    def copies(self) -> int:
        """How often a tensor declared here exists: the product of the loops' ``thread_num``."""

    def assign(self, scalar: Any, value: Any) -> None:
        """``scalar.set_as(value)``."""

    def store_element(self, element: Any, value: Any) -> None:
        """``tensor[i] = value``."""

    def Scalar(self, dtype: str = ..., name: str = ..., init_value: Any = ...) -> Any:  # noqa: N802 - TIK's name
        """Declare a register."""

    def __getattr__(self, name: str) -> Any:
        """Every other call that TIK has, by name."""


class Tensor:
    """A view of an allocation: a start, a type and a shape. Indexing moves the start.

    ``tensor[i, j]`` starts at that element, ``tensor[i]`` at flat element i, ``tensor[a:b]`` at a.
    """

    def __init__(
        self,
        tik: Builder,
        allocation: Allocation,
        dtype: str,
        shape: Sequence[int],
        offset: Any = 0,
        extents: tuple[int, ...] | None = None,
    ) -> None:
        self._tik = tik
        self.allocation = allocation
        self.dtype = dtype
        self._shape = tuple(shape)
        self.offset = offset
        self._extents = extents

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents in elements."""
        return self._shape

    @property
    def name(self) -> str:
        """The name given at declaration."""
        return self.allocation.name

    @property
    def scope(self) -> str:
        """The buffer it lives in, as a ``tik.scope_*`` constant."""
        return self.allocation.scope

    @property
    def size(self) -> int:
        """Number of elements."""
        if has_scalars(self._shape):
            raise UnavailableError(
                f"{self.name} has a shape of scalars; its size is not known while the kernel is traced",
                caller_location(),
            )
        return int(np.prod(self._shape, dtype=np.int64))

    @property
    def extents(self) -> tuple[int, ...]:
        """What a call on the whole tensor takes: the slice, if it is one, without the dimensions that have an index."""
        if self._extents is SCATTERED:
            raise UnavailableError(
                f"a call on the whole tensor takes a slice of {self.name} that is not contiguous, or whose length is a scalar; "
                "only contiguous ones of a known length are modelled",
                caller_location(),
            )
        return self._shape if self._extents is None else self._extents

    @property
    def count(self) -> int:
        """Number of elements of ``extents``."""
        return int(np.prod(self.extents, dtype=np.int64))

    def __len__(self) -> int:
        return self._shape[0]

    def __iter__(self) -> Any:
        raise ArgumentError(
            f"{self.name} cannot be iterated in Python; use for_range and an index, or put the tensor into a list",
            caller_location(),
        )

    def __getitem__(self, index: Any) -> Tensor:
        entries = index if isinstance(index, (tuple, list)) else (index,)
        sliced = any(isinstance(e, slice) for e in entries) and len(entries) == len(self._shape)
        extents = _sliced(entries, self._shape) if sliced else None
        return Tensor(self._tik, self.allocation, self.dtype, self._shape, self.offset + self._flat(index), extents)

    def __call__(self, index: Any) -> Tensor:
        """``tensor(i)`` is ``tensor[i]`` in early TIK."""
        return self[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        self._tik.store_element(self[index], value)

    def set_as(self, value: Any, dst_offset: Any = 0, src_offset: Any = None) -> None:
        """Write one element: ``value`` is a number, a scalar, an expression or a tensor element."""
        if isinstance(value, Tensor) and src_offset is not None:
            value = value[src_offset]
        self._tik.store_element(self if isinstance(dst_offset, int) and dst_offset == 0 else self[dst_offset], value)

    # Comparing reads the first element into a register.

    __hash__ = object.__hash__

    def __lt__(self, other: Any) -> Expression:
        return binary("<", self._value(), _value(other))

    def __le__(self, other: Any) -> Expression:
        return binary("<=", self._value(), _value(other))

    def __gt__(self, other: Any) -> Expression:
        return binary(">", self._value(), _value(other))

    def __ge__(self, other: Any) -> Expression:
        return binary(">=", self._value(), _value(other))

    def __eq__(self, other: Any) -> Any:
        return binary("==", self._value(), other) if isinstance(other, _COMPARABLE) else self is other

    def __ne__(self, other: Any) -> Any:
        return binary("!=", self._value(), other) if isinstance(other, _COMPARABLE) else self is not other

    def _value(self) -> Expression:
        value: Expression = self._tik.Scalar(self.dtype, "element", self)
        return value

    def reshape(self, new_shape: Sequence[int]) -> Tensor:
        """The same memory under another shape with the same number of elements."""
        if not has_scalars((*new_shape, *self._shape)) and int(np.prod(new_shape)) != self.size:
            raise ArgumentError(
                f"cannot reshape {self.name} of shape {self._shape} to {tuple(new_shape)}", caller_location()
            )
        return Tensor(self._tik, self.allocation, self.dtype, new_shape, self.offset)

    def flatten(self) -> Tensor:
        """The same memory with one dimension."""
        return self.reshape((self.size,))

    def reinterpret_cast_to(self, dtype: str) -> Tensor:
        """The same bytes read as another type; the last extent scales with the item sizes."""
        _require_type(dtype)
        old, new = np.dtype(self.dtype).itemsize, np.dtype(dtype).itemsize
        if self._shape[-1] * old % new:
            raise ArgumentError(
                f"cannot read {self.name} of shape {self._shape} {self.dtype} as {dtype}: the last extent does not divide",
                caller_location(),
            )
        self.allocation.granularity = min(self.allocation.granularity, new)
        shape = (*self._shape[:-1], self._shape[-1] * old // new)
        offset = self.offset * old // new if not isinstance(self.offset, int) or self.offset else 0
        return Tensor(self._tik, self.allocation, dtype, shape, offset)

    def reinterpreted(self, dtype: str) -> Tensor:
        """The same elements as another type of the same size."""
        return Tensor(self._tik, self.allocation, dtype, self._shape, self.offset)

    def _flat(self, index: Any) -> Any:
        entries = index if isinstance(index, (tuple, list)) else (index,)
        starts = [_start(entry) for entry in entries]
        if len(starts) == 1:
            return starts[0]
        if len(starts) != len(self._shape):
            raise BoundsError(
                f"{self.name} has {len(self._shape)} dimensions; it is indexed with {len(starts)} (give all, or one flat index)",
                caller_location(),
            )
        flat: Any = 0
        for start, extent in zip(starts, self._shape):
            if isinstance(start, int) and isinstance(extent, int) and not 0 <= start <= extent:
                raise BoundsError(f"index {start} of {self.name} is outside its extent {extent}", caller_location())
            flat = flat * extent + start
        return flat


_COMPARABLE = (Expression, int, float, np.integer, np.floating)


def _value(operand: Any) -> Any:
    return operand._value() if isinstance(operand, Tensor) else operand


def has_scalars(shape: Sequence[Any]) -> bool:
    """Whether an extent is only known in a run."""
    return any(isinstance(extent, Expression) for extent in shape)


def _sliced(entries: Sequence[Any], shape: Sequence[int]) -> tuple[int, ...]:
    """Extents of a slice of contiguous memory whose length is known; SCATTERED for any other."""
    extents: list[int] = []
    is_whole = True  # all later dimensions are taken whole
    for entry, extent in reversed(list(zip(entries, shape))):
        if not isinstance(entry, slice):
            taken = 1
        else:
            start, stop = 0 if entry.start is None else entry.start, extent if entry.stop is None else entry.stop
            length = constant_difference(stop, start)
            if length is None or entry.step not in (None, 1):
                return SCATTERED
            taken = length
            extents.insert(0, taken)
        if taken != 1 and not is_whole:
            return SCATTERED
        is_whole = is_whole and taken == extent
    return tuple(extents)


def _start(entry: Any) -> Any:
    start = entry.start if isinstance(entry, slice) else entry
    if start is None:
        return 0
    if isinstance(start, (int, np.integer)) or (isinstance(start, (float, np.floating)) and float(start).is_integer()):
        return int(start)
    if isinstance(start, Expression):
        return start
    raise ArgumentError(
        f"a tensor index is an integer or a scalar expression, not {type(start).__name__}", caller_location()
    )


class Scalar(Variable):
    """A register of the scalar unit. ``set_as`` gives it a value when the program runs."""

    __slots__ = ("_tik", "scope_open")
    __hash__ = object.__hash__

    def __init__(self, tik: Builder, dtype: str, name: str) -> None:
        super().__init__(name, dtype)
        self._tik = tik
        self.scope_open = True

    def set_as(self, value: Any, src_offset: Any = None) -> None:
        """Assign a number, a scalar expression, or an element of a tensor in UB."""
        if isinstance(value, Tensor) and src_offset is not None:
            value = value[src_offset]
        self._tik.assign(self, value)


class ScalarArray:
    """A fixed number of scalars of one type, indexed by Python integers."""

    def __init__(self, tik: Builder, dtype: str, length: int, name: str, init_value: Any) -> None:
        values = init_value if isinstance(init_value, (list, tuple)) else [init_value] * length
        self._scalars: list[Scalar] = [tik.Scalar(dtype, f"{name}[{i}]", v) for i, v in zip(range(length), values)]
        self.dtype = dtype
        self.length = length

    def __getitem__(self, index: int) -> Scalar:
        if not isinstance(index, int):
            raise UnavailableIndex(index)
        return self._scalars[index]

    def __setitem__(self, index: int, value: Any) -> None:
        self[index].set_as(value)

    def __len__(self) -> int:
        return self.length


def UnavailableIndex(index: Any) -> StructureError:  # noqa: N802 - reads as an error class where it is raised
    """The error for a register array that is indexed by something known only at run time."""
    return StructureError(
        f"registers cannot be indexed by {type(index).__name__}; use a Python integer", caller_location()
    )


def _require_type(dtype: Any) -> None:
    if dtype not in DATA_TYPES:
        raise DataTypeError(
            f"{dtype!r} is not a data type of Ascend 910; it has {', '.join(DATA_TYPES)}", caller_location()
        )


def require_data_type(dtype: Any) -> str:
    """The canonical name of a data type that Ascend 910 has."""
    name = "int8" if dtype == "bool" else dtype
    _require_type(name)
    return str(name)


def require_open(item: Allocation | Scalar, name: str) -> None:
    """Refuse a tensor or scalar whose declaring ``with`` block has ended."""
    if not item.scope_open:
        raise ScopeError(f"{name} is used outside the scope that declared it", caller_location())
