"""New inverses that can be trusted take the place of old ones."""
