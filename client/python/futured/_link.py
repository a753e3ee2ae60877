# SPDX-License-Identifier: Apache-2.0
"""What keeps the futures of one client in step with the daemon: two conversations, each a stream in a thread of its own.

    Runs   RunStream: submissions out; "accepted" and "finished" in
    Asks   AsCompleted: IDs out; futures in, when they have ended

An item goes through: waiting (in the queue of Runs) -> said -> accepted (it has an ID) -> over. When a stream is lost, what has an
ID is asked for by Asks, on a new stream; what has none is said again by Runs with the request_id that it had, by which the daemon
knows it: so nothing is lost and nothing is run twice.

Invariants: every item is over once, and its sink is told so once. An item is in `waiting`, `said` or `later` of one conversation
until it is over. At most max_waiting items, and max_waiting_bytes of them, are not yet accepted, unless they come from a thread
that must not wait. Sinks are called without the lock held.
"""
from __future__ import annotations

import asyncio
import atexit
import collections
import heapq
import itertools
import os
import secrets
import threading
import time
import weakref
from functools import partial
from typing import Any, Callable, Iterator, Optional, Protocol

import grpc

from ._channel import Channel
from ._errors import CallError, Refused, TooLarge, UnknownFuture, UnknownOutcome, Unreachable, of_call, of_status
from .v1 import future_pb2, futures_pb2, system_pb2

# The daemon knows a request_id for 10 minutes.
_REQUEST_ID_LIVES = 540.0
IDS_A_MESSAGE = 1000  # the daemon takes 10,000
_BACKOFF, _MAX_BACKOFF = 0.05, 1.0
_CONNECT = 5.0  # seconds for one attempt to reach the daemon
_EXIT = 10.0  # seconds that the end of the process waits for acceptances
_TERMINAL = (future_pb2.STATE_SUCCEEDED, future_pb2.STATE_FAILED, future_pb2.STATE_CANCELLED)
# With these it makes no sense to come again.
_HOPELESS = ("UNIMPLEMENTED", "UNAUTHENTICATED", "PERMISSION_DENIED")


class Sink(Protocol):
    """Who is told of an item. May be called by any thread."""

    def _accepted(self, id: str) -> None: ...

    def _finished(self, message: future_pb2.Future) -> None: ...

    def _failed(self, error: CallError) -> None: ...


class Item:
    """A submission or an ID, on its way to its end."""

    __slots__ = ("key", "request", "size", "sink", "id", "is_over", "began", "first_said", "refused", "wants_cancel",
                 "cancel_reason")

    def __init__(self, key: str, sink: Sink, request: Optional[futures_pb2.RunRequest] = None,
                 id: Optional[str] = None) -> None:
        self.key = key
        self.sink = sink
        self.request = request
        self.size: int = request.ByteSize() if request is not None else 0
        self.id = id
        self.is_over = False
        self.began = time.monotonic()
        self.first_said: Optional[float] = None
        self.refused: Optional[float] = None
        self.wants_cancel = False
        self.cancel_reason = ""


Calls = list[Callable[[], None]]
_here = threading.local()


def _tell(calls: Calls) -> None:
    """Call sinks. What they call in turn must not wait for the daemon: this is a thread that brings its answers."""
    _here.is_telling = True
    try:
        for call in calls:
            call()
    finally:
        _here.is_telling = False


