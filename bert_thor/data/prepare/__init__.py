"""Text in, a data folder out: what `bert-thor prepare` does."""

from bert_thor.data.prepare.config import PrepareConfig
from bert_thor.data.prepare.pipeline import prepare

__all__ = ["PrepareConfig", "prepare"]
