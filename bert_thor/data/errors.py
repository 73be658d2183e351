"""The exceptions of the data package."""

from __future__ import annotations

from bert_thor.errors import UserError


class DataError(UserError, ValueError):
    """Data, or a request for data, that cannot be used; the message is one sentence that names the value and the remedy."""


class RecordError(DataError):
    """A damaged or unsuitable record: which file, which record (counted from 0) and why.

    Attributes:
        file: path of the TFRecord file.
        record: number of the record in the file, from 0.
        reason: what is wrong with it.
    """

    def __init__(self, file: str, record: int, reason: str) -> None:
        super().__init__(f"{file}: record {record}: {reason}")
        self.file, self.record, self.reason = file, record, reason

    def __reduce__(self) -> tuple[type[RecordError], tuple[str, int, str]]:
        return RecordError, (self.file, self.record, self.reason)
