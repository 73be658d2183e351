"""What happens to a block whose float32 inverse cannot be trusted: a ladder of rungs, each counted.

float32 by the kernel → float64 → damping ×10, ×100, ×1000 in float64 → keep the previous inverse, at most `MAX_KEPT` refreshes in a row →
stop, with the matrix saved. A success of the factorisation alone is no proof: at condition 1e8 a float32 inverse that "succeeded" can be
wrong by more than its own size, so the condition number decides too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np

from bert_thor.errors import TrainingError

Array = Any

LOST = 1e-2
"""Largest condition·ε that is accepted: two digits of the inverse are left."""
CONDITION_LIMIT = LOST / float(np.finfo(np.float32).eps)
"""Largest condition number of a block that is inverted in float32 (about 8e4)."""
RUNGS = ("float64", "damping_x10", "damping_x100", "damping_x1000", "kept")
"""The rungs below float32, in order."""
MAX_KEPT = 3
"""Refreshes in a row in which one block may keep its previous inverse."""


class Repair(NamedTuple):
    """What the ladder found for one block: the inverse, or None when the previous one has to serve."""

    inverse: Optional[Array]
    rung: str


def repair(block: Array, damping: float) -> Repair:
    """Invert block + damping·I [b, b] in float64, with up to a thousand times the damping; symmetric float32, or None."""
    for power, rung in enumerate(RUNGS[:-1]):
        inverse = inverse_float64(np.asarray(block, np.float64), damping * 10.0**power)
        if inverse is not None:
            return Repair(inverse, rung)
    return Repair(None, RUNGS[-1])


def inverse_float64(block: Array, damping: float) -> Optional[Array]:
    """(block + damping·I)⁻¹ rounded to float32; None when it is not positive definite, not finite, or conditioned too badly."""
    damped = block + damping * np.eye(len(block))
    if not np.isfinite(damped).all():
        return None
    try:
        root = np.linalg.inv(np.linalg.cholesky(damped))
    except np.linalg.LinAlgError:
        return None
    inverse = root.T @ root
    condition = np.linalg.norm(damped, 1) * np.linalg.norm(inverse, 1)
    with np.errstate(over="ignore"):
        rounded = inverse.astype(np.float32)
    if not (condition * np.finfo(np.float64).eps <= LOST and np.isfinite(rounded).all()):
        return None
    return rounded


def stop(folder: Path, name: str, block: int, pivot: int, matrix: Array, damping: float) -> TrainingError:
    """Save the block and return the error that ends the run."""
    path = folder / f"not-invertible-{name}-{block}.npy"
    np.save(path, matrix)
    reason = f"pivot {pivot} is not positive" if pivot > 0 else "it is not finite or too badly conditioned"
    return TrainingError(
        f"block {block} of {name} could not be inverted in {MAX_KEPT + 1} refreshes in a row ({reason}, damping {damping:.3g}); "
        f"the block is saved in {path}: raise --damping or lower --learning-rate"
    )
