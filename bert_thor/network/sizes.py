"""The network's sizes: every BERT of the original and the small ones that fit a laptop."""

from __future__ import annotations

from dataclasses import dataclass

from bert_thor.errors import ConfigError

LARGEST_SIZE = 1 << 24
"""Sizes of a network above this are a slip of the pen."""


@dataclass(frozen=True)
class BertConfig:
    """Sizes of one BERT (Devlin et al., 2018, arXiv 1810.04805)."""

    vocab_size: int = 30522
    """Rows of the token table (WordPiece vocabulary size)."""
    hidden_size: int = 1024
    """Width h of the network."""
    num_layers: int = 24
    """Encoder layers."""
    num_heads: int = 16
    """Attention heads; h must be a multiple."""
    intermediate_size: int = 4096
    """Width of the feed-forward layer."""
    max_position: int = 512
    """Rows of the position table: the longest sequence."""
    type_vocab_size: int = 2
    """Segment ids."""
    hidden_dropout: float = 0.1
    """Dropout probability after the embeddings and before each residual sum, in [0, 1)."""
    attention_dropout: float = 0.1
    """Dropout probability on the attention weights, in [0, 1)."""
    initializer_range: float = 0.02
    """Standard deviation of the truncated normal (cut at 2 deviations) that weights start from."""
    layer_norm_eps: float = 1e-12
    """Added to the variance in layer normalisation."""

    def check(self) -> None:
        """Raise `ConfigError` with one sentence when a size is impossible."""
        for name in (
            "vocab_size",
            "hidden_size",
            "num_layers",
            "num_heads",
            "intermediate_size",
            "max_position",
            "type_vocab_size",
        ):
            if not 1 <= getattr(self, name) <= LARGEST_SIZE:
                raise ConfigError(f"{name} is {getattr(self, name)}: it must be 1 or more, and at most {LARGEST_SIZE}")
        if self.hidden_size % self.num_heads:
            raise ConfigError(
                f"hidden_size {self.hidden_size} is not a multiple of num_heads {self.num_heads}: choose sizes that divide"
            )
        for name in ("hidden_dropout", "attention_dropout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ConfigError(f"{name} is {getattr(self, name)}: it must be at least 0 and below 1")


BERT_SIZES = {
    "bert-large": BertConfig(),
    "bert-base": BertConfig(hidden_size=768, num_layers=12, num_heads=12, intermediate_size=3072),
    "bert-medium": BertConfig(hidden_size=512, num_layers=8, num_heads=8, intermediate_size=2048),
    "bert-small": BertConfig(hidden_size=512, num_layers=4, num_heads=8, intermediate_size=2048),
    "bert-mini": BertConfig(
        hidden_size=256, num_layers=4, num_heads=4, intermediate_size=1024, vocab_size=8192, max_position=128
    ),
    "bert-tiny": BertConfig(
        hidden_size=128, num_layers=2, num_heads=2, intermediate_size=512, vocab_size=8192, max_position=128
    ),
}
"""Sizes by name: large and base as the original's, the others as Turc et al. (2019), mini and tiny with a small vocabulary."""