class _Conversation(threading.Thread):
    """One stream after another, until the link closes and nothing is left."""

    def __init__(self, link: Link, name: str, method: Any) -> None:
        super().__init__(name=name, daemon=True)
        self.link = link
        self.method = method
        self.work = threading.Condition(link.lock)
        self.waiting: collections.deque[Item] = collections.deque()
        self.later: list[tuple[float, int, Item]] = []
        self.said: dict[str, Item] = {}
        self.generation = 0
        self.silent_since: Optional[float] = None
        self.is_begun = False

    # With the lock held.

    def add(self, item: Item) -> None:
        self.waiting.append(item)
        self.work.notify()
        if not self.is_begun:
            self.is_begun = True
            self.start()

    def _fail(self, item: Item, error: CallError, calls: Calls) -> None:
        if self.link.end(item):
            calls.append(partial(item.sink._failed, error))

    def is_idle(self) -> bool:
        return not self.waiting and not self.later and not self.said

    def items(self) -> list[Item]:
        return [*self.waiting, *(item for _, _, item in self.later), *self.said.values()]

    def forget(self, item: Item) -> None:
        """It is over; what is in a queue is passed over when its turn comes."""
        if self.said.get(item.key) is item:
            del self.said[item.key]
        if self.link.is_closing:
            self.work.notify_all()

    def _prepare(self) -> None:
        """Before a stream is opened. CallError."""

    def _has_said_all(self) -> bool:
        """The stream can be closed."""
        return self.link.is_closing and self.is_idle()

    def _requeue(self) -> None:
        """The stream is lost: what was said is to be said again."""
        raise NotImplementedError

    def _next_request(self, calls: Calls) -> Any:
        """What to say next; None where there is nothing just now."""
        raise NotImplementedError

    def _hear(self, response: Any) -> Calls:
        raise NotImplementedError

    def _pop(self) -> Optional[Item]:
        while self.later and (self.later[0][2].is_over or self.later[0][0] <= time.monotonic()):
            item = heapq.heappop(self.later)[2]
            self.waiting.append(item)
        while self.waiting:
            item = self.waiting.popleft()
            if not item.is_over:
                return item
        return None

    # Without.

    def _requests(self, generation: int) -> Iterator[Any]:
        """What is said on one stream; called by a thread of grpc."""
        while True:
            calls: Calls = []
            with self.link.lock:
                while True:
                    if self.generation != generation:
                        return
                    request = self._next_request(calls)
                    if request is not None or calls:
                        break
                    if self._has_said_all():
                        return
                    due = self.later[0][0] - time.monotonic() if self.later else None
                    self.work.wait(due if due is None else max(due, 0.0))
            _tell(calls)
            if request is not None:
                yield request

    def run(self) -> None:
        pause = _BACKOFF
        while True:
            with self.link.lock:
                while self.is_idle() and not self.link.is_over():
                    self.work.wait()
                if self.is_idle():
                    return
            heard, failure = self._talk()
            if heard:
                pause = _BACKOFF
            if failure is None:
                continue
            self._give_up(failure)
            time.sleep(pause)
            pause = min(2 * pause, _MAX_BACKOFF)

    def _talk(self) -> tuple[bool, Optional[CallError]]:
        """One stream from its beginning to its end: whether anything came, and why it ended."""
        heard = False
        try:
            self._prepare()
            with self.link.lock:
                self.generation += 1
                requests = self._requests(self.generation)
            for response in self.method(requests):
                heard = True
                with self.link.lock:
                    self.silent_since = None
                    calls = self._hear(response)
                _tell(calls)
            with self.link.lock:
                failure = None if not self.said else CallError("UNAVAILABLE", "the daemon has ended the stream")
        except grpc.RpcError as error:
            failure = of_call(error)
        except CallError as error:
            failure = error
        with self.link.lock:
            self.generation += 1
            self._requeue()
            self.work.notify_all()
        return heard, failure

    def _give_up(self, failure: CallError) -> None:
        """Let go of what has waited for longer than the client is patient, or for ever would."""
        now = time.monotonic()
        patience = self.link.patience
        calls: Calls = []
        with self.link.lock:
            if self.silent_since is None:
                self.silent_since = now
            for item in self.items():
                waited = now - max(item.began, self.silent_since)
                if failure.code in _HOPELESS:
                    error = type(failure)(failure.code, failure.message, failure.reason, failure.metadata, id=item.id)
                elif patience is not None and waited >= patience:
                    goes_on = f"; future {item.id} goes on, if the daemon does: attach() finds it" if item.id else ""
                    error = Unreachable("UNAVAILABLE", f"{self.link.channel.address} did not answer for {patience:g} s: "
                                        f"{failure.message}{goes_on}", id=item.id)
                else:
                    continue
                if self.link.end(item):
                    calls.append(partial(item.sink._failed, error))
            self.waiting = collections.deque(item for item in self.waiting if not item.is_over)
        _tell(calls)


