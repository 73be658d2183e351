"""Rows to batches: which row comes when, read ahead."""
