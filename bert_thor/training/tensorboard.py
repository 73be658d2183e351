"""The curves of a run for TensorBoard, in events that tensorboardX encodes."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bert_thor.errors import ConfigError
from bert_thor.files import make_folder
from bert_thor.training.report import MASKED_LM_ACCURACY, TRAINING_LOSS

OF_STEPS = {
    TRAINING_LOSS: "loss",
    "masked-LM loss": "masked_lm_loss",
    "next-sentence loss": "next_sentence_loss",
    "learning rate": "learning_rate",
    "loss scale": "loss_scale",
    "sequences per second": "samples_per_second",
}
"""Curves of every step, and the entries of metrics.jsonl that they show."""
OF_EVALUATIONS = {MASKED_LM_ACCURACY: "masked_lm_accuracy", "next-sentence accuracy": "next_sentence_accuracy"}
"""Curves of the evaluations while training, and the entries of their reports."""


def check_tensorboard() -> None:
    """Raise `ConfigError` with one sentence where tensorboardX is missing."""
    try:
        import tensorboardX  # noqa: F401
    except ImportError:
        raise ConfigError(
            "tensorboard needs tensorboardX: install it with `pip install 'bert-thor[tensorboard]'`"
        ) from None


class Events:
    """One file of events of a process that trains from `step` on; what earlier files say of later steps is void.

    Each event is written when it is told, and is on the disk after `flush`: a checkpoint promises the events up to its step.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import SessionLog

        make_folder(folder)
        self._writer = EventsWriter(str(folder / "events"), f".{time.time_ns()}")
        self._write(step + 1, session_log=SessionLog(status=SessionLog.START))
        self.flush()

    def step(self, metrics: Mapping[str, Any]) -> None:
        """The curves of one step."""
        self._add(metrics, OF_STEPS)

    def evaluation(self, report: Mapping[str, Any]) -> None:
        """The curves of one evaluation."""
        self._add(report, OF_EVALUATIONS)

    def flush(self) -> None:
        """Hand all events to the operating system."""
        self._writer.flush()

    def close(self) -> None:
        """Flush, and end the file."""
        self._writer.close()

    def _add(self, values: Mapping[str, Any], curves: Mapping[str, str]) -> None:
        from tensorboardX.proto.summary_pb2 import Summary

        found = {curve: values[name] for curve, name in curves.items()}
        points = [
            Summary.Value(tag=curve, simple_value=value) for curve, value in found.items() if math.isfinite(value)
        ]
        self._write(values["step"], summary=Summary(value=points))

    def _write(self, step: int, **content: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self._writer.write_event(Event(step=step, wall_time=time.time(), **content))
