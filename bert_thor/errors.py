"""How a run ends when it does not end by itself."""

from __future__ import annotations


class TrainingError(RuntimeError):
    """The run cannot go on; the message says why and what was saved."""


class Interrupted(Exception):
    """The run was asked to end (Ctrl-C or SIGTERM) and its state is saved; `status` is the exit status to end with."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status
