# SPDX-License-Identifier: Apache-2.0
"""What can go wrong: with a task (TaskError), and with a call (CallError and those below it)."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping, Optional

import grpc

from ._google import error_details_pb2, status_pb2
from .v1 import future_pb2

if TYPE_CHECKING:
    from ._task import Task


class Error(Exception):
    """The base of all errors of this package."""


class _RemoteTraceback(Exception):
    """Shows the traceback of the worker above that of the caller, as the cause of a TaskError."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text.rstrip()}\n"""'


class TaskError(Error):
    """A task that FAILED, with all that its future says of it. The error of a task is never an error of a call.

    id           of the future
    task         what was asked for
    reason       the daemon's word: FUNCTION_ERROR, TIMEOUT, CRASHED, DEPENDENCY_FAILED and so on
    type         of the function's error, such as the class of its exception; may be empty
    message      for people
    traceback    where it happened, in the manner of the function's language; may be empty
    function_reason  the function's own reason; may be empty
    retryable    whether another attempt could end otherwise
    error        the whole as futured.v1.Error
    """

    def __init__(self, id: str, task: Optional[Task], error: future_pb2.Error) -> None:
        super().__init__(id, task, error)
        self.id = id
        self.task = task
        self.error = error
        self.reason: str = error.reason
        self.type: str = error.type
        self.message: str = error.message
        self.traceback: str = error.traceback
        self.function_reason: str = error.function_reason
        self.retryable: bool = error.retryable
        if error.traceback:
            self.__cause__ = _RemoteTraceback(error.traceback)

    def __str__(self) -> str:
        what = [self.task.function] if self.task else []
        if self.reason != "FUNCTION_ERROR" or not self.type:
            what.append(self.reason)
        if self.type:
            what.append(self.type)
        return ": ".join([*what, self.message] if self.message else what) + f" (future {self.id})"


class DecodeError(Error, ValueError):
    """Bytes that cannot be read as their content type says; `data` and `content_type` are what came."""

    def __init__(self, message: str, data: bytes, content_type: str) -> None:
        super().__init__(message)
        self.data = data
        self.content_type = content_type


class CallError(Error):
    """A call that the daemon refused or that did not reach it.

    code      name of the gRPC status, such as "INVALID_ARGUMENT"
    reason    the daemon's reason, such as "NO_SUCH_FUNCTION"; empty where the call did not reach it
    metadata  of the reason
    retry_after  seconds after which the same may be tried again; None: it would be refused again
    id        of the future that it is about, where there is one
    """

    def __init__(self, code: str, message: str, reason: str = "", metadata: Optional[Mapping[str, str]] = None,
                 retry_after: Optional[float] = None, id: Optional[str] = None) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.retry_after = retry_after
        self.id = id

    def __str__(self) -> str:
        return f"{self.reason or self.code}: {self.message}"


class UnknownFuture(CallError, LookupError):
    """There is no future of that ID: it never was, was deleted, or its retention has ended."""


class Refused(CallError):
    """A submission that the daemon did not accept: nothing runs."""


class TooLarge(Refused, ValueError):
    """A task larger than the daemon's largest message: nothing was sent."""


class Unreachable(CallError, ConnectionError):
    """The daemon was not there for as long as the client was told to be patient. What it has accepted goes on."""


class UnknownOutcome(CallError):
    """Whether a submission was accepted is not known, and the daemon no longer knows either. Who has to know submits with an
    idempotency key."""


class TimedOut(CallError, TimeoutError):
    """The daemon did not answer in time."""


_NAMES: dict[int, str] = {code.value[0]: code.name for code in grpc.StatusCode}


def of_status(status: status_pb2.Status, otherwise: type[CallError] = CallError, id: Optional[str] = None) -> CallError:
    """The exception for what the daemon says of a call."""
    reason, metadata, retry_after = "", {}, None
    for packed in status.details:
        if packed.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            info = error_details_pb2.ErrorInfo()
            packed.Unpack(info)
            reason, metadata = info.reason, dict(info.metadata)
        elif packed.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            retry = error_details_pb2.RetryInfo()
            packed.Unpack(retry)
            retry_after = retry.retry_delay.ToNanoseconds() / 1e9
    code = _NAMES.get(status.code, "UNKNOWN")
    kinds: dict[str, type[CallError]] = {"NO_SUCH_FUTURE": UnknownFuture, "UNKNOWN_OUTCOME": UnknownOutcome}
    return kinds.get(reason, otherwise)(code, status.message, reason, metadata, retry_after, id)


def of_call(error: Any, otherwise: type[CallError] = CallError, id: Optional[str] = None) -> CallError:
    """The exception for a call that has failed, from grpc's."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            return of_status(status_pb2.Status.FromString(value), otherwise, id)
    code: str = error.code().name
    kinds: dict[str, type[CallError]] = {"UNAVAILABLE": Unreachable, "DEADLINE_EXCEEDED": TimedOut}
    kind = kinds.get(code, otherwise)
    return kind(code, error.details() or code, id=id)
