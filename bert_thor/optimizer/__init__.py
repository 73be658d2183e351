"""THOR and first-order optimizers: one update loop, one named rule per parameter."""
