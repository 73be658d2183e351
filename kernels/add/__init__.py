"""The sum of two tensors, rounded once."""
