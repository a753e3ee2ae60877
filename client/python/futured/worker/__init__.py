# SPDX-License-Identifier: Apache-2.0
"""Serve functions written in Python to a futured daemon.

    from futured import worker

    @worker.init
    def load():
        global model
        model = read_model()          # once in each process, before any task

    @worker.function
    def resize(name, size):
        for n, part in enumerate(parts(name)):
            worker.context().check()  # raises Cancelled when somebody wants it to end
            worker.context().progress(n, 10)
        return {"bytes": 5}

    if __name__ == "__main__":
        worker.run("unix:/run/futured/futured.sock", slots=4)

or `python3 -m futured.worker MODULE`. A JSON array is positional arguments, a JSON object keyword arguments, anything else the one
argument; an empty argument is none where the function needs none. Results: bytes, text, JSON, futured.pickled().
"""
from __future__ import annotations

from typing import Any, Optional

from ._context import Cancelled, Context, Failure, LogHandler, Upstream, context
from ._registry import Registry
from ._worker import Worker

__all__ = ["Cancelled", "Context", "Failure", "LogHandler", "Registry", "Upstream", "Worker", "context", "function", "init",
           "registry", "run"]

registry = Registry()
function = registry.function
init = registry.init


def run(address: Optional[str] = None, **options: Any) -> None:
    """Serve the functions registered so far until SIGTERM or SIGINT, or until the daemon lets the worker go; what runs is finished
    first. `options` are those of Worker."""
    Worker(registry, address, **options).run()
