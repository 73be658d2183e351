"""Where a run stands: what its checkpoints hold beside the parameters."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Optional

from bert_thor.errors import CheckpointError
from bert_thor.training.parameters import read_count


@dataclass(frozen=True)
class Best:
    """The best evaluation while training, by masked-LM accuracy."""

    step: int = 0
    """0: none yet."""
    accuracy: Optional[float] = None
    evaluations_since: int = 0
    """Evaluations that came after it; where there is none yet, all."""
    rows: Optional[str] = None
    """Digest and number of the rows: accuracies on other rows are not compared."""

    def after(self, report: dict[str, Any]) -> Best:
        """What is the best when one more evaluation has ended with `report`: a higher accuracy; one that is no number never is."""
        rows, accuracy = f"{report['data_sha256']}:{report['row_count']}", report["masked_lm_accuracy"]
        before = self if rows == self.rows else Best(rows=rows)
        if not math.isnan(accuracy) and (before.accuracy is None or accuracy > before.accuracy):
            return Best(report["step"], accuracy, 0, rows)
        return Best(before.step, before.accuracy, before.evaluations_since + 1, rows)


@dataclass
class Progress:
    """Where a run stands: all that a resumed run needs beside the parameters."""

    step: int = 0
    samples: int = 0
    skipped: int = 0
    skipped_in_a_row: int = 0
    failed_blocks: int = 0
    best: Best = field(default_factory=Best)

    def state(self) -> dict[str, Any]:
        """As JSON, for state.json."""
        return asdict(self)


def read_progress(state: dict[str, Any], path: object) -> Progress:
    """What `Progress.state` made; `CheckpointError` naming what is missing or cannot be."""
    counts = [entry.name for entry in fields(Progress) if entry.name != "best"]
    return Progress(**{name: read_count(state, name, path) for name in counts}, best=read_best(state, path))


def read_best(state: dict[str, Any], path: object) -> Best:
    """The best evaluation in a checkpoint's state; none in one that was written before there was such an entry."""
    if "best" not in state:
        return Best()
    stored = state["best"]
    if not isinstance(stored, dict):
        raise CheckpointError(f"{path}/state.json has best = {stored!r}: an object was expected, it cannot be used")
    accuracy, rows = stored.get("accuracy"), stored.get("rows")
    if not (accuracy is None or (isinstance(accuracy, float) and 0.0 <= accuracy <= 1.0)):
        raise CheckpointError(f"{path}/state.json has accuracy = {accuracy!r}: a share was expected, it cannot be used")
    if not (rows is None or isinstance(rows, str)):
        raise CheckpointError(f"{path}/state.json has rows = {rows!r}: a text was expected, it cannot be used")
    return Best(read_count(stored, "step", path), accuracy, read_count(stored, "evaluations_since", path), rows)
