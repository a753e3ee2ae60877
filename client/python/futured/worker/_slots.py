# SPDX-License-Identifier: Apache-2.0
"""Where functions run: a slot is a thread that takes one item after another. It runs the function itself, or has a process of its
own for it, which may crash, be killed, and use a processor alone."""
from __future__ import annotations

import logging
import multiprocessing.connection
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any, Optional, Sequence

from ..v1 import workers_pb2 as w
from ._context import Context
from ._registry import Registry
from ._session import Held, Session

# The first byte of each message between a slot and its process (_child.py); the rest is protobuf, text or nothing.
TASK, CANCEL, READY, FAILED, SAID, FINISHED = b"T", b"C", b"+", b"-", b"S", b"F"
_log = logging.getLogger("futured.worker")
_RESPAWN = 0.2  # seconds between two attempts to start a process
_CODE_INTERNAL, _CODE_CANCELLED = 13, 1


class InitFailed(Exception):
    """What @worker.init has registered has raised; the traceback is the message."""


class Slot(threading.Thread):
    """Takes items until there are no more."""

    def __init__(self, session: Session, n: int) -> None:
        super().__init__(name=f"futured-slot-{n}", daemon=True)
        self.session = session

    def run(self) -> None:
        try:
            while (held := self.session.take()) is not None:
                self.session.finish(held, self.run_item(held))
                self.recover()
        finally:
            self.close()

    def run_item(self, held: Held) -> w.Finish:
        raise NotImplementedError

    def recover(self) -> None:
        """Before the next item."""

    def close(self) -> None:
        """Free what it has."""

    def kill(self) -> None:
        """Nobody waits for what runs any more."""


class ThreadSlot(Slot):
    """Runs functions in its own thread: a cancel is a flag, and no more."""

    def __init__(self, session: Session, n: int, registry: Registry) -> None:
        super().__init__(session, n)
        self.registry = registry

    def run_item(self, held: Held) -> w.Finish:
        context = Context(held.item, lambda request: self.session.say(held, request))
        self.session.on_cancel(held, lambda reason, grace: context._cancel(reason))
        return self.registry.run(context, self.session.max_result_bytes)


class ProcessSlot(Slot):
    """Has a process run functions, one at a time. A cancel is a flag there; what does not heed it within the grace is killed, and
    another process takes its place, as it does after a crash."""

    def __init__(self, session: Session, n: int, modules: Sequence[str]) -> None:
        super().__init__(session, n)
        self.modules = modules
        self.lock = threading.Lock()
        self.process: subprocess.Popen[bytes]
        self.pipe: Any
        self.spawn()

    def spawn(self) -> None:
        """Start a process; returns when it has run what init() has registered. InitFailed."""
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "futured.worker._child", str(theirs.fileno()), *self.modules],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)})
        self.pipe = multiprocessing.connection.Connection(ours.detach())
        try:
            said = self.pipe.recv_bytes()
        except EOFError:
            said = FAILED + f"the process has ended with {self.process.wait()}".encode()
        if not said.startswith(READY):
            self.process.wait()
            raise InitFailed(said[1:].decode(errors="replace"))

    def recover(self) -> None:
        """After a crash: until another process has come up, or the worker goes."""
        if self.process.poll() is None:
            return
        self.pipe.close()
        while not (self.session.is_over or self.session.is_leaving):
            try:
                return self.spawn()
            except InitFailed as error:
                _log.error("a process could not be started again: %s", error)
                time.sleep(_RESPAWN)

    def send(self, kind: bytes, data: bytes = b"") -> None:
        with self.lock:
            try:
                self.pipe.send_bytes(kind + data)
            except OSError:
                pass  # it has died: recv_bytes() tells

    def run_item(self, held: Held) -> w.Finish:
        kill: Optional[threading.Timer] = None
        is_over = False

        def cancel(reason: str, grace: Optional[float]) -> None:
            nonlocal kill
            with self.session.lock:
                if is_over or kill is not None:
                    return
                kill = threading.Timer(grace or 0.0, self.process.kill)
                kill.daemon = True
            self.send(CANCEL, reason.encode())
            kill.start()
        self.send(TASK, self.session.max_result_bytes.to_bytes(8, "big") + held.item.SerializeToString())
        self.session.on_cancel(held, cancel)
        try:
            while True:
                said = self.pipe.recv_bytes()
                if said.startswith(FINISHED):
                    finished: w.Finish = w.Finish.FromString(said[1:])
                    return finished
                self.session.say(held, w.AttachRequest.FromString(said[1:]))
        except (EOFError, OSError):
            return self.post_mortem(held, kill is not None)
        finally:
            with self.session.lock:
                is_over = True
            if kill is not None:
                kill.cancel()

    def post_mortem(self, held: Held, was_cancelled: bool) -> w.Finish:
        status = self.process.wait()
        finish = w.Finish(lease=held.item.lease)
        if was_cancelled and status == -signal.SIGKILL:
            finish.error.code = _CODE_CANCELLED  # type: ignore[assignment]
            finish.error.reason = "CANCELLED"
            finish.error.message = "killed at the end of its grace"
            finish.signal = signal.SIGKILL
            return finish
        finish.error.code = _CODE_INTERNAL  # type: ignore[assignment]
        finish.error.reason = "CRASHED"
        if status < 0:
            finish.signal = -status
            try:
                finish.error.message = f"killed by {signal.Signals(-status).name}"
            except ValueError:
                finish.error.message = f"killed by signal {-status}"
        else:
            finish.exit_code = status
            finish.error.message = f"its process ended with exit code {status}"
        return finish

    def close(self) -> None:
        self.pipe.close()  # it ends by that
        self.process.wait()

    def kill(self) -> None:
        self.process.kill()
