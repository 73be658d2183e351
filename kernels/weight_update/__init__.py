"""The step of the weights with decoupled decay."""
