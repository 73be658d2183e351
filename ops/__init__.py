"""MindSpore operators over the kernels: one file per operation, forward, bprop, and the choice of backend."""
