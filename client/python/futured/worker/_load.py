# SPDX-License-Identifier: Apache-2.0
"""Modules that register functions, by name or by file."""
from __future__ import annotations

import importlib
import importlib.util
import os
import sys


def load(module: str) -> None:
    """Import `package.module`, or the file of a path that ends in .py."""
    if not module.endswith(".py"):
        importlib.import_module(module)
        return
    name = os.path.basename(module)[:-3]
    spec = importlib.util.spec_from_file_location(name, module)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {module}")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded
    spec.loader.exec_module(loaded)


def main_module() -> list[str]:
    """The program that runs, as load() takes it: where functions were registered that processes need, too."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return [] if spec.name.startswith("futured.worker") else [str(spec.name)]
    file = getattr(main, "__file__", None)
    return [os.path.abspath(file)] if file and file.endswith(".py") else []
