"""`--block auto`: the edge of the factors' blocks that a run takes, measured once, before it begins."""

from __future__ import annotations

from dataclasses import replace

from bert_thor.compat import use_graph_mode
from bert_thor.data.batches.rows import Rows, TrainingBatches
from bert_thor.errors import ConfigError
from bert_thor.network.model import BertForPreTraining, PretrainingLoss
from bert_thor.network.precision import choose_precision
from bert_thor.optimizer import choose_block
from bert_thor.parallel.world import launched_ranks
from bert_thor.recipes import PretrainConfig
from bert_thor.training.inputs import groups_of, inputs_and_labels
from bert_thor.training.run_folder import RunFolder


def with_stored_block(config: PretrainConfig, folder: RunFolder) -> PretrainConfig:
    """`config` with the run's own number for `block` auto, if it is resumed."""
    if config.optimizer.block == "auto" and config.resumes and folder.config.is_file():
        return _with_block(config, int(folder.read_config()["optimizer.block"]))
    return config


def with_measured_block(config: PretrainConfig, rows: Rows) -> PretrainConfig:
    """`config` with the measured number for `block` auto; the table is printed.

    What is measured is one micro-batch, because a whole batch may not fit into memory.
    """
    if launched_ranks() > 1:
        raise ConfigError(
            "block is auto with several processes: measure with one process first, then give the number with --block"
        )
    use_graph_mode(config.device_target)
    batch = next(TrainingBatches(rows, config.batch_size // config.accumulate, config.seed, ahead=0))
    network = BertForPreTraining(
        config.model, config.seed, choose_precision(config.precision, config.device_target).precision
    )
    inputs, labels = inputs_and_labels(batch, config.seed, step=0)
    choice = choose_block(network, PretrainingLoss(), inputs, labels, config.optimizer, groups_of(config.model))
    print(choice.table, flush=True)
    return _with_block(config, choice.block)


def _with_block(config: PretrainConfig, block: int) -> PretrainConfig:
    return replace(config, optimizer=replace(config.optimizer, block=block))
