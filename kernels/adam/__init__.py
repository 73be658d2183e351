"""Adam's direction and its two moments."""
