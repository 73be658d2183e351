"""The training loop and what it leaves behind: run folder, checkpoints, metrics, evaluations."""
