"""Mutants of a compiled kernel: every flag, every pair of them, every barrier left out once, every buffer moved once.

A mutant that neither hazards nor numbers betray is not caught. For a flag or barrier this means that every pair of
conflicting accesses of the launch is still ordered by others: it was redundant there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from .rewrite import Buffer, Rewritten, Synchronisation


@dataclass(frozen=True)
class Mutant:
    """A fault: numbers of flags and barriers left out, or buffers moved by bytes."""

    name: str
    skip: tuple[int, ...] = ()
    moved: dict[int, int] = field(default_factory=dict)

    def matters(self, reached: frozenset[int]) -> bool:
        """Whether a launch that reached these flags and barriers can tell the mutant from the kernel."""
        return bool(self.moved) or any(number in reached for number in self.skip)


def mutants(rewritten: Rewritten) -> list[Mutant]:
    """All mutants of a kernel."""
    return [*_single(rewritten.synchronisations), *_pairs(rewritten.synchronisations), *_moves(rewritten.buffers)]


def _describe(one: Synchronisation) -> str:
    place = f", line {one.line}" if one.line else ""
    if one.way == "barrier":
        return f"no barrier {one.source} ({one.number}{place})"
    return f"no {one.way} {one.source} to {one.target} event {one.event} ({one.number}{place})"


def _single(synchronisations: list[Synchronisation]) -> Iterator[Mutant]:
    for one in synchronisations:
        yield Mutant(_describe(one), (one.number,))


def _pairs(synchronisations: list[Synchronisation]) -> Iterator[Mutant]:
    """Both ends of a flag: what is balanced without it, so that only the order of accesses can betray it."""
    waiting: dict[tuple[str, str, str], list[int]] = {}
    flags = [one for one in synchronisations if one.way != "barrier"]
    for pipes in dict.fromkeys((one.source, one.target) for one in flags):
        of_pipes = [one for one in flags if (one.source, one.target) == pipes]
        yield Mutant(f"no flag {pipes[0]} to {pipes[1]} at all", tuple(one.number for one in of_pipes))
    for one in flags:
        key = (one.source, one.target, one.event)
        if one.way == "set":
            waiting.setdefault(key, []).append(one.number)
        elif waiting.get(key) and len(waiting[key]) == 1 and not one.event.startswith("%"):
            first = waiting.pop(key)[0]
            yield Mutant(
                f"no flag {one.source} to {one.target} event {one.event} ({first}, {one.number}, line {one.line})",
                (first, one.number),
            )


def _moves(buffers: list[Buffer]) -> Iterator[Mutant]:
    """Every buffer laid over the one before it (the first over the second)."""
    for memory in dict.fromkeys(buffer.memory for buffer in buffers):
        here = [buffer for buffer in buffers if buffer.memory == memory and buffer.offset >= 0 and buffer.bytes > 0]
        offsets = sorted({buffer.offset for buffer in here})
        for i, offset in enumerate(offsets if len(offsets) > 1 else []):
            other = offsets[i - 1] if i else offsets[1]
            moved = {buffer.number: other - offset for buffer in here if buffer.offset == offset}
            yield Mutant(f"buffer {memory}+{offset} moved to {other}", (), moved)
