# SPDX-License-Identifier: Apache-2.0
"""futured for asyncio. Nothing here blocks the event loop, and no thread waits per task: one connection brings all answers.

    async with futured.aio.Client() as client:
        futures = [client.submit("resize", name, 100) for name in names]
        for future, result in zip(futures, await asyncio.gather(*futures)):
            print(future.id, future.task, result)
"""
from __future__ import annotations

import asyncio
import collections
import threading
import time
from functools import partial
from typing import Any, AsyncIterator, Callable, Iterable, Mapping, Optional, TypeVar

from . import _task
from ._errors import CallError, DecodeError, TaskError
from ._link import Item, Link
from ._task import Completed, OptionsLike, Record, Task
from .v1 import future_pb2, futures_pb2

__all__ = ["Client", "Function", "Future"]

T = TypeVar("T")
_PAUSE = 0.05  # between two attempts at a call, in seconds


class Future(asyncio.Future[T]):
    """An asyncio.Future that knows its task, and its ID as soon as the daemon has accepted it. gather(), wait(), wait_for(),
    shield() and timeout() take it.

    cancel() is that of asyncio: who awaits it is cancelled at once. The daemon is asked as well, and what really becomes of the
    task is told by record(); so wait_for() that runs out of time ends the task too.
    """

    def __init__(self, client: Client, *, task: Task, id: Optional[str] = None, completed: bool = False) -> None:
        super().__init__(loop=client._the_loop())
        self._client = client
        self._item: Item
        self._id = id
        self._task = task
        self._completed = completed
        self._acceptance: Optional[asyncio.Future[str]] = None
        self._is_unsent: Optional[CallError] = None

    def __repr__(self) -> str:
        state = "done" if self.done() else "not done"
        return f"<futured.aio.Future {self._id or '(not accepted yet)'} {self._task} {state}>"

    @property
    def id(self) -> Optional[str]:
        """The ID by which anybody finds this future again; None until the daemon has accepted the task: see accepted()."""
        return self._id

    @property
    def task(self) -> Task:
        """What was asked for: function, argument, labels."""
        return self._task

    async def accepted(self) -> str:
        """The ID, once the daemon has accepted the task, which then is as durable as asked. Where it refused, its error."""
        if self._id is None and self._is_unsent is None:
            if self._acceptance is None:
                self._acceptance = self.get_loop().create_future()
            await asyncio.shield(self._acceptance)
        if self._id is None:
            assert self._is_unsent is not None
            raise self._is_unsent
        return self._id

    async def record(self) -> Record:
        """The whole future as it is at the daemon now."""
        return await self._client.get(await self.accepted())

    async def annotate(self, labels: Optional[Mapping[str, str]] = None, *, remove: Iterable[str] = ()) -> Record:
        """Set and remove labels, whether it has ended or not. Answers the future as it is then."""
        return await self._client.annotate(await self.accepted(), labels, remove=remove)

    def cancel(self, msg: Any = None) -> bool:
        """See above. False where it is done."""
        if not super().cancel(msg):
            return False
        self._client._link.cancel(self._item, wait=False)
        return True

    # --- what the link tells, in threads of its own

    def _accepted(self, id: str) -> None:
        self._client._post(partial(self._settle, id, None, None))

    def _finished(self, message: future_pb2.Future) -> None:
        value: Any = None
        error: Optional[BaseException] = None
        try:
            if message.state == future_pb2.STATE_CANCELLED:
                error = asyncio.CancelledError()
            elif message.HasField("error"):
                error = TaskError(message.id, self._task, message.error)
            else:
                if message.omitted or not message.result.HasField("data"):
                    message = self._client._link.get(message.id, future_pb2.VIEW_FULL)
                value = _task.value_of(message, self._client._pickle)
                if self._completed:
                    value = Completed(value, self._task, message.id)
        except (DecodeError, CallError) as failure:
            error = failure
        self._client._post(partial(self._settle, message.id or None, value, error, True))

    def _failed(self, error: CallError) -> None:
        self._client._post(partial(self._settle, None, None, error, True))

    def _settle(self, id: Optional[str], value: Any, error: Optional[BaseException], is_over: bool = False) -> None:
        """In the loop."""
        if self._id is None:
            self._id = id
        if is_over and self._id is None:
            self._is_unsent = (error if isinstance(error, CallError)
                               else CallError("CANCELLED", "the task was cancelled before it was sent to the daemon"))
        if self._acceptance is not None and not self._acceptance.done() and (self._id or self._is_unsent):
            self._acceptance.set_result("")
        if not is_over or self.done():
            return
        if isinstance(error, asyncio.CancelledError):
            super().cancel()
        elif error is not None:
            self.set_exception(error)
        else:
            self.set_result(value)


