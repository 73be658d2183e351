"""Checkpoints in and out: Hugging Face BERT both ways, google-research/bert's TensorFlow checkpoints in.

Reading order: `command` (the direction), `names` (which tensor is which), `huggingface`, `tensorflow_checkpoint`, `run`.
Nothing here needs MindSpore.
"""

from bert_thor.convert.command import ConvertConfig, convert, export_huggingface
from bert_thor.convert.errors import ConvertError
from bert_thor.convert.huggingface import import_huggingface
from bert_thor.convert.tensorflow_checkpoint import import_tensorflow

__all__ = ["ConvertConfig", "ConvertError", "convert", "export_huggingface", "import_huggingface", "import_tensorflow"]