class _Runs(_Conversation):
    def _prepare(self) -> None:
        self.link.connect()

    def _requeue(self) -> None:
        again = []
        for item in self.said.values():
            if item.id is not None:
                self.link.asks.add(item)
            else:
                again.append(item)
        self.said.clear()
        self.waiting.extendleft(reversed(again))

    def _next_request(self, calls: Calls) -> Any:
        link = self.link
        while (item := self._pop()) is not None:
            assert item.request is not None
            now = time.monotonic()
            if item.size > link.max_message_bytes:
                what = (f"the task has {item.size} bytes, and the daemon takes messages of at most {link.max_message_bytes} "
                        "([limits] max_message)")
                self._fail(item, TooLarge("RESOURCE_EXHAUSTED", what, "MESSAGE_TOO_LARGE"), calls)
            elif (item.first_said is not None and now - item.first_said > _REQUEST_ID_LIVES
                  and not item.request.submit.task.options.idempotency_key):
                self._fail(item, UnknownOutcome(
                    "UNKNOWN", "it was sent, no answer came, and the daemon was away for longer than it remembers requests"),
                    calls)
            else:
                item.first_said = item.first_said or now
                self.said[item.key] = item
                return item.request
        return None

    def _hear(self, response: Any) -> Calls:
        item = self.said.get(response.tag)
        if item is None:
            return []
        calls: Calls = []
        which = response.WhichOneof("answer")
        if which == "status":
            error = of_status(response.status, Refused)
            now = time.monotonic()
            item.refused = item.refused or now
            patience = self.link.patience
            if not isinstance(error, UnknownOutcome):
                item.first_said = None
            if error.retry_after is not None and (patience is None or now - item.refused < patience):
                del self.said[item.key]
                heapq.heappush(self.later, (now + error.retry_after, next(self.link.numbers), item))
                self.work.notify()
            else:
                self._fail(item, error, calls)
            return calls
        future = response.finished if which == "finished" else response.accepted
        if item.id is None:
            self.link.accept(item, future.id)
            calls.append(partial(item.sink._accepted, future.id))
            if item.wants_cancel:
                calls.append(partial(self.link.ask_cancel, item))
        if which == "finished" and self.link.end(item):
            calls.append(partial(item.sink._finished, future))
        return calls


class _Asks(_Conversation):
    """An ID may have several items: then it is asked for once. The daemon answers an ID once on one stream; so the stream goes
    when nothing is left to be answered, and what is asked for again before that is got by itself."""

    def __init__(self, link: Link, name: str, method: Any) -> None:
        super().__init__(link, name, method)
        self.by_id: dict[str, list[Item]] = {}
        self.answered: set[str] = set()

    def _has_said_all(self) -> bool:
        return self.is_idle()

    def _requeue(self) -> None:
        self.waiting.extendleft(reversed(list(self.said.values())))
        self.said.clear()
        self.by_id.clear()
        self.answered.clear()

    def forget(self, item: Item) -> None:
        super().forget(item)
        items = self.by_id.get(item.id or "", [])
        if item in items:
            items.remove(item)

    def _next_request(self, calls: Calls) -> Any:
        ids: list[str] = []
        while len(ids) < IDS_A_MESSAGE and (item := self._pop()) is not None:
            assert item.id is not None
            self.said[item.key] = item
            if item.wants_cancel:
                calls.append(partial(self.link.ask_cancel, item))  # what was asked before may have been lost
            if item.id in self.answered:
                calls.append(partial(self.link.ask_get, item))
                continue
            items = self.by_id.setdefault(item.id, [])
            items.append(item)
            if len(items) == 1:
                ids.append(item.id)
        return futures_pb2.AsCompletedRequest(ids=ids, view=future_pb2.VIEW_RESULT) if ids else None

    def _hear(self, response: Any) -> Calls:
        missing = response.WhichOneof("item") == "missing"
        id: str = response.missing if missing else response.future.id
        calls: Calls = []
        self.answered.add(id)
        for item in self.by_id.pop(id, []):
            if missing:
                self._fail(item, UnknownFuture(
                    "NOT_FOUND", f"there is no future {id} any more: it was deleted, its retention has ended, or it was "
                    "EPHEMERAL and the daemon was started anew", "NO_SUCH_FUTURE", id=id), calls)
            elif self.link.end(item):
                calls.append(partial(item.sink._finished, response.future))
        return calls