class Function:
    """A function of the daemon's workers as a callable that answers an awaitable: resize("a.png", 100)."""

    def __init__(self, client: Client, name: str, labels: Optional[Mapping[str, str]], options: OptionsLike, group: str,
                 completed: bool) -> None:
        self.client = client
        self.futured_name = self.__name__ = name
        self.labels = dict(labels or {})
        self.options = options
        self.group = group
        self.completed = completed

    def __repr__(self) -> str:
        return f"<futured.aio.Function {self.futured_name}>"

    def __call__(self, *arguments: Any) -> Future[Any]:
        return self.client.submit(self.futured_name, *arguments, labels=self.labels, options=self.options, group=self.group,
                                  completed=self.completed)


class Client:
    """A client of one daemon in one event loop; the parameters are those of futured.Executor. submit() never waits, so how much
    is on its way is the caller's matter: map() keeps it within a limit, and so does awaiting room()."""

    def __init__(self, address: Optional[str] = None, *, tls_ca: Optional[str] = None, tls_cert: Optional[str] = None,
                 tls_key: Optional[str] = None, token_file: Optional[str] = None, credentials: Any = None, pickle: bool = False,
                 patience: Optional[float] = 60.0, call_timeout: float = 30.0) -> None:
        self._link = Link(address, tls_ca=tls_ca, tls_cert=tls_cert, tls_key=tls_key, token_file=token_file, credentials=credentials,
                          patience=patience, call_timeout=call_timeout)
        self._pickle = pickle
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._posted: collections.deque[Callable[[], None]] = collections.deque()
        self._post_lock = threading.Lock()
        self._is_posted = False

    def __repr__(self) -> str:
        return f"<futured.aio.Client {self.address}>"

    @property
    def address(self) -> str:
        """Of the daemon."""
        return self._link.channel.address

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, kind: Any, error: Any, traceback: Any) -> None:
        await self.close(wait=error is None)

    async def close(self, wait: bool = True) -> None:
        """Take no more tasks; with `wait`, return when all have ended, at the daemon too. The tasks go on in any case."""
        if wait:
            await asyncio.to_thread(self._link.close, True)
        else:
            self._link.close(False)

    # --- running

    def submit(self, function: Any, /, *arguments: Any, labels: Optional[Mapping[str, str]] = None, options: OptionsLike = None,
               group: str = "", completed: bool = False) -> Future[Any]:
        """As futured.Executor.submit(), in a running event loop. With `completed` it resolves to Completed(value, task, id)."""
        message = _task.request_task(function, arguments, labels, options)
        future: Future[Any] = Future(self, task=_task.task_of(message, group), completed=completed)
        future._item = self._link.submit(futures_pb2.SubmitRequest(task=message, group=group), future)
        return future

    def function(self, name: Any, *, labels: Optional[Mapping[str, str]] = None, options: OptionsLike = None, group: str = "",
                 completed: bool = False) -> Function:
        """A callable for a function of the daemon, with what goes along with every call."""
        return Function(self, _task.name_of(name), labels, options, group, completed)

    async def map(self, function: Any, *iterables: Iterable[Any], limit: int = 1000, labels: Optional[Mapping[str, str]] = None,
                  options: OptionsLike = None, group: str = "", completed: bool = False) -> AsyncIterator[Any]:
        """The results in the order of the arguments, with at most `limit` tasks on their way; what is left is cancelled when it
        ends early."""
        window: collections.deque[Future[Any]] = collections.deque()
        try:
            for arguments in zip(*iterables):
                if len(window) >= max(1, limit):
                    yield await window[0]
                    window.popleft()
                window.append(self.submit(function, *arguments, labels=labels, options=options, group=group,
                                          completed=completed))
            while window:
                yield await window[0]
                window.popleft()
        finally:
            for future in window:
                future.cancel()

    async def as_completed(self, futures: Iterable[Future[T]]) -> AsyncIterator[Future[T]]:
        """The futures themselves, each once, in the order in which they end; asyncio.as_completed() would only give their
        results."""
        ended: asyncio.Queue[Any] = asyncio.Queue()
        distinct = dict.fromkeys(futures)
        for future in distinct:
            future.add_done_callback(ended.put_nowait)
        try:
            for _ in range(len(distinct)):
                yield await ended.get()
        finally:
            for future in distinct:
                future.remove_done_callback(ended.put_nowait)

    async def room(self) -> None:
        """Return when the daemon has accepted or refused everything that was submitted."""
        await asyncio.to_thread(self._link.flush, None)

    # --- what is there already

    async def attach(self, id: str, *, completed: bool = False) -> Future[Any]:
        """The future of that ID, whoever submitted it. UnknownFuture where there is none."""
        message = await self._call("Get", futures_pb2.GetRequest(id=id, view=future_pb2.VIEW_TASK), id)
        future: Future[Any] = Future(self, task=_task.task_of(message.task, message.group), id=id, completed=completed)
        future._item = self._link.follow(id, future)
        return future

    async def get(self, id: str) -> Record:
        """The future of that ID as it is now. UnknownFuture where there is none."""
        return Record(await self._call("Get", futures_pb2.GetRequest(id=id, view=future_pb2.VIEW_FULL), id), self._pickle)

    async def annotate(self, id: str, labels: Optional[Mapping[str, str]] = None, *, remove: Iterable[str] = ()) -> Record:
        """Set and remove labels of that future."""
        request = futures_pb2.AnnotateRequest(id=id, set_labels=dict(labels or {}), remove_labels=remove)
        return Record(await self._call("Annotate", request, id))

    async def cancel(self, id: str, reason: str = "") -> Record:
        """Ask for the end of that future; answers it as it is then: a running one goes on until its attempt has ended."""
        return Record(await self._call("Cancel", futures_pb2.CancelRequest(id=id, reason=reason), id))

    async def find(self, filter: str = "", *, group: str = "") -> AsyncIterator[Record]:
        """All futures of a filter (docs/filter.md), or of a group, the newest first, without argument and result."""
        selector = future_pb2.Selector(group=group) if group else future_pb2.Selector(filter=filter or "*")
        request = futures_pb2.ListRequest(selector=selector, view=future_pb2.VIEW_BASIC, page_size=1000)
        while True:
            answer = await self._call("List", request)
            for message in answer.futures:
                yield Record(message, self._pickle)
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    # --- between the threads of the link and the loop

    def _the_loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        if self._loop is not loop:
            raise RuntimeError("this client belongs to another event loop")
        return loop

    def _post(self, call: Callable[[], None]) -> None:
        """Have it called in the loop; many wake it once."""
        self._posted.append(call)
        with self._post_lock:
            if self._is_posted or self._loop is None:
                return
            self._is_posted = True
        try:
            self._loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:
            pass  # the loop is closed: nobody waits any more

    def _deliver(self) -> None:
        with self._post_lock:
            self._is_posted = False
        while self._posted:
            self._posted.popleft()()

    async def _call(self, name: str, request: Any, id: Optional[str] = None) -> Any:
        """As Channel.call()."""
        loop = self._the_loop()
        end = time.monotonic() + self._link.call_timeout
        while True:
            waiter: asyncio.Future[Any] = loop.create_future()

            def then(answer: Any, error: Optional[CallError], waiter: asyncio.Future[Any] = waiter) -> None:
                def settle() -> None:
                    if not waiter.done():
                        waiter.set_result((answer, error))
                self._post(settle)
            call = self._link.channel.call_later(getattr(self._link.channel.futures, name), request,
                                                 max(0.0, end - time.monotonic()), then, id, wait_for_ready=False)
            try:
                answer, error = await waiter
            finally:
                call.cancel()
            if error is None:
                return answer
            pause = error.retry_after or _PAUSE
            if error.code != "UNAVAILABLE" or time.monotonic() + pause >= end:
                raise error
            await asyncio.sleep(pause)
