"""Forward and backward of a small encoder: our MindSpore step against the same network in PyTorch, eager.

    python -m bench.steps encoder --threads 1

Sizes: 4 layers, hidden 256, feed-forward 1024, 4 heads, 8 sequences of 128 tokens, 20 masked tokens each, vocabulary 8192,
dropout 0.1; no optimizer. Each contender runs in a process of its own, the processes take turns, and the median of the
processes' medians counts: two frameworks in one process would disturb each other's thread pools.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Callable

import numpy as np

from bench import environment, frameworks, machine
from bench.case import Case, Contenders
from bench.measure import Result, interleave

OPERATION = "encoder_step"
BATCH, LENGTH, MASKED, VOCABULARY, HIDDEN, HEADS, LAYERS = 8, 128, 20, 8192, 256, 4, 4
FEED_FORWARD = 4 * HIDDEN
ROUNDS = 5
STEPS, WARM_UP = 15, 5
VARIANTS = {"ours": ["ours"], "pytorch": ["pytorch", "pytorch_fused_attention"]}


def flop() -> float:
    """Multiply-adds of all matrix products, twice; the backward pass costs two forward passes."""
    rows = BATCH * LENGTH
    layer = rows * (4 * HIDDEN**2 + 2 * HIDDEN * FEED_FORWARD + 2 * LENGTH * HIDDEN)
    head = BATCH * MASKED * HIDDEN * (HIDDEN + VOCABULARY) + BATCH * HIDDEN * (HIDDEN + 2)
    return 3 * 2 * (LAYERS * layer + head)


def case(threads: int) -> Case:
    """Every variant, each call of which is a process of its own and gives its seconds per step."""
    contenders = [name for name in VARIANTS if name == "ours" or frameworks.torch(threads)]
    variants: Contenders = {
        variant: partial(_in_process, variant, threads) for name in contenders for variant in VARIANTS[name]
    }
    return Case(OPERATION, f"forward and backward, {LAYERS} layers of {HIDDEN}", {"fp32": flop()}, variants)


def batch() -> tuple[np.ndarray, ...]:
    """Token ids, mask, segments, masked positions, their labels and weights, and whether the sentences follow each other."""
    random = np.random.default_rng(0)
    ids = random.integers(0, VOCABULARY, (BATCH, LENGTH)).astype(np.int32)
    positions = np.sort(random.permuted(np.tile(np.arange(LENGTH), (BATCH, 1)), axis=1)[:, :MASKED], 1).astype(np.int32)
    segments = np.tile((np.arange(LENGTH) >= LENGTH // 2).astype(np.int32), (BATCH, 1))
    labels = np.take_along_axis(ids, positions, 1)
    weights = np.ones((BATCH, MASKED), np.float32)
    return ids, np.ones_like(ids), segments, positions, labels, weights, np.arange(BATCH, dtype=np.int32) % 2


def our_step() -> Callable[[], float]:
    """One graph: losses and the gradients of all weights."""
    import mindspore as ms

    from bert_thor.compat import use_graph_mode
    from bert_thor.config import BERT_SIZES
    from bert_thor.model import BertForPreTraining, dropout_seed
    from bert_thor.parameters import weights

    use_graph_mode("CPU")
    model = BertForPreTraining(BERT_SIZES["bert-mini"]).set_train()
    backward = ms.value_and_grad(model, None, ms.ParameterTuple(weights(model)), has_aux=True)

    @ms.jit
    def step(*inputs: Any) -> Any:
        return backward(*inputs)

    inputs = (*map(ms.Tensor, batch()), dropout_seed(0, 0))

    def run() -> float:
        losses, gradients = step(*inputs)
        for gradient in gradients:
            gradient.asnumpy()
        return float(losses[0].asnumpy())

    return run


def pytorch_step(fused_attention: bool) -> Callable[[], float]:
    """The same network; attention by products and softmax, or by scaled_dot_product_attention."""
    import torch

    from bench.steps.pytorch_encoder import BertForPreTraining

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    model = BertForPreTraining(VOCABULARY, HIDDEN, LAYERS, HEADS, FEED_FORWARD, LENGTH, fused_attention).train()
    inputs = [torch.from_numpy(a).long() if a.dtype == np.int32 else torch.from_numpy(a) for a in batch()]

    def run() -> float:
        model.zero_grad(set_to_none=True)
        loss = model(*inputs)
        loss.backward()
        return float(loss.detach())

    return run


def worker(name: str, output: Path) -> None:
    """Median seconds per step of one contender in this process: CPU time where there is one thread, else wall time."""
    step = our_step() if name == "ours" else pytorch_step(name == "pytorch_fused_attention")
    clock = time.process_time if os.environ["OMP_NUM_THREADS"] == "1" else time.perf_counter
    seconds = []
    for _ in range(WARM_UP + STEPS):
        start = clock()
        loss = step()
        seconds.append(clock() - start)
    if not np.log(VOCABULARY) < loss < np.log(VOCABULARY) + 2:
        raise SystemExit(
            f"error: the loss of {name} is {loss}; an untrained network's is about log(vocabulary) + log 2."
        )
    output.write_text(json.dumps(statistics.median(seconds[WARM_UP:])))


def measure(case: Case, threads: int, peak: float, rounds: int = ROUNDS) -> Result:
    """Seconds per step; of the variants of a contender the fastest counts."""
    calls = case.contenders
    result = interleave(list(calls), lambda name: float(calls[name]()), threads, peak, rounds, attempts=2)
    found = {
        name: [result.seconds[variant] for variant in variants if variant in calls]
        for name, variants in VARIANTS.items()
    }
    return replace(result, seconds={name: min(seconds) for name, seconds in found.items() if seconds})


def _in_process(name: str, threads: int) -> float:
    with tempfile.TemporaryDirectory() as folder:  # MindSpore leaves files in the working directory
        output = Path(folder) / "seconds.json"
        command = [sys.executable, "-m", "bench.steps", "encoder", "--contender", name, "--output", str(output)]
        subprocess.run(command, cwd=folder, env=environment.elsewhere(environment.variables(threads)), check=True)
        return float(json.loads(output.read_text()))


def _rounds(text: str) -> int:
    """Their even and odd halves are compared, so that there have to be two."""
    if not text.isdigit() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text} rounds cannot be compared with one another: give 2 or more")
    return int(text)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.steps encoder",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of every contender (1)")
    parser.add_argument("--rounds", type=_rounds, default=ROUNDS, help=f"processes per contender ({ROUNDS})")
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.contender:
        worker(options.contender, options.output)
        return
    environment.ensure(options.threads, "bench.steps")
    peak = machine.peak("fp32", options.threads)
    result = measure(case(options.threads), options.threads, peak, options.rounds)
    for name, seconds in result.seconds.items():
        print(f"{name:8} {options.threads} thread(s) {seconds * 1e3:7.1f} ms {flop() / seconds / 1e9:6.1f} GFLOP/s")
    if result.noisy:
        print("The machine is too noisy: a rerun may differ by more than 10 %.")
