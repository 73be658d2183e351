"""The thread pool beside other threads: right results, no deadlock, no more threads than asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from bert_thor.kernels.cholesky_inverse import native as cholesky_inverse
from bert_thor.kernels.fisher_covariance import native as fisher_covariance


def refresh(x: np.ndarray, threads: int) -> np.ndarray:
    """Two kernels, one after the other, as an optimizer calls them."""
    covariance = fisher_covariance.fisher_covariance(x, 32, threads=threads)
    return np.asarray(cholesky_inverse.cholesky_inverse(covariance, 0.1, threads=threads)[0])


def test_calls_from_many_threads_at_once() -> None:
    """A framework launches operators from its own pool: every call gets the bits that it gets alone."""
    inputs = [np.random.default_rng(seed).standard_normal((60, 200)).astype(np.float32) for seed in range(8)]
    expected = [refresh(x, threads=1) for x in inputs]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(10):
            for out, exact in zip(pool.map(lambda x: refresh(x, threads=2), inputs), expected):
                assert (out == exact).all()


COUNT = """
import os
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
import numpy as np
from bert_thor.kernels.fisher_covariance.native import fisher_covariance
x = np.ones((50, 400), np.float32)
start = Barrier(6)
with ThreadPoolExecutor(6) as callers:
    list(callers.map(lambda _: start.wait(), range(6)))  # all six callers exist
    before = len(os.listdir("/proc/self/task"))
    list(callers.map(lambda _: fisher_covariance(x, 16, threads=3), range(60)))
    print(len(os.listdir("/proc/self/task")) - before)
"""


def test_the_pool_is_as_large_as_the_largest_request() -> None:
    """Callers that find the pool busy work alone: six callers of three workers add two threads, not twelve."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", COUNT], env=environment, capture_output=True, text=True, check=True)
    assert 0 <= int(done.stdout) <= 2


KEEP_OFF = """
import os
import numpy as np
from bert_thor.kernels.fisher_covariance.native import fisher_covariance
x = np.ones((50, 400), np.float32)
cores, before = os.sched_getaffinity(0), set(os.listdir("/proc/self/task"))
fisher_covariance(x, 16, threads=3)
helpers = set(os.listdir("/proc/self/task")) - before
assert len(helpers) == 2 and os.sched_getaffinity(0) == cores
for helper in helpers:
    missing = cores - os.sched_getaffinity(int(helper))
    assert len(missing) == 1, missing
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core: there is no other one")
def test_helpers_keep_off_the_core_of_the_caller() -> None:
    """Only that core is taken from them, and the caller itself is not pinned."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", KEEP_OFF], env=environment, check=True)


FORK = """
import os
import numpy as np
from bert_thor.kernels.fisher_covariance.native import fisher_covariance
x = np.ones((50, 400), np.float32)
expected = fisher_covariance(x, 16, threads=2)
child = os.fork()
if child == 0:
    os._exit(0 if (fisher_covariance(x, 16, threads=2) == expected).all() else 1)
assert os.waitpid(child, 0)[1] == 0
assert (fisher_covariance(x, 16, threads=2) == expected).all()
"""


def test_a_forked_child_gets_a_pool_of_its_own() -> None:
    subprocess.run([sys.executable, "-c", FORK], check=True, timeout=60)
