"""What the kernels for the first Ascend 910 share: the chip's sizes, helpers for TIK, registration."""
