"""Fisher factors of dense layers: the diagonal blocks of x^T diag(w) x / N."""
