"""Damped inverses of symmetric positive definite blocks."""
