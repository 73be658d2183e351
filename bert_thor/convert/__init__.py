"""Checkpoints in and out: Hugging Face BERT both ways, google-research/bert's TensorFlow checkpoints in.

Reading order: `command` (the direction), `names` (which tensor is which), `huggingface`, `tensorflow_checkpoint`, `run`.
Nothing here needs MindSpore.
"""
