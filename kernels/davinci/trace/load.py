"""Importing a kernel file as it is: CANN's ``te``, ``tbe``, ``topi`` and ``impl`` and MindSpore's registration are stand-ins.

While a kernel file is imported or traced, ``import te`` and its kin find modules made here, and the kernel's own package
finds its files. ``sys.modules`` is put back afterwards, so a real MindSpore in the same process is not disturbed.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from ..errors import ArgumentError
from . import tik
from .stand_ins import KNOWN, known

ROOTS = ("te", "tbe", "topi", "impl", "mindspore")
KERNEL_PACKAGE, MINDSPORE_PACKAGE = "impl", "mindspore.ops._op_impl._custom_op"
STANDALONE = "davinci_kernel_"
_NEIGHBOUR = re.compile(r"^\s*(?:from|import)\s+(\w+)(?:\.|\s+import\s+)(\w+)", re.MULTILINE)


class _Module(ModuleType):
    """A stand-in module: the kernel's neighbours, then what CANN's names stand for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        full = f"{self.__name__}.{name}"
        if full in sys.modules:
            return sys.modules[full]
        finders = [f for f in sys.meta_path if isinstance(f, _Finder)]
        if name == "tik" or any(finder.is_file(full) for finder in finders):
            return importlib.import_module(full)
        for finder in finders:
            finder.run_init(self)
        return vars(self)[name] if name in vars(self) else known(name, self.__name__)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the files of the kernel's packages, and stand-ins for everything else under ``ROOTS``.

    Args:
        folders: where the files of a package lie, by its dotted name.
    """

    def __init__(self, folders: dict[str, str]) -> None:
        self.folders = folders
        self._roots = {*ROOTS, *(name.split(".")[0] for name in folders)}

    def owns(self, name: str) -> bool:
        """Whether a module belongs to CANN, to MindSpore or to the kernel's package."""
        return name.split(".")[0] in self._roots

    def _path(self, name: str) -> str | None:
        for package, folder in self.folders.items():
            if name.startswith(package + "."):
                return os.path.join(folder, *name[len(package) + 1 :].split("."))
        return None

    def is_file(self, name: str) -> bool:
        """Whether the kernel's package has a module or a folder of that name."""
        path = self._path(name)
        return path is not None and (os.path.isfile(path + ".py") or os.path.isdir(path))

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> Any:
        """A neighbour's file, the stand-in for a module, or None when it is neither."""
        if not self.owns(name):
            return None
        file = self._path(name)
        if file is not None and os.path.isfile(file + ".py"):
            return importlib.util.spec_from_file_location(name, file + ".py")
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def run_init(self, module: ModuleType) -> None:
        """Run the ``__init__`` of a folder inside the kernel's package, once, when something is asked for that is no file.

        That of the package itself is never run: CANN's imports every kernel that there is.
        """
        folder = self._path(module.__name__)
        file = os.path.join(folder, "__init__.py") if folder else ""
        if os.path.isfile(file) and "__file__" not in vars(module):
            module.__file__ = file
            spec = importlib.util.spec_from_file_location(module.__name__, file)
            assert spec is not None and spec.loader is not None
            spec.loader.exec_module(module)

    def create_module(self, spec: Any) -> ModuleType:
        """An empty stand-in, or ``tik`` itself."""
        module = _Module(spec.name)
        if spec.name.rsplit(".", 1)[-1] == "tik":
            module.__dict__.update({k: v for k, v in vars(tik).items() if not k.startswith("_")})
        else:
            module.__dict__["__all__"] = sorted(KNOWN)  # for star imports
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: the content is looked up when it is asked for."""


def _folders(directory: str, package: str | None) -> dict[str, str]:
    """Where a kernel in ``directory`` finds the files of its packages."""
    folders = {MINDSPORE_PACKAGE: directory, KERNEL_PACKAGE: directory}
    if package:
        root, name = directory, package.split(".")
        for _ in name[1:]:
            root = os.path.dirname(root)
        folders[name[0]] = root  # a package of one name is the kernel's folder, whatever that is called
    return folders


@contextmanager
def stand_ins(directory: str, package: str | None = None) -> Iterator[None]:
    """Let ``import te`` and its kin find the stand-ins inside the block.

    Args:
        directory: the folder of the kernel's file.
        package: dotted name of that folder as the kernel's imports have it.
    """
    finder = _Finder(_folders(directory, package))

    def ours() -> list[str]:
        return [name for name in sys.modules if finder.owns(name)]

    saved = {name: sys.modules.pop(name) for name in ours()}
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in ours():
            del sys.modules[name]
        sys.modules.update(saved)


def load(path: str, package: str | None = None) -> ModuleType:
    """Import a kernel file written for CANN, without CANN and without MindSpore.

    Args:
        path: a Python file that imports ``te``, ``tbe`` or ``topi``.
        package: dotted name of the package in whose folder the file lies, for kernels that import their neighbours by it
            (``impl.dynamic``); a single name stands for the file's folder, whatever that is called. By default the part of the
            path from its last folder ``impl`` on, if there is one, and the name by which the file imports its neighbours.

    Returns:
        The module; its kernel functions are attributes.

    Raises:
        ArgumentError: the file does not exist, or its folders are not those of the package.
    """
    path = os.path.abspath(path)
    if not os.path.isfile(path):
        raise ArgumentError(f"there is no kernel file {path}")
    directory, file = os.path.split(path)
    imported = None if package else _package_of(directory)
    package = package or _package_by_imports(path) or _package_by_path(directory)
    if package and "." in package and not directory.replace(os.sep, ".").endswith("." + package):
        raise ArgumentError(f"{path} does not lie in the folders of package {package}")
    name = ".".join(filter(None, (imported or package, file[:-3] if imported or package else STANDALONE + file[:-3])))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with stand_ins(directory, None if imported else package):
        if package and not imported:
            sys.modules[name] = module  # a neighbour that imports this file gets this module
        _execute(spec.loader, module)
    return module


def _execute(loader: Any, module: ModuleType) -> None:
    """Run the file. Where its neighbours import each other in a circle, the one that found the other unfinished goes first.

    Under CANN the package's ``__init__`` has imported them in such an order before.
    """
    try:
        loader.exec_module(module)
    except ImportError as error:
        names = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
        first = next((n for n in reversed(names) if n.split(".")[0] == KERNEL_PACKAGE), module.__name__)
        if error.name is None or error.name not in names or first == module.__name__:
            raise
        importlib.import_module(first)
        loader.exec_module(module)


def package_of_kernel(kernel: Any) -> str | None:
    """The package under which ``load`` imported the file of a kernel function; None for one that Python knows by itself."""
    package = str(getattr(kernel, "__globals__", {}).get("__name__", "")).rpartition(".")[0]
    is_own = package.split(".")[0] == KERNEL_PACKAGE or package not in sys.modules
    return package if package and is_own else None


def _package_by_path(directory: str) -> str | None:
    parts = directory.split(os.sep)
    if KERNEL_PACKAGE not in parts:
        return None
    last = len(parts) - 1 - parts[::-1].index(KERNEL_PACKAGE)
    return ".".join(parts[last:])


def _package_by_imports(path: str) -> str | None:
    """The name under which a file imports its neighbours where its own folder is called otherwise and nothing has that name.

    Repositories keep kernels in a folder that installation renames.
    """
    directory = os.path.dirname(path)
    with open(path, encoding="utf-8", errors="replace") as file:
        imports = _NEIGHBOUR.findall(file.read())
    for package, neighbour in imports:
        is_unknown = package not in ROOTS and package not in sys.modules and importlib.util.find_spec(package) is None
        if is_unknown and os.path.isfile(os.path.join(directory, neighbour + ".py")):
            return str(package)
    return None


def _package_of(directory: str) -> str | None:
    """The imported package whose folder this is, so that relative imports in the kernel work."""
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] not in ROOTS and directory in map(
            os.path.abspath, getattr(module, "__path__", None) or ()
        ):
            return name
    return None
