"""The preconditioned gradient G^-1 dW A^-1 with block-diagonal inverses."""
