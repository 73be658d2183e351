"""Kernels: one folder per operation, one file per way of computing it. Knows nothing of MindSpore or of BERT."""
