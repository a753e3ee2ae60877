# SPDX-License-Identifier: Apache-2.0
"""Where the daemon is, and calls of it that have one answer."""
from __future__ import annotations

import os
import threading
import time
from typing import Any, Callable, Optional

import grpc

from ._errors import CallError, TimedOut, Unreachable, of_call
from .v1 import futures_pb2_grpc, system_pb2_grpc, workers_pb2_grpc

_OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0),
            ("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1),
            ("grpc.initial_reconnect_backoff_ms", 50), ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000))
_PAUSE = 0.05  # between two attempts at a call, in seconds


def default_address() -> str:
    """FUTURED_ADDRESS, else the socket of the user's daemon where there is one, else that of the system's."""
    if address := os.environ.get("FUTURED_ADDRESS"):
        return address
    directory = os.environ.get("XDG_RUNTIME_DIR")
    if directory and os.path.exists(path := f"{directory}/futured/futured.sock"):
        return f"unix:{path}"
    return "unix:/run/futured/futured.sock"


class Channel:
    """A connection of its own to one daemon, with the stubs of its services. May be used by several threads."""

    def __init__(self, address: Optional[str], credentials: Any = None) -> None:
        self.address = address or default_address()
        self.pid = os.getpid()
        self._credentials = credentials
        self._channel: Any = None
        self._lock = threading.Lock()

    def _stub(self, n: int) -> Any:
        """Made when it is first needed, and anew after close()."""
        with self._lock:
            if self._channel is None:
                target = self.address.removeprefix("tls:")
                if self._credentials is not None or target != self.address:
                    credentials = self._credentials or grpc.ssl_channel_credentials()
                    self._channel = grpc.secure_channel(target, credentials, options=_OPTIONS)
                else:
                    self._channel = grpc.insecure_channel(target, options=_OPTIONS)
                self._stubs = (futures_pb2_grpc.FuturesStub(self._channel), system_pb2_grpc.SystemStub(self._channel),
                               workers_pb2_grpc.WorkersStub(self._channel))
            return self._stubs[n]

    @property
    def futures(self) -> Any:
        return self._stub(0)

    @property
    def system(self) -> Any:
        return self._stub(1)

    @property
    def workers(self) -> Any:
        return self._stub(2)

    def call(self, method: Any, request: Any, timeout: float, id: Optional[str] = None) -> Any:
        """The answer of a call that may be made again; while the daemon is not there it is, until `timeout` seconds have passed.
        CallError where it is refused, TimedOut or Unreachable where no answer came."""
        end = time.monotonic() + timeout
        last: Optional[CallError] = None
        while (left := end - time.monotonic()) > 0:
            try:
                return method(request, timeout=left)
            except grpc.RpcError as error:
                failure = of_call(error, id=id)
            if failure.code != "UNAVAILABLE":
                if isinstance(failure, TimedOut) and last is not None:
                    break
                raise failure
            last = failure
            time.sleep(max(0.0, min(failure.retry_after or _PAUSE, end - time.monotonic())))
        raise last or Unreachable("UNAVAILABLE", f"{self.address} does not answer", id=id)

    def call_later(self, method: Any, request: Any, timeout: float,
                   then: Callable[[Any, Optional[CallError]], None], id: Optional[str] = None, *,
                   wait_for_ready: bool = True) -> Any:
        """Begin a call; `then(answer, None)` or `then(None, error)` is called by a thread of grpc. One attempt, which waits for
        the connection unless told not to. Returns what can be cancelled."""
        call = method.future(request, timeout=timeout, wait_for_ready=wait_for_ready)

        def over(done: Any) -> None:
            if done.cancelled():
                return
            error = done.exception()
            if error is None:
                then(done.result(), None)
            else:
                then(None, of_call(error, id=id))
        call.add_done_callback(over)
        return call

    def close(self) -> None:
        """What is called later connects again."""
        with self._lock:
            channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()
