"""Whole steps of training: an encoder beside PyTorch's, BERT-Large once, and what a step costs against its sizes."""
