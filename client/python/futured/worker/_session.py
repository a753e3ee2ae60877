# SPDX-License-Identifier: Apache-2.0
"""The Attach stream of one worker: assignments in, outcomes out, over lost streams and restarts of the daemon.

    assigned (queue) -> running -> finished, for lease_ttl remembered -> forgotten

When the stream is lost, the queue is dropped (the daemon gives it out again) and the next Hello names what runs and what was
finished lately; of what the Welcome keeps the finish is said again, what it drops is cancelled and forgotten.

What an attempt tells before its end is gathered and sent some times a second; on a new stream all of it is said again, of which the
daemon passes over what it has.

Invariants: an item is in the queue or in `held`, never in both. Nothing is said under a lease that was dropped or refused. Of output
and log no more is remembered, or sent, than the daemon keeps of an attempt, and a byte by which it sees that there was more.
"""
from __future__ import annotations

import collections
import logging
import secrets
import threading
import time
from functools import partial
from typing import Any, Callable, Iterator, Mapping, Optional

import grpc

from .._channel import Channel
from .._errors import CallError, of_call
from ..v1 import workers_pb2 as w

_CHUNK = 64 << 10
_TELL = 0.1  # seconds between two sendings of progress, output and log
_BACKOFF, _MAX_BACKOFF = 0.05, 2.0
# Codes with which it makes no sense to come again.
_HOPELESS = ("INVALID_ARGUMENT", "UNIMPLEMENTED", "UNAUTHENTICATED", "PERMISSION_DENIED", "ABORTED", "ALREADY_EXISTS")

Key = tuple[bytes, int, int]
_log = logging.getLogger("futured.worker")


def _key(lease: w.Lease) -> Key:
    return lease.id, lease.attempt, lease.epoch


