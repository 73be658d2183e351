"""Soft thresholding."""
