"""Two cores at one place of global memory: who wrote and who read each item since the last barrier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import RaceError
from ..instructions.patterns import Pattern
from .memory import Operand, Storage

NOBODY, SEVERAL = -1, -2


@dataclass(frozen=True)
class Stored:
    """What a store did, per lane and element: it changed what was there; it is not what is there now."""

    changes: np.ndarray
    loses: np.ndarray

    @classmethod
    def between(cls, old: np.ndarray, stored: np.ndarray, now: np.ndarray) -> Stored:
        """From the content before, what was stored, and the content after, compared bit by bit."""
        bits = f"uint{8 * stored.dtype.itemsize}"
        shape = np.broadcast_shapes(old.shape, stored.shape)
        before, mine, after = (np.ascontiguousarray(np.broadcast_to(x, shape)).view(bits) for x in (old, stored, now))
        return cls(before != mine, after != mine)


def watch(storage: Storage, also_reads: bool) -> None:
    """Start tracking a tensor that more than one core may write."""
    items = storage.state.shape[1]
    storage.last_writer = np.full(items, NOBODY, np.int32)
    storage.last_reader = np.full(items, NOBODY, np.int32) if also_reads else None


def forget(storage: Storage) -> None:
    """A barrier orders everything before it."""
    if storage.last_writer is not None:
        storage.last_writer[:] = NOBODY
    if storage.last_reader is not None:
        storage.last_reader[:] = NOBODY


def items_touched(operand: Operand, pattern: Pattern) -> np.ndarray:
    """Numbers of the map's items, shape (lanes or 1, items)."""
    storage = operand.storage
    index = np.atleast_1d(operand.offset)[:, None] + pattern.index
    ratio = np.dtype(operand.dtype).itemsize // storage.allocation.granularity
    if ratio > 1:
        index = (index[:, :, None] * ratio + np.arange(ratio)).reshape(len(index), -1)
    return index


def note_write(operand: Operand, pattern: Pattern, cores: np.ndarray, stored: Stored) -> None:
    """Refuse a write of something else to what another core wrote or read; remember the writer.

    Cores that store the same bytes at one place, as those do whose last blocks overlap, do not race.
    """
    storage = operand.storage
    writer = storage.last_writer
    assert writer is not None
    index, core = np.broadcast_arrays(items_touched(operand, pattern), cores[:, None])
    changes, loses = (np.broadcast_to(_per_item(operand, x), index.shape) for x in (stored.changes, stored.loses))
    before = writer[index]
    other = (before != NOBODY) & (before != core)
    if (other & changes).any():
        _fail(operand, index, core, before, other & changes, "writes", "wrote")
    writer[index] = core
    meets = writer[index] != core
    if (meets & loses).any():
        _fail(operand, index, core, writer[index], meets & loses, "writes", "writes")
    writer[index[other | meets]] = SEVERAL
    if storage.last_reader is not None:
        readers = storage.last_reader[index]
        others = (readers != NOBODY) & (readers != core) & changes
        if others.any():
            _fail(operand, index, core, readers, others, "writes", "read")


def _per_item(operand: Operand, elements: np.ndarray) -> np.ndarray:
    return np.repeat(elements, np.dtype(operand.dtype).itemsize // operand.storage.allocation.granularity, axis=1)


def note_atomic(operand: Operand, pattern: Pattern, cores: np.ndarray) -> None:
    """Atomic adds may meet each other, but not plain writes of another core."""
    writer = operand.storage.last_writer
    assert writer is not None
    index, core = np.broadcast_arrays(items_touched(operand, pattern), cores[:, None])
    before = writer[index]
    other = (before >= 0) & (before != core)
    if other.any():
        _fail(operand, index, core, before, other, "adds atomically to", "wrote")
    writer[index] = SEVERAL


def note_read(operand: Operand, pattern: Pattern, cores: np.ndarray) -> None:
    """Refuse a read of what another core wrote; remember the reader."""
    storage = operand.storage
    assert storage.last_writer is not None
    index, core = np.broadcast_arrays(items_touched(operand, pattern), cores[:, None])
    before = storage.last_writer[index]
    other = (before != NOBODY) & (before != core)
    if other.any():
        _fail(operand, index, core, before, other, "reads", "wrote")
    if storage.last_reader is not None:
        old = storage.last_reader[index]
        storage.last_reader[index] = np.where((old == NOBODY) | (old == core), core, SEVERAL)


def _fail(
    operand: Operand,
    index: np.ndarray,
    core: np.ndarray,
    other_core: np.ndarray,
    where: np.ndarray,
    does: str,
    did: str,
) -> None:
    first = np.unravel_index(np.argmax(where), where.shape)
    other = int(other_core[first])
    raise operand.instruction.fail(
        RaceError,
        f"core {int(core[first])} {does} element {int(index[first])} of {operand.storage.allocation.name}, which "
        f"{f'core {other}' if other >= 0 else 'several cores'} {did} without an order between them; give each core its own part, "
        "use set_atomic_add, or put a block_barrier between",
    )
