"""Average of a Fisher factor over time, without the blocks that are not finite."""
