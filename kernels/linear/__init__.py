"""Products of a linear layer: x Wᵀ, dY W, dYᵀ x."""
