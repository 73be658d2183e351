"""Self-attention of all heads on the packed query-key-value projection, and its gradient."""
