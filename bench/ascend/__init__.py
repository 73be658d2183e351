"""The kernels for Ascend 910 over the shapes of BERT-Large, in the simulator."""
