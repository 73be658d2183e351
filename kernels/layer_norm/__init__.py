"""Layer normalisation over the last axis, and its gradient."""
