# SPDX-License-Identifier: Apache-2.0
"""Functions for test_python_worker.py: served by threads and by processes. `hold` tells in one fifo that it runs and waits for a byte in
another."""
import logging
import os
import select
import signal
import threading

import futured
from futured import worker

loaded = []


@worker.init
def load():
    loaded.append(os.getpid())
    logging.getLogger("futured-test").addHandler(worker.LogHandler())
    logging.getLogger("futured-test").propagate = False


@worker.function
def add(a, b=0):
    """Adds."""
    return a + b


@worker.function(name="kind")
def kind_of(value="nothing"):
    return [type(value).__name__, value if not isinstance(value, bytes) else value.hex()]


@worker.function
def state():
    return {"loaded": loaded, "here": os.getpid()}


_alone = threading.Lock()


@worker.function(max_running=1)
def alone(n):
    if not _alone.acquire(blocking=False):
        raise RuntimeError("another runs beside it")
    try:
        return [n, sum(range(10000))]
    finally:
        _alone.release()


@worker.function
def large(n):
    return b"x" * n


@worker.function
def size(data):
    return len(data)


@worker.function
def raises(what):
    if what == "failure":
        raise worker.Failure("quota", type="QUOTA", reason="OVER_QUOTA", retryable=False)
    if what == "exit":
        raise SystemExit(3)
    if what == "unwritable":
        return object()
    raise KeyError(what)


@worker.function(options=futured.Options(retry=futured.Retry(2, initial_backoff=0, jitter=0)))
def flaky():
    if worker.context().attempt == 1:
        raise OSError("not yet")
    return worker.context().attempt


@worker.function
def about():
    c = worker.context()
    c.progress(1, 2, "half")
    c.output(b"out")
    c.log("a line")
    logging.getLogger("futured-test").warning("by %s", "logging")
    return {"id": c.id, "attempt": c.attempt, "labels": dict(c.task.labels), "group": c.task.group, "cancelled": c.cancelled}


@worker.function
def floods(n):
    for _ in range(n >> 16):
        worker.context().output(b"x" * 65536)
    return n


@worker.function
def total():
    return [u.value if u.error is None else u.error.type for u in worker.context().upstream]


@worker.function
def hold(path, heeds=True):
    with open(path, "wb", buffering=0) as fifo:  # opened: it runs
        fifo.write(b"%d\n" % os.getpid())
    worker.context().log("begins")
    worker.context().progress(0, 0, "holding")
    with open(path + ".end", "rb", buffering=0) as end:
        while not select.select([end], [], [], 0.05 if heeds else None)[0]:
            worker.context().check()
        end.read(1)
    worker.context().log("ends")
    return "held"


@worker.function
async def later(value):
    return value


@worker.function
def crash(how):
    if how == "exit":
        os._exit(7)
    os.kill(os.getpid(), signal.SIGSEGV)


@worker.function(pickle=True)
def unpickled(value):
    return sorted(value)
