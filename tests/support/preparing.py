"""`prepare` in a process of its own, and what it wrote."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

RUN = """
import resource, signal, sys
from pathlib import Path
from typing import Any
from bert_thor.data.errors import DataError
from bert_thor.data.prepare import PrepareConfig, pipeline, prepare
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job inherits that it is ignored
output, source, dupe_factor, workers, largest_file = sys.argv[1:]
if int(largest_file):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest_file),) * 2)
try:
    prepare(PrepareConfig(Path(output), source=(source,), vocab_size=200, max_seq_length=32, held_out_fraction=0.1,
                          dupe_factor=int(dupe_factor), workers=int(workers), shards=3))
except DataError as error:
    sys.exit(str(error))
"""


def start(
    output: Path, source: Path, dupe_factor: int = 2, workers: int = 2, largest_file: int = 0, **environment: str
) -> Any:
    arguments = [str(value) for value in (output, source, dupe_factor, workers, largest_file)]
    return subprocess.Popen(
        [sys.executable, "-c", RUN, *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
