"""y = layer_norm(residual + dropout(x)) as one operation, and its gradient."""
