"""THOR and other methods for any MindSpore network: `Thor` trains, one named rule per parameter."""

from __future__ import annotations

from bert_thor.optimizer.block_choice import choose_block
from bert_thor.optimizer.config import OptimizerConfig
from bert_thor.optimizer.methods import preset
from bert_thor.optimizer.thor import StepResult, Thor

__all__ = ["OptimizerConfig", "StepResult", "Thor", "choose_block", "preset"]
