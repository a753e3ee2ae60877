# SPDX-License-Identifier: Apache-2.0
"""Where the daemon is, who calls it, and calls of it that have one answer."""
from __future__ import annotations

import os
import re
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
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,1024}")
_PAUSE = 0.05  # between two attempts at a call, in seconds


def default_address() -> str:
    """FUTURED_ADDRESS, else the socket of the user's daemon where there is one, else that of the system's."""
    if address := os.environ.get("FUTURED_ADDRESS"):
        return address
    directory = os.environ.get("XDG_RUNTIME_DIR")
    if directory and os.path.exists(path := f"{directory}/futured/futured.sock"):
        return f"unix:{path}"
    return "unix:/run/futured/futured.sock"


def _read(path: Optional[str]) -> Optional[bytes]:
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error


class _WithToken(grpc.UnaryUnaryClientInterceptor, grpc.StreamStreamClientInterceptor):
    """Every call says who makes it. (What grpc has for that wants TLS; a Unix socket has none.)"""

    def __init__(self, token: str) -> None:
        self._header = ("authorization", f"Bearer {token}")

    def _intercept(self, go_on: Callable[[Any, Any], Any], details: Any, request: Any) -> Any:
        return go_on(_Details(details, (*(details.metadata or ()), self._header)), request)

    intercept_unary_unary = intercept_stream_stream = _intercept  # the kinds that there are here


class _Details(grpc.ClientCallDetails):
    def __init__(self, of: Any, metadata: Any) -> None:
        self.method, self.timeout, self.credentials, self.compression = of.method, of.timeout, of.credentials, of.compression
        self.wait_for_ready, self.metadata = of.wait_for_ready, metadata


class Who:
    """Who calls: PEM files of the authorities that may have signed the daemon's certificate, of one's own certificate and its key,
    and a file whose first line is a token. What is not given is that of futurectl's environment: FUTURED_TLS_CA, FUTURED_TLS_CERT,
    FUTURED_TLS_KEY, FUTURED_TOKEN_FILE. The files are read at once: ValueError where that fails."""

    def __init__(self, address: str, *, credentials: Any = None, tls_ca: Optional[str] = None, tls_cert: Optional[str] = None,
                 tls_key: Optional[str] = None, token_file: Optional[str] = None) -> None:
        given = any(path is not None for path in (tls_ca, tls_cert, tls_key))
        is_tls = address.startswith("tls:")
        if given and credentials is not None:
            raise ValueError("credentials say what tls_ca, tls_cert and tls_key would say: give one or the other")
        if given and not is_tls:
            raise ValueError(f"tls_ca, tls_cert and tls_key are for an address tls:HOST:PORT, and {address} is none")
        self.credentials = credentials
        if is_tls and credentials is None:
            ca, cert, key = (path or os.environ.get(variable) or None for path, variable in (
                (tls_ca, "FUTURED_TLS_CA"), (tls_cert, "FUTURED_TLS_CERT"), (tls_key, "FUTURED_TLS_KEY")))
            if (cert is None) != (key is None):
                raise ValueError("a certificate and its key belong together, and one of them is missing: tls_cert, tls_key")
            self.credentials = grpc.ssl_channel_credentials(_read(ca), _read(key), _read(cert))
        self.token = self._token(token_file or os.environ.get("FUTURED_TOKEN_FILE") or None)

    @staticmethod
    def _token(path: Optional[str]) -> Optional[str]:
        if path is None:
            return None
        token = (_read(path) or b"").partition(b"\n")[0].decode("ascii", "replace").strip()
        if not _TOKEN.fullmatch(token):
            raise ValueError(f"the first line of {path} is no token: it has 1 to 1024 letters, digits and - . _ ~ + / =")
        return token

    def channel(self, target: str) -> Any:
        channel = (grpc.insecure_channel(target, options=_OPTIONS) if self.credentials is None
                   else grpc.secure_channel(target, self.credentials, options=_OPTIONS))
        return channel if self.token is None else grpc.intercept_channel(channel, _WithToken(self.token))


class Channel:
    """A connection of its own to one daemon, with the stubs of its services. May be used by several threads. `who`: see Who."""

    def __init__(self, address: Optional[str], **who: Any) -> None:
        self.address = address or default_address()
        self.pid = os.getpid()
        self._who = Who(self.address, **who)
        self._channel: Any = None
        self._lock = threading.Lock()

    def _stub(self, n: int) -> Any:
        """Made when it is first needed, and anew after close()."""
        with self._lock:
            if self._channel is None:
                self._channel = self._who.channel(self.address.removeprefix("tls:"))
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
