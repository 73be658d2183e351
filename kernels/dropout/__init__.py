"""Dropout whose mask is a function of element index and key (Philox4x32-10)."""