class Told:
    """The output, or the log, of an attempt: all of it, as far as the daemon keeps it; `sent` of it on the present stream."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.sent = 0

    def add(self, data: bytes, limit: int) -> None:
        if limit:
            self.data += data[:max(0, limit + 1 - len(self.data))]

    def take(self) -> list[tuple[int, bytes]]:
        """What is to be sent, as (offset, bytes)."""
        pieces = [(at, bytes(self.data[at:at + _CHUNK])) for at in range(self.sent, len(self.data), _CHUNK)]
        self.sent = len(self.data)
        return pieces


class Held:
    """A lease that this worker holds: what runs under it, then its outcome."""

    def __init__(self, item: w.Assignment) -> None:
        self.item = item
        self.progress: Optional[w.AttemptProgress] = None
        self.output = Told()
        self.log = Told()
        self.finish: Optional[w.Finish] = None
        self.finished_at = 0.0
        self.is_dropped = False
        self.cancel: Optional[Callable[[str, Optional[float]], None]] = None  # (reason, grace in seconds)
        self.pending_cancel: Optional[tuple[str, Optional[float]]] = None


class Session:
    """See above. run() is one thread's; take(), say() and finish() are for those of the slots."""

    def __init__(self, channel: Channel, functions: list[Any], *, slots: int, prefetch: int, name: str,
                 labels: Optional[Mapping[str, str]], version: str, stay: bool) -> None:
        self.channel = channel
        self.stay = stay
        self.capacity = slots + prefetch
        self.hello = w.Hello(name=name, session_token=secrets.token_hex(24), functions=functions, slots=slots,
                             version=version)
        self.hello.labels.update(labels or {})
        self.lock = threading.Lock()
        self.work = threading.Condition(self.lock)  # for the slots
        self.out = threading.Condition(self.lock)   # for what sends
        self.queue: collections.deque[w.Assignment] = collections.deque()
        self.held: dict[Key, Held] = {}
        self.pieces: dict[tuple[Key, int], bytearray] = {}
        self.outbox: collections.deque[w.AttachRequest] = collections.deque()
        self.telling: dict[Key, Held] = {}  # that have something to tell
        self.tell_at = 0.0
        self.generation = 0
        self.epoch = 0
        self.worker_id = ""
        self.heartbeat = 2.0
        self.lease_ttl = 10.0
        self.max_result_bytes = 4 << 20
        self.max_output_bytes = self.max_log_bytes = 0
        self.is_attached = False
        self.is_draining = False  # the daemon has said so, or we go
        self.is_leaving = False   # we go
        self.is_over = False

    # --- for the slots

    def take(self) -> Optional[Held]:
        """The next item, which counts as started; None when there will be none any more."""
        with self.lock:
            while not self.queue:
                if self.is_leaving or self.is_over or (self.is_draining and not self.stay):
                    return None
                self.work.wait()
            item = self.queue.popleft()
            held = self.held[_key(item.lease)] = Held(item)
            self._put(w.AttachRequest(started=[w.Started(lease=item.lease)]))
            return held

    def on_cancel(self, held: Held, cancel: Callable[[str, Optional[float]], None]) -> None:
        """What to call when the attempt is to end; at once where it is already."""
        with self.lock:
            held.cancel = cancel
            pending = held.pending_cancel
        if pending is not None:
            cancel(*pending)

    def say(self, held: Held, request: w.AttachRequest) -> None:
        """Progress, output or log of a running attempt, without offsets."""
        with self.lock:
            if held.is_dropped:
                return
            for progress in request.progress:
                held.progress = progress
            for output in request.output:
                held.output.add(output.data, self.max_output_bytes)
            for log in request.log:
                held.log.add(log.data, self.max_log_bytes)
            self.telling[_key(held.item.lease)] = held
            self.out.notify_all()

    def finish(self, held: Held, finish: w.Finish) -> None:
        """The outcome of an attempt."""
        with self.lock:
            held.finish = finish
            held.finished_at = time.monotonic()
            if held.is_dropped:
                self._ready(1)
            elif self.is_attached:
                self._tell([held])
                self._put_finish(held)
                self._ready(1)
            self._forget_old()
            self.out.notify_all()

    def drain(self) -> None:
        """Take nothing more, give back what was not begun, finish what runs, and go."""
        with self.lock:
            self.is_leaving = True
            self._drain()

    # --- with the lock

    def _drain(self) -> None:
        self.is_draining = True
        if self.queue:
            self._put(w.AttachRequest(release=[w.Release(lease=item.lease, reason="the worker goes") for item in self.queue]))
        self.queue.clear()
        self.work.notify_all()
        self.out.notify_all()

    def _put(self, request: w.AttachRequest) -> None:
        self.outbox.append(request)
        self.out.notify_all()

    def _tell(self, those: list[Held]) -> None:
        for held in those:
            lease = held.item.lease
            self.telling.pop(_key(lease), None)
            if held.progress is not None:
                self._put(w.AttachRequest(progress=[held.progress]))
                held.progress = None
            for at, data in held.output.take():
                self._put(w.AttachRequest(output=[w.Output(lease=lease, offset=at, data=data)]))
            for at, data in held.log.take():
                self._put(w.AttachRequest(log=[w.Log(lease=lease, offset=at, data=data)]))

    def _ready(self, credit: int) -> None:
        if self.is_attached and not self.is_draining:
            self._put(w.AttachRequest(ready=w.Ready(credit=credit)))

    def _put_finish(self, held: Held) -> None:
        finish = held.finish
        assert finish is not None
        data = finish.result.data
        if len(data) > _CHUNK:
            for at in range(0, len(data), _CHUNK):
                self._put(w.AttachRequest(payload=[w.PayloadChunk(lease=finish.lease, offset=at, data=data[at:at + _CHUNK])]))
            whole, finish = finish, w.Finish()
            finish.CopyFrom(whole)
            finish.result.ClearField("data")
            finish.chunked = True
        self._put(w.AttachRequest(finish=[finish]))

    def _forget_old(self) -> None:
        now = time.monotonic()
        for key in [k for k, h in self.held.items() if h.finish is not None and now - h.finished_at > self.lease_ttl]:
            del self.held[key]

    def _running(self) -> list[Held]:
        return [held for held in self.held.values() if held.finish is None]

    def _drop(self, key: Key, reason: str) -> list[Callable[[], None]]:
        """The lease is not ours any more. Returns what is to be called without the lock."""
        held = self.held.get(key)
        if held is None or held.finish is not None:
            self.held.pop(key, None)
            return []
        held.is_dropped = True
        self.telling.pop(key, None)
        return self._cancel(held, reason, 0.0)

    def _cancel(self, held: Held, reason: str, grace: Optional[float]) -> list[Callable[[], None]]:
        cancel = held.cancel
        if cancel is None:
            held.pending_cancel = (reason, grace)
            return []
        return [partial(cancel, reason, grace)]

    # --- the stream

    def run(self) -> None:
        """Attach, again and again, until the worker has drained. CallError where the daemon does not want it."""
        pause = _BACKOFF
        try:
            while True:
                failure = self._attach()
                with self.lock:
                    if self.is_attached:
                        pause = _BACKOFF
                    self.is_attached = False
                    self.generation += 1
                    self.queue.clear()
                    self.outbox.clear()
                    self.telling.clear()
                    self.pieces.clear()
                    self.out.notify_all()
                    if self.is_draining and not self._running() and (failure is None or not self.held):
                        if self.is_leaving or not self.stay:
                            return
                        self._begin_anew()
                if failure is not None and failure.code in _HOPELESS:
                    raise failure
                if failure is not None or not self.is_draining:
                    _log.warning("the stream has ended: %s", failure or "the daemon has ended it")
                    time.sleep(pause)
                    pause = min(2 * pause, _MAX_BACKOFF)
        finally:
            with self.lock:
                self.is_over = True
                self.work.notify_all()
                self.out.notify_all()

    def _begin_anew(self) -> None:
        """The daemon has let us go, and we stay: as another worker."""
        self.is_draining = False
        self.held.clear()
        self.epoch = 0
        self.hello.session_token = secrets.token_hex(24)

    def _attach(self) -> Optional[CallError]:
        """One stream from its beginning to its end: why it ended, None where it was well."""
        with self.lock:
            self.generation += 1
            self._forget_old()
            requests = self._requests(self.generation)
        try:
            for response in self.channel.workers.Attach(requests):
                calls: list[Callable[[], None]] = []
                with self.lock:
                    self._hear(response, calls)
                for call in calls:
                    call()
        except grpc.RpcError as error:
            return of_call(error)
        return None

    def _hello(self) -> w.AttachRequest:
        hello = w.Hello()
        hello.CopyFrom(self.hello)
        hello.epoch = self.epoch
        hello.held_leases.extend(held.item.lease for held in self.held.values() if not held.is_dropped)
        return w.AttachRequest(hello=hello)

    def _requests(self, generation: int) -> Iterator[w.AttachRequest]:
        with self.lock:
            first = self._hello()
        yield first
        while True:
            with self.lock:
                while not self.outbox and self.generation == generation:
                    if self.is_draining and self.is_attached and not self._running():
                        return
                    now = time.monotonic()
                    pause = self.heartbeat
                    if self.telling and self.is_attached:
                        pause = self.tell_at - now
                        if pause <= 0:
                            self.tell_at = now + _TELL
                            self._tell(list(self.telling.values()))
                            continue
                    if not self.out.wait(pause) and not self.outbox and not self.telling:
                        self.outbox.append(w.AttachRequest(heartbeat=w.Heartbeat()))
                if self.generation != generation:
                    return
                request = self.outbox.popleft()
            yield request

    def _hear(self, m: w.AttachResponse, calls: list[Callable[[], None]]) -> None:
        if m.HasField("welcome"):
            self._welcome(m.welcome, calls)
        for piece in m.payload:
            self.pieces.setdefault((_key(piece.lease), piece.part), bytearray()).extend(piece.data)
        for item in m.assign.items:
            self._assigned(item)
        for cancel in m.cancel_attempt:
            held = self.held.get(_key(cancel.lease))
            if held is not None and held.finish is None:
                grace = cancel.grace.ToNanoseconds() / 1e9 if cancel.HasField("grace") else 0.0
                calls += self._cancel(held, cancel.reason, grace)
            elif held is None:
                self._return(cancel.lease)
        for recall in m.recall:
            self._return(recall.lease)
        for refused in m.refused:
            calls += self._drop(_key(refused.lease), refused.reason)
        if m.HasField("drain"):
            self._drain()
        if m.HasField("ping"):
            self._put(w.AttachRequest(heartbeat=w.Heartbeat(ping=m.ping.number)))

    def _welcome(self, welcome: w.Welcome, calls: list[Callable[[], None]]) -> None:
        self.worker_id, self.epoch = welcome.worker_id, welcome.epoch
        if welcome.HasField("heartbeat_interval"):
            self.heartbeat = max(0.01, welcome.heartbeat_interval.ToNanoseconds() / 1e9 / 2)
        if welcome.HasField("lease_ttl"):
            self.lease_ttl = welcome.lease_ttl.ToNanoseconds() / 1e9
        self.max_result_bytes = welcome.max_result_bytes or self.max_result_bytes
        # A daemon that keeps none does not say so.
        self.max_output_bytes = getattr(welcome, "max_output_bytes", 0)
        self.max_log_bytes = getattr(welcome, "max_log_bytes", 0)
        self.is_attached = True
        calls.append(partial(_log.info, "attached to %s as worker %s: %d leases kept, %d lost", self.channel.address,
                             self.worker_id, len(welcome.kept), len(welcome.dropped)))
        for lease in welcome.dropped:
            calls += self._drop(_key(lease), "the lease is lost")
        for lease in welcome.kept:
            held = self.held.get(_key(lease))
            if held is None:
                continue
            held.output.sent = held.log.sent = 0
            self._put(w.AttachRequest(started=[w.Started(lease=lease)]))  # in case that was lost
            self._tell([held])
            if held.finish is not None:
                self._put_finish(held)
        self._ready(max(0, self.capacity - len(self._running())))
        self.out.notify_all()

    def _assigned(self, item: w.Assignment) -> None:
        key = _key(item.lease)
        if item.task_chunked:
            item.task.ParseFromString(bytes(self.pieces.pop((key, 0), b"")))
        for part, upstream in enumerate(item.upstream, 1):
            if upstream.chunked:
                upstream.result.data = bytes(self.pieces.pop((key, part), b""))
        if self.is_draining:
            self._put(w.AttachRequest(release=[w.Release(lease=item.lease, reason="the worker goes")]))
            return
        self.queue.append(item)
        self.work.notify()

    def _return(self, lease: w.Lease) -> None:
        """The daemon wants an item back: it is given, unless it has begun."""
        key = _key(lease)
        queued = next((item for item in self.queue if _key(item.lease) == key), None)
        pieces = [k for k in self.pieces if k[0] == key]
        if queued is None and not pieces:
            return
        if queued is not None:
            self.queue.remove(queued)
        for k in pieces:
            del self.pieces[k]
        self._put(w.AttachRequest(returned=[w.Returned(lease=lease)]))
        self._ready(1)
