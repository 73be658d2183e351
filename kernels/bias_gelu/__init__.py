"""GELU of x + bias, and its gradient."""
