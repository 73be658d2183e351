"""Text to pretraining instances: corpora, vocabularies, masking."""
