"""THOR beside tuned baselines: accuracy by steps and by seconds."""
