# SPDX-License-Identifier: Apache-2.0
"""What a running function can ask and tell: context()."""
from __future__ import annotations

import contextvars
import datetime
import logging
import threading
from dataclasses import dataclass, field
from typing import Any, Callable, Optional, Union

from .. import _task, codec
from .._errors import TaskError
from ..v1 import future_pb2, workers_pb2

_MESSAGE = 1024  # bytes of Progress.message


class Cancelled(Exception):
    """Raised by Context.check(): somebody wants the attempt to end. A function lets it pass."""


class Failure(Exception):
    """Raised by a function to say more of its error than an exception says: `type` and `reason` of its own, and whether another
    attempt could end otherwise (the retry policy decides only where it could)."""

    def __init__(self, message: str, *, type: str = "", reason: str = "", retryable: bool = True) -> None:
        super().__init__(message)
        self.message = message
        self.type = type
        self.reason = reason
        self.retryable = retryable


@dataclass(frozen=True)
class Upstream:
    """The outcome of a future that the task depends on, where it asked for pass_results. value is None where there is an error."""

    id: str
    value: Any = None
    error: Optional[TaskError] = None


@dataclass
class Context:
    """One attempt, as its function sees it. May be used by any thread of the function."""

    assignment: workers_pb2.Assignment = field(repr=False)
    say: Callable[[workers_pb2.AttachRequest], None] = field(repr=False)
    pickle: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        self._cancelled = threading.Event()
        self._reason = ""

    # --- what is asked

    @property
    def id(self) -> str:
        """Of the future."""
        return self.assignment.id

    @property
    def attempt(self) -> int:
        """1 for the first."""
        return self.assignment.attempt

    @property
    def task(self) -> _task.Task:
        return _task.task_of(self.assignment.task, self.assignment.group)

    @property
    def upstream(self) -> tuple[Upstream, ...]:
        """In the order of depends_on."""
        got = []
        for u in self.assignment.upstream:
            if u.HasField("error"):
                got.append(Upstream(u.id, error=TaskError(u.id, None, u.error)))
            else:
                got.append(Upstream(u.id, codec.decode(u.result.data, u.result.content_type, pickle=self.pickle)))
        return tuple(got)

    @property
    def deadline(self) -> Optional[datetime.datetime]:
        """When the future fails; None: never."""
        return _task._datetime(self.assignment, "deadline")

    @property
    def traceparent(self) -> str:
        """The W3C trace context that came with the submission."""
        return self.assignment.traceparent

    # --- cancelling

    @property
    def cancelled(self) -> bool:
        """Whether somebody wants the attempt to end."""
        return self._cancelled.is_set()

    @property
    def cancel_reason(self) -> str:
        return self._reason

    def check(self) -> None:
        """Raise Cancelled where somebody wants the attempt to end."""
        if self.cancelled:
            raise Cancelled(self._reason)

    def wait_cancelled(self, timeout: Optional[float] = None) -> bool:
        """Wait for that, at most `timeout` seconds: a sleep that ends when it should."""
        return self._cancelled.wait(timeout)

    def _cancel(self, reason: str) -> None:
        self._reason = reason
        self._cancelled.set()

    # --- what is told

    def progress(self, completed: int, total: int = 0, message: str = "") -> None:
        """How far it is, in units of its choice; only the last counts."""
        cut = message.encode()[:_MESSAGE].decode(errors="ignore")
        self.say(workers_pb2.AttachRequest(progress=[workers_pb2.AttemptProgress(
            lease=self.assignment.lease, progress=future_pb2.Progress(completed=completed, total=total, message=cut))]))

    def output(self, data: Union[bytes, str]) -> None:
        """Output before the end, for who watches. The daemon keeps a limited part of it ([limits] max_output)."""
        data = data.encode() if isinstance(data, str) else bytes(data)
        self.say(workers_pb2.AttachRequest(output=[workers_pb2.Output(data=data)]))

    def log(self, text: str) -> None:
        """A line of the future's log, of which the daemon keeps a limited part ([limits] max_log)."""
        line = text if text.endswith("\n") else text + "\n"
        self.say(workers_pb2.AttachRequest(log=[workers_pb2.Log(data=line.encode())]))


_current: contextvars.ContextVar[Context] = contextvars.ContextVar("futured_context")


def context() -> Context:
    """The context of the function that runs in this thread. RuntimeError where none does."""
    try:
        return _current.get()
    except LookupError:
        raise RuntimeError("no function of a worker runs in this thread") from None


class LogHandler(logging.Handler):
    """Sends what a function logs by the logging module to its future's log."""

    def emit(self, record: logging.LogRecord) -> None:
        running = _current.get(None)
        if running is not None:
            running.log(self.format(record))
