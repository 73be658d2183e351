"""Text in, a data folder out: what `bert-thor prepare` and `bert-thor merge` do.

Reading order: `config` (the options), `pipeline` (the steps), `documents` and `split` (what is in the text, which of it trains),
`row_files` (documents to rows), `finished` (going on after an interruption), `share` (several machines).
"""

from bert_thor.data.prepare.config import PrepareConfig
from bert_thor.data.prepare.pipeline import prepare
from bert_thor.data.prepare.share import MergeConfig, merge

__all__ = ["MergeConfig", "PrepareConfig", "merge", "prepare"]