class Link:
    """See above. `patience`: seconds without an answer after which items fail (None: never); `call_timeout`: seconds for a call
    that has one answer; `who`: of the channel."""

    def __init__(self, address: Optional[str], *, patience: Optional[float] = 60.0, call_timeout: float = 30.0,
                 max_waiting: int = 1000, max_waiting_bytes: int = 64 << 20, **who: Any) -> None:
        if max_waiting < 1 or max_waiting_bytes < 1:
            raise ValueError("max_waiting and max_waiting_bytes must be at least 1")
        self.channel = Channel(address, **who)
        self.patience = patience
        self.call_timeout = call_timeout
        self.max_waiting, self.max_waiting_bytes = max_waiting, max_waiting_bytes
        self.lock = threading.RLock()  # the end of an Executor may come while its own thread holds it
        self.room = threading.Condition(self.lock)
        self.numbers = itertools.count(1)
        self.prefix = secrets.token_hex(12)
        self.is_closing = False
        self.max_message_bytes = 4 << 20
        self.n_waiting = self.n_waiting_bytes = 0
        self.runs = _Runs(self, "futured-run", self.channel.futures.RunStream)
        self.asks = _Asks(self, "futured-ask", self.channel.futures.AsCompleted)
        _links.add(self)

    # --- items

    def may_wait(self) -> bool:
        """Whether this thread may wait for the daemon: not one that brings its answers, nor one that runs an event loop."""
        return not getattr(_here, "is_telling", False) and asyncio._get_running_loop() is None

    def submit(self, submit: futures_pb2.SubmitRequest, sink: Sink) -> Item:
        """Queue a submission. Waits while too many are not accepted yet, where the thread may. RuntimeError after close()."""
        if os.getpid() != self.channel.pid:
            raise RuntimeError("this client belongs to the parent process: make one after the fork")
        number = str(next(self.numbers))
        submit.tag = number
        submit.request_id = f"{self.prefix}-{number}"
        submit.view = future_pb2.VIEW_RESULT
        item = Item(number, sink, futures_pb2.RunRequest(submit=submit, announce=True))
        may_wait = self.may_wait()
        with self.lock:
            while (not self.is_closing and may_wait and self.n_waiting
                   and (self.n_waiting >= self.max_waiting or self.n_waiting_bytes + item.size > self.max_waiting_bytes)):
                self.room.wait()
            if self.is_closing:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self.n_waiting += 1
            self.n_waiting_bytes += item.size
            self.runs.add(item)
        return item

    def follow(self, id: str, sink: Sink) -> Item:
        """Wait for the end of a future that is known by its ID."""
        item = Item(str(next(self.numbers)), sink, id=id)
        with self.lock:
            if self.is_closing:
                raise RuntimeError("cannot attach to futures after shutdown")
            self.asks.add(item)
        return item

    def _counted(self, item: Item) -> None:
        """With the lock: it is no longer waiting to be accepted."""
        if item.request is not None:
            item.request = None
            self.n_waiting -= 1
            self.n_waiting_bytes -= item.size
            self.room.notify_all()

    def accept(self, item: Item, id: str) -> None:
        """With the lock: the daemon has accepted it."""
        item.id = id
        self._counted(item)

    def end(self, item: Item) -> bool:
        """With the lock: it is over. False where it was already; else the caller tells its sink."""
        if item.is_over:
            return False
        item.is_over = True
        self._counted(item)
        self.runs.forget(item)
        self.asks.forget(item)
        return True  # a conversation that waits for the end of both was woken by forget()

    def settle(self, item: Item, message: future_pb2.Future) -> None:
        """A future that has ended, as another call has shown it."""
        with self.lock:
            is_first = self.end(item)
        if is_first:
            _tell([partial(item.sink._finished, message)])

    def ask_get(self, item: Item) -> None:
        """Of a future that has ended or is unknown."""
        def then(message: Any, error: Optional[CallError]) -> None:
            if message is not None and message.state in _TERMINAL:
                self.settle(item, message)
            elif isinstance(error, UnknownFuture):
                with self.lock:
                    is_first = self.end(item)
                if is_first:
                    _tell([partial(item.sink._failed, error)])
            else:
                with self.lock:
                    if self.asks.said.pop(item.key, None) is not None:
                        self.asks.add(item)
        self.channel.call_later(self.channel.futures.Get,
                                futures_pb2.GetRequest(id=item.id, view=future_pb2.VIEW_RESULT), self.call_timeout, then, item.id)

    # --- cancelling

    def cancel(self, item: Item, reason: str = "", *, wait: bool = True) -> bool:
        """Ask the daemon to end it; what was not said yet is ended here. With `wait`, returns when the daemon has answered, or
        call_timeout has passed: then it is asked as soon as it is there. Whether it is known to be cancelled."""
        unsaid = False
        with self.lock:
            item.wants_cancel, item.cancel_reason = True, reason
            if item.is_over:
                return False
            if item.id is None and item.first_said is None:
                unsaid = self.end(item)
            has_id = item.id is not None
        if unsaid:
            _tell([partial(item.sink._finished, future_pb2.Future(state=future_pb2.STATE_CANCELLED))])
            return True
        if not wait or not self.may_wait():
            if has_id:
                self.ask_cancel(item)  # else it is asked with its acceptance
            return False
        with self.lock:
            self.room.wait_for(lambda: item.id is not None or item.is_over, self.call_timeout)
            if item.id is None or item.is_over:
                return False
        try:
            message = self.channel.call(self.channel.futures.Cancel, futures_pb2.CancelRequest(id=item.id, reason=reason),
                                        self.call_timeout, item.id)
        except CallError:
            return False  # what becomes of it is told by the conversation
        self._cancelled(item, message)
        return bool(message.state == future_pb2.STATE_CANCELLED)

    def ask_cancel(self, item: Item) -> None:
        self.channel.call_later(self.channel.futures.Cancel,
                                futures_pb2.CancelRequest(id=item.id, reason=item.cancel_reason), self.call_timeout,
                                lambda message, error: self._cancelled(item, message), item.id)

    def _cancelled(self, item: Item, message: Optional[future_pb2.Future]) -> None:
        if message is not None and message.state == future_pb2.STATE_CANCELLED:
            self.settle(item, message)

    # --- connection

    def connect(self) -> None:
        """Reach the daemon, and learn its limits. CallError."""
        try:
            info = self.channel.system.GetInfo(system_pb2.GetInfoRequest(), timeout=_CONNECT)
        except grpc.RpcError as error:
            failure = of_call(error)
            if failure.code in _HOPELESS:
                return  # the streams will say it, if they are refused too
            raise failure from None
        self.max_message_bytes = info.limits.max_message_bytes or self.max_message_bytes

    def get(self, id: str, view: future_pb2.View) -> future_pb2.Future:
        message: future_pb2.Future = self.channel.call(
            self.channel.futures.Get, futures_pb2.GetRequest(id=id, view=view), self.call_timeout, id)
        return message

    def flush(self, timeout: Optional[float]) -> bool:
        """Whether everything was accepted or refused within that time."""
        with self.lock:
            return self.room.wait_for(lambda: self.n_waiting == 0, timeout)

    def close(self, wait: bool) -> None:
        """Take nothing more; with `wait`, return when all that there is is over. Calls with one answer go on to be possible."""
        if os.getpid() != self.channel.pid:
            return
        with self.lock:
            self.is_closing = True
            self.room.notify_all()
            self._wake()
        if wait and not getattr(_here, "is_telling", False):
            for conversation in (self.runs, self.asks):
                if conversation.is_begun:
                    conversation.join()
            self.channel.close()

    def is_over(self) -> bool:
        """With the lock: nothing is left, and nothing comes any more."""
        return self.is_closing and self.runs.is_idle() and self.asks.is_idle()

    def _wake(self) -> None:
        for conversation in (self.runs, self.asks):
            conversation.work.notify_all()


_links: weakref.WeakSet[Link] = weakref.WeakSet()


@atexit.register
def _deliver() -> None:
    """The process ends: what it has submitted is still brought to the daemon, if that is there."""
    end = time.monotonic() + _EXIT
    for link in list(_links):
        if link.channel.pid == os.getpid():
            link.flush(max(0.0, end - time.monotonic()))
