"""Folders, text and JSON that survive a power cut: readers see the old content or the new, and nothing between."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

LARGEST_JSON_BYTES = 1 << 24
"""More than any JSON file that this program writes."""


def make_folder(path: Path) -> None:
    """Create a folder, unless it is there, in such a way that a power cut does not take it away again."""
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        sync(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Replace the file by JSON; readers see the old or the new content and nothing between."""
    replace_text(path, json_text(value, indent=2) + "\n")


def json_text(value: Any, indent: int | None = None) -> str:
    """`value` as JSON, which has no NaN and no infinity: null stands for them."""
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(content) for name, content in value.items()}
    return [_finite(content) for content in value] if isinstance(value, (list, tuple)) else value


def replace_text(path: Path, text: str) -> None:
    """Replace the file by `text`, as `replace_bytes`."""
    replace_bytes(path, text.encode())


def replace_bytes(path: Path, content: bytes) -> None:
    """Replace the file by `content` through a temporary file, a sync and a rename; a power cut leaves the old or the new."""
    temporary = path.with_name(f".writing-{os.getpid()}-{path.name}")
    temporary.unlink(missing_ok=True)  # what a killed process of the same number left
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def read_json_object(path: Path, error: type[ValueError]) -> dict[str, Any]:
    """The JSON object in `path`; raises `error` with a sentence when the file is missing, too large or not that."""
    try:
        if path.stat().st_size > LARGEST_JSON_BYTES:
            raise error(f"{path} is larger than {LARGEST_JSON_BYTES} bytes: this program did not write it")
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise error(f"{path} is missing: there is nothing complete here") from None
    except (ValueError, OSError, RecursionError) as problem:
        if isinstance(problem, error):
            raise
        raise error(f"{path} cannot be read as JSON: {problem}") from None
    if not isinstance(value, dict):
        raise error(f"{path} does not hold a JSON object")
    return value


def sync(path: Path) -> None:
    """Return when the disk has the content of a file, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
