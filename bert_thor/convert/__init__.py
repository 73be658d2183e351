"""Checkpoints in and out: Hugging Face BERT both ways, TensorFlow's and MindSpore's in.

Reading order: `command` (the direction), `names` (which tensor is which), `huggingface`, `stored_tensors`, `tokenizer`,
`tensorflow_checkpoint`, `mindspore_bert`, `run`.
Nothing here needs MindSpore, but for reading its own files.
"""
