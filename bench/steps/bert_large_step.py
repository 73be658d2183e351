"""One real optimizer step of BERT-Large with THOR on the CPU: batch 1, 128 tokens, float32, with a refresh. Prints JSON.

python -m bench.steps bert-large
"""

from __future__ import annotations

import argparse
import json
import resource
from collections.abc import Sequence
from time import perf_counter

import numpy as np

LENGTH, PREDICTIONS = 128, 20


def batch(vocab_size: int) -> tuple[np.ndarray, ...]:
    """One sequence of random tokens."""
    random = np.random.default_rng(0)
    ids = random.integers(0, vocab_size, (1, LENGTH)).astype(np.int32)
    positions = np.sort(random.permutation(LENGTH)[:PREDICTIONS])[None].astype(np.int32)
    labels = np.take_along_axis(ids, positions, 1)
    segments = (np.arange(LENGTH) >= LENGTH // 2).astype(np.int32)[None]
    return (
        ids,
        np.ones_like(ids),
        segments,
        positions,
        labels,
        np.ones((1, PREDICTIONS), np.float32),
        np.zeros(1, np.int32),
    )


def main(arguments: Sequence[str]) -> None:
    """Build, run one step, and report."""
    from mindspore import Tensor

    from bert_thor.compat import use_graph_mode
    from bert_thor.model import BertForPreTraining, dropout_seed
    from bert_thor.optimizer.step import Optimizer
    from bert_thor.parameters import weights
    from bert_thor.recipes import recipe

    argparse.ArgumentParser(prog="python -m bench.steps bert-large", description=__doc__).parse_args(arguments)
    config = recipe("bert-large")
    use_graph_mode("CPU")
    started = perf_counter()
    model = BertForPreTraining(config.model, int(config.optimizer.block))
    optimizer = Optimizer(model, config.optimizer)
    before = model.pooler.weight.asnumpy().copy()
    built = perf_counter()
    inputs = (*(Tensor(array) for array in batch(config.model.vocab_size)), dropout_seed(0, 0))
    result = optimizer.step(inputs, 0, config.steps)
    report = {
        "parameters": sum(int(parameter.size) for parameter in weights(model)),
        "loss": result.loss,
        "applied": result.applied,
        "refreshed": result.refreshed,
        "failed_blocks": result.failed_blocks,
        "blocks": result.curvature.blocks if result.curvature else 0,
        "largest_change_of_a_weight": float(abs(model.pooler.weight.asnumpy() - before).max()),
        "build_seconds": built - started,
        "first_step_seconds": perf_counter() - built,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(report, indent=2))
