"""What the project is held to, measured: kernels beside their peers, kernels for Ascend in the simulator, steps, convergence."""
