"""Rows of a table by index, and the gradient of the table."""
