"""BERT: its sizes, the list of its parameters, its layers and the model."""
