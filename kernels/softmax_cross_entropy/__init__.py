"""Weighted softmax cross-entropy over a vocabulary, with bias, accuracy and gradient."""
