"""Rows on disk: TFRecord files, their schema and manifest."""
