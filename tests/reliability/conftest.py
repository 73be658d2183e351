"""What the reliability tests share: the fault library, and a place for what is written."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from reliability_harness import folder_in_memory

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="session")
def faults_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`faults.cc`, compiled."""
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    library = tmp_path_factory.mktemp("faults") / "libfaults.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", str(HERE / "faults.cc"), "-o", str(library), "-ldl"], check=True
    )
    return library


@pytest.fixture
def memory_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where a sync costs nothing."""
    with folder_in_memory(tmp_path) as folder:
        yield folder
