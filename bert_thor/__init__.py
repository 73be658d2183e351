"""Pretrain BERT with the second-order optimizer THOR, in MindSpore, on hand-written kernels."""

__version__ = "0.1.0"
