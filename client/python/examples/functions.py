# SPDX-License-Identifier: Apache-2.0
"""Functions for gather.py: python3 -m futured.worker functions.py"""
from futured import worker

seen: dict[str, int] = {}


@worker.init
def load() -> None:
    """What is heavy is loaded once in each process, before any task."""
    seen["models"] = 1


@worker.function
def resize(name: str, width: int) -> dict[str, object]:
    """Makes a picture smaller; here it only says how small."""
    if width < 1:
        raise ValueError(f"{name} cannot be {width} pixels wide")
    return {"file": f"{name.removesuffix('.png')}-{width}.png", "bytes": 3 * width * width * seen["models"]}
