# SPDX-License-Identifier: Apache-2.0
"""The process of a ProcessSlot: python3 -m futured.worker._child FD MODULE... Its main thread runs functions, one at a time; another
one reads. It ends when the other end of FD is closed."""
from __future__ import annotations

import multiprocessing.connection
import os
import queue
import resource
import signal
import sys
import threading
import traceback
from typing import Any, Optional

from .. import worker
from ..v1 import workers_pb2 as w
from ._context import Context
from ._load import load
from ._slots import CANCEL, FAILED, FINISHED, READY, SAID, TASK


class Child:
    def __init__(self, pipe: Any) -> None:
        self.pipe = pipe
        self.lock = threading.Lock()
        self.tasks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.running: Optional[Context] = None
        self.pending: Optional[str] = None

    def send(self, kind: bytes, data: bytes = b"") -> None:
        with self.lock:
            self.pipe.send_bytes(kind + data)

    def read(self) -> None:
        """In a thread of its own."""
        while True:
            try:
                said = self.pipe.recv_bytes()
            except (EOFError, OSError):
                os._exit(0)  # the worker has gone
            if said.startswith(TASK):
                self.tasks.put(said[1:])
            elif said.startswith(CANCEL):
                self.cancel(said[1:].decode(errors="replace"))

    def cancel(self, reason: str) -> None:
        with self.lock:
            running = self.running
            if running is None:
                self.pending = reason  # it has been sent and has not begun
        if running is not None:
            running._cancel(reason)

    def run(self) -> None:
        while True:
            task = self.tasks.get()
            context = Context(w.Assignment.FromString(task[8:]), lambda request: self.send(SAID, request.SerializeToString()))
            with self.lock:
                self.running, pending, self.pending = context, self.pending, None
            if pending is not None:
                context._cancel(pending)
            finish = worker.registry.run(context, int.from_bytes(task[:8], "big"), resource.RUSAGE_SELF)
            finish.usage.max_rss_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            with self.lock:
                self.running = None
            sys.stdout.flush()
            self.send(FINISHED, finish.SerializeToString())


def main(fd: int, modules: list[str]) -> None:
    # The worker decides when this process ends; a terminal's ^C goes to all.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = Child(multiprocessing.connection.Connection(fd))
    try:
        for module in modules:
            load(module)
        worker.registry.begin()
    except BaseException:
        child.send(FAILED, traceback.format_exc().encode())
        sys.exit(1)
    child.send(READY)
    threading.Thread(target=child.read, daemon=True).start()
    child.run()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
