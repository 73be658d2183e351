"""The optimizers, one file each: the rule for matrices, the rule for the rest, the defaults, the state. A new file is found by itself."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from bert_thor.optimizer.methods.method import METHODS, Method, method, preset

__all__ = ["METHODS", "Method", "method", "preset"]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
