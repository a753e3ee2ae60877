# SPDX-License-Identifier: Apache-2.0
"""futured: run tasks in parallel at a daemon that never forgets which task a result belongs to.

    with futured.Executor("unix:/run/futured/futured.sock") as executor:
        future = executor.submit("resize", "a.png", 100, labels={"customer": "42"})
        print(future.id, future.task, future.result())

Executor is a concurrent.futures.Executor; futured.aio is the same for asyncio; futured.worker serves functions of Python.
docs/python.md tells all of it.
"""
from ._errors import (CallError, DecodeError, Error, Refused, TaskError, TimedOut, TooLarge, UnknownFuture, UnknownOutcome,
                      Unreachable)
from ._executor import Executor, Function, Future
from ._task import Attempt, Completed, Options, Record, Retry, State, Task
from .codec import Encoded, pickled

__version__ = "0.1.0"

__all__ = [
    "Attempt", "CallError", "Completed", "DecodeError", "Encoded", "Error", "Executor", "Function", "Future", "Options",
    "Record", "Refused", "Retry", "State", "Task", "TaskError", "TimedOut", "TooLarge", "UnknownFuture", "UnknownOutcome",
    "Unreachable", "pickled",
]
