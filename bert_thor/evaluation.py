"""Accuracy of checkpoints on held-out documents, in the original's words and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np
from mindspore import Tensor, nn, ops

from bert_thor.checkpoint import CheckpointError, checkpoint_path, load_checkpoint, write_json
from bert_thor.compat import use_graph_mode
from bert_thor.config import ConfigError
from bert_thor.data.dataset import evaluation_batches, most_frequent_label
from bert_thor.data.schema import Batch
from bert_thor.model import BertForPreTraining, dropout_seed, negative_log_likelihood
from bert_thor.run_folder import RunFolder
from bert_thor.training import assign, open_rows, read_count, weights


@dataclass(frozen=True)
class EvaluateConfig:
    """Evaluation of one checkpoint or of every checkpoint of a run."""

    run: Path = Path("run")
    """Folder of the run."""
    data: Path = Path("data")
    """Folder of prepared data; its held-out part is used."""
    step: Optional[int] = None
    """Evaluate this checkpoint alone; by default every checkpoint of the run."""
    batch_size: int = 64
    """Sequences per forward pass; changes the speed, not the result."""
    device_target: str = "CPU"
    """CPU or Ascend."""


class Predictions(nn.Cell):
    """Predicted tokens and their negative log likelihoods, and predicted sentence labels."""

    def __init__(self, model: BertForPreTraining) -> None:
        super().__init__(auto_prefix=False)
        self.model = model
        self.seed = dropout_seed(0, 0)

    def construct(
        self, ids: Tensor, mask: Tensor, segments: Tensor, positions: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return token predictions [B·P], nll [B·P], sentence predictions [B]."""
        tokens, sentence = self.model.logits(ids, mask, segments, positions, self.seed)
        return ops.argmax(tokens, -1), negative_log_likelihood(tokens, labels.reshape(-1)), ops.argmax(sentence, -1)


@dataclass
class Counts:
    """Sums over the evaluation set, in float64."""

    weight: float = 0.0
    correct: float = 0.0
    unigram: float = 0.0
    loss: float = 0.0
    rows: int = 0
    sentence_correct: int = 0

    def add(
        self, batch: Batch, rows: int, predicted: np.ndarray, nll: np.ndarray, sentence: np.ndarray, unigram_token: int
    ) -> None:
        """Add one batch of which the first `rows` rows are real; padding rows have weight 0."""
        labels, weight = batch.masked_lm_ids.reshape(-1), batch.masked_lm_weights.reshape(-1).astype(np.float64)
        self.weight += weight.sum()
        self.correct += weight[predicted == labels].sum()
        self.unigram += weight[labels == unigram_token].sum()
        self.loss += (weight * nll.astype(np.float64)).sum()
        self.rows += rows
        self.sentence_correct += int((sentence == batch.next_sentence_labels)[:rows].sum())

    def report(self, step: int, samples: int) -> dict[str, Any]:
        """The entry of evaluation.json."""
        return {
            "step": step,
            "samples": samples,
            "masked_lm_accuracy": self.correct / self.weight,
            "unigram_accuracy": self.unigram / self.weight,
            "next_sentence_accuracy": self.sentence_correct / self.rows,
            "masked_lm_loss": self.loss / self.weight,
        }


class Evaluator:
    """Evaluates checkpoints of one run; the graph is compiled once."""

    def __init__(self, config: EvaluateConfig) -> None:
        self.folder = RunFolder(config.run)
        sizes, block = self.folder.read_model()
        self.rows = open_rows(config.data, "held_out", sizes)
        self.unigram_token = most_frequent_label(open_rows(config.data, "train", sizes))
        self.batch_size = min(config.batch_size, len(self.rows))
        use_graph_mode(config.device_target)
        self.model = BertForPreTraining(sizes, block)
        self.model.set_train(False)
        self.predictions = Predictions(self.model)

    def evaluate(self, step: int) -> dict[str, Any]:
        """Load the checkpoint of `step` and count over the whole held-out set."""
        path = checkpoint_path(self.folder.checkpoints, step)
        checkpoint = load_checkpoint(path)
        assign(weights(self.model), checkpoint.model, path)
        counts = Counts()
        for batch, rows in evaluation_batches(self.rows, self.batch_size):
            inputs = (
                batch.input_ids,
                batch.input_mask,
                batch.segment_ids,
                batch.masked_lm_positions,
                batch.masked_lm_ids,
            )
            predicted, nll, sentence = (
                output.asnumpy() for output in self.predictions(*(Tensor(array) for array in inputs))
            )
            counts.add(batch, rows, predicted, nll, sentence, self.unigram_token)
        return counts.report(step, read_count(checkpoint.state, "samples", path))


def evaluate(config: EvaluateConfig) -> list[dict[str, Any]]:
    """Evaluate, print the original's line for each checkpoint, and write evaluation.json into the run folder."""
    folder = RunFolder(config.run)
    folder.read_config()
    available = folder.steps()
    chosen = available if config.step is None else [config.step]
    if not available:
        raise CheckpointError(f"{folder.checkpoints} holds no checkpoint: train first, or give another --run")
    if config.step is not None and config.step not in available:
        raise ConfigError(
            f"{folder.checkpoints} has no checkpoint of step {config.step}: it has {', '.join(map(str, available))}"
        )
    evaluator = Evaluator(config)
    reports = []
    for step in chosen:
        reports.append(evaluator.evaluate(step))
        print(f"step:  {step} Accuracy:  {np.array([reports[-1]['masked_lm_accuracy']], np.float32)}", flush=True)
    write_json(folder.evaluation, reports)
    return reports
