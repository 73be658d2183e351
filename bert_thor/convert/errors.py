"""The one exception of the package."""

from __future__ import annotations


class ConvertError(ValueError):
    """A checkpoint cannot be converted; the message names the file, the tensor and the reason."""
