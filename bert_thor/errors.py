"""What goes wrong in a way that the user can do something about: the message is one sentence that says what, the limit, and the remedy."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """Something that the user can put right; the command line prints the message and ends with status 1."""


class UsageError(UserError):
    """The command line asks for what there is not; the message says what there is. Ends with status 2."""


class ConfigError(UserError, ValueError):
    """A configuration value is outside its range; the message names the value and the limit."""


class CheckpointError(UserError, ValueError):
    """A checkpoint is missing, damaged, or of another network; the message says which and what to do."""


class ConvertError(UserError, ValueError):
    """A checkpoint cannot be converted; the message names the file, the tensor and the reason."""


class TrainingError(UserError, RuntimeError):
    """The run cannot go on; the message says why and what was saved."""


class Interrupted(Exception):
    """The run was asked to end (Ctrl-C or SIGTERM) and its state is saved; `status` is the exit status to end with."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """`; did you mean NAME?` for the name that looks most like `word`, at the end of a sentence; nothing where none does."""
    found = get_close_matches(word, names, n=1)
    return f"; did you mean {found[0]}?" if found else ""
