"""Memory of the activations of BERT-Base in bfloat16 beside float32: what a forward and backward pass needs for its batch.

    python -m bench.steps memory      stored in bench/results/steps.json

The rule: a process runs forward and backward pass, all gradients of the weights included, until its graph is compiled and its buffers
exist; then the kernel's peak of the resident set (VmHWM, reset through /proc/self/clear_refs) over one more pass is read. What is there for
every batch, weights, compiled graphs and libraries, falls out of the difference of two batches; so does where the framework places its
buffers, but for a few hundred MB either way, so that the batches lie far apart. The activations of 8 sequences are a twelfth of the peak
with 128 less the peak with 32. 128 tokens, 20 masked, 12 layers of 768, vocabulary 30522, one thread; the largest process takes 12 GB.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import environment
from bench.steps import results
from bench.steps.networks import LABELS, SIZES, Setting, our_step
from bench.targets import STEPS, table
from bert_thor.network.sizes import BERT_SIZES
from bert_thor.precision import Precision

MODEL = BERT_SIZES["bert-base"]
BATCHES = (32, 128)
RETURNED = {"MALLOC_MMAP_THRESHOLD_": str(1 << 16), "MALLOC_MMAP_MAX_": str(1 << 20)}
"""Every array has pages of its own, which go back when it is freed: none hides in what compiling has left behind."""
NAME = f"activations' memory {MODEL.num_layers} layers of {MODEL.hidden_size}"


def peak_of_a_step(precision: Precision, sequences: int) -> int:
    """Bytes of the resident set at its largest during a step, in this process."""
    step = our_step(Setting(MODEL, precision, threads=1), sequences)
    step()
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # what compiling has left behind
    Path("/proc/self/clear_refs").write_text("5")  # 5: reset the peak
    step()
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None, "Linux names the peak"
    return 1024 * int(found.group(1))


def peak_in_process(precision: Precision, sequences: int) -> int:
    """`peak_of_a_step` in a process of its own."""
    worker = ["--worker", precision, str(sequences)]
    variables = {"OMP_NUM_THREADS": "1", "THOR_NUM_THREADS": "1", "GLOG_v": "3", **RETURNED}
    with tempfile.TemporaryDirectory() as folder:  # MindSpore leaves files in the working directory
        command = [sys.executable, "-m", "bench.steps", "memory", *worker]
        done = subprocess.run(
            command, cwd=folder, env=environment.elsewhere(variables), check=True, stdout=subprocess.PIPE, text=True
        )
    return int(json.loads(done.stdout.splitlines()[-1]))


def activations(precision: Precision) -> int:
    """Bytes of the activations of `SIZES.sequences` sequences."""
    few, many = (peak_in_process(precision, sequences) for sequences in BATCHES)
    return (many - few) * SIZES.sequences // (BATCHES[1] - BATCHES[0])


def main(arguments: Sequence[str]) -> None:
    """Measure both precisions, print and store them."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.steps memory", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        print(json.dumps(peak_of_a_step(options.worker[0], int(options.worker[1]))))
        return
    found = {label: activations(precision) for precision, label in LABELS.items()}
    for label, size in found.items():
        print(f"{NAME} {label}: {size / 2**20:.0f} MiB")
    results.store_memory(NAME, found)
    print(table(STEPS, results.found_in([], {NAME: found})))
