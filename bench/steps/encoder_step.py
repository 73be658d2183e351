"""Forward and backward of an encoder: our MindSpore step beside the same network in PyTorch, in float32 and in bfloat16.

    python -m bench.steps encoder                                            everything; stored in bench/results/steps.json
    python -m bench.steps encoder --precision bfloat16 --hidden 768 --threads 2

8 sequences of 128 tokens, 20 masked tokens each, dropout 0.1, no optimizer; hidden size 256 with 4 layers and a vocabulary of
8192, 768 with 3 and 1024 with 2 layers and 30522. PyTorch runs in bfloat16 under autocast. Its variants: attention by
products and softmax, by scaled_dot_product_attention, and the latter through torch.compile; the fastest counts.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.steps import race
from bench.steps.networks import ENCODERS, Setting, check_loss, our_step, pytorch_step


def worker(name: str, setting: Setting) -> float:
    """Seconds per step of one contender in this process."""
    step = our_step(setting) if name == "ours" else pytorch_step(name, setting)
    check_loss(name, step(), setting.model.vocab_size)
    return race.median_seconds(step)


RACE = race.Race("encoder", "encoder_step", "forward and backward", ENCODERS, worker, __doc__)


def main(arguments: Sequence[str]) -> None:
    race.main(RACE, arguments)
