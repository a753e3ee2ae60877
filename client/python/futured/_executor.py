# SPDX-License-Identifier: Apache-2.0
"""futured as a concurrent.futures.Executor: the tasks run by name, at the daemon's workers; the futures are real ones."""
from __future__ import annotations

import concurrent.futures
import time
from typing import Any, Generic, Iterable, Iterator, Mapping, Optional, TypeVar

from . import _task
from ._errors import CallError, DecodeError, Error, TaskError
from ._link import IDS_A_MESSAGE, Item, Link
from ._task import Attempt, Completed, OptionsLike, Record, State, Task
from .v1 import future_pb2, futures_pb2

T = TypeVar("T")


class Future(concurrent.futures.Future[T]):
    """A concurrent.futures.Future that knows its ID and its task. concurrent.futures.wait() and as_completed() take it.

    What differs from a future of a thread pool: cancel() of what runs asks the daemon to end it, and it may then end cancelled;
    a cancelled future is done for everybody at once; and the program may end before it, and another one attach() to its ID.
    """

    def __init__(self, link: Link, *, task: Optional[Task] = None, id: Optional[str] = None, pickle: bool = False,
                 completed: bool = False) -> None:
        super().__init__()
        self._link = link
        self._item: Item
        self._id = id
        self._task = task
        self._pickle = pickle
        self._completed = completed
        self._record: Optional[Record] = None
        self._last_state = State.PENDING

    def __repr__(self) -> str:
        state = "done" if self.done() else "not done"
        return f"<futured.Future {self._id or '(not accepted yet)'} {self._task or ''} {state}>"

    # --- what the link tells

    def _accepted(self, id: str) -> None:
        self._id = id

    def _finished(self, message: future_pb2.Future) -> None:
        try:
            if message.state == future_pb2.STATE_CANCELLED:
                super().cancel()
                self.set_running_or_notify_cancel()
            elif message.HasField("error"):
                self.set_exception(TaskError(message.id, self._known_task(), message.error))
            else:
                if message.omitted or not message.result.HasField("data"):
                    message = self._link.get(message.id, future_pb2.VIEW_FULL)
                value = _task.value_of(message, self._pickle)
                self.set_result(Completed(value, self.task, message.id) if self._completed else value)
        except (DecodeError, CallError) as error:
            self.set_exception(error)

    def _failed(self, error: CallError) -> None:
        self.set_exception(error)

    def _known_task(self) -> Optional[Task]:
        """The task, where it can be had."""
        try:
            return self.task
        except Error:
            return None

    # --- what it knows

    @property
    def id(self) -> str:
        """The ID by which anybody finds this future again. Waits until the daemon has accepted the task, which then is as
        durable as asked; where it refused, its error is raised."""
        if self._id is not None:
            return self._id
        item = self._item
        with self._link.room:
            if not self._link.room.wait_for(lambda: item.id is not None or item.is_over, self._link.call_timeout):
                raise TimeoutError("the daemon has not accepted the task yet")
        if item.id is not None:
            return item.id
        raise self.exception() or AssertionError("a future without an ID has an error")  # or CancelledError

    @property
    def task(self) -> Task:
        """What was asked for: function, argument, labels. Of a future that was attached to it is asked for once."""
        if self._task is None:
            message = self._link.get(self.id, future_pb2.VIEW_TASK)
            self._task = _task.task_of(message.task, message.group)
        return self._task

    def record(self) -> Record:
        """The whole future as it is at the daemon now."""
        return Record(self._link.get(self.id, future_pb2.VIEW_FULL), self._pickle)

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Every attempt so far, in order."""
        is_done = self.done()
        record = self._record or Record(self._link.get(self.id, future_pb2.VIEW_BASIC))
        if is_done:
            self._record = record  # these never change any more
        return record.attempts

    @property
    def labels(self) -> dict[str, str]:
        """Its labels as they are now; task.labels are those of its submission."""
        return Record(self._link.get(self.id, future_pb2.VIEW_BASIC)).labels

    def annotate(self, labels: Optional[Mapping[str, str]] = None, *, remove: Iterable[str] = ()) -> Record:
        """Set and remove labels, whether it has ended or not; they are kept with the future. Answers it as it is then."""
        id = self.id
        request = futures_pb2.AnnotateRequest(id=id, set_labels=dict(labels or {}), remove_labels=remove)
        return Record(self._link.channel.call(self._link.channel.futures.Annotate, request, self._link.call_timeout, id))

    def running(self) -> bool:
        """Whether a worker runs it now, as the daemon says; while that is away, as it last said."""
        if self.done() or self._id is None:
            return False
        try:
            self._last_state = _task.state_of(self._link.get(self._id, future_pb2.VIEW_RESULT))
        except CallError:
            pass
        return self._last_state is State.RUNNING and not self.done()

    def cancel(self, reason: str = "") -> bool:
        """Ask the daemon to end it. True where it is cancelled with that. False where it has ended otherwise, and where it runs:
        then the attempt is told, and what really happens decides whether the future ends cancelled. Waits for the daemon's
        answer, but not in a thread that runs an event loop, nor in a callback."""
        return self.cancelled() if self.done() else self._link.cancel(self._item, reason)


class Function(Generic[T]):
    """A function of the daemon's workers as a callable of this process, with what goes along with every call.

    Calling it runs the task and waits, so it fits wherever a function does: map(), a thread pool. Executor.submit(),
    Executor.map() and loop.run_in_executor(executor, function, argument) of the same executor do not wait for a thread.
    """

    def __init__(self, executor: Executor, name: str, labels: Optional[Mapping[str, str]], options: OptionsLike, group: str,
                 completed: bool) -> None:
        self.executor = executor
        self.futured_name = self.__name__ = name
        self.labels = dict(labels or {})
        self.options = options
        self.group = group
        self.completed = completed

    def __repr__(self) -> str:
        return f"<futured.Function {self.futured_name}>"

    def submit(self, *arguments: Any) -> Future[Any]:
        return self.executor.submit(self, *arguments)

    def __call__(self, *arguments: Any) -> Any:
        return self.submit(*arguments).result()


class Executor(concurrent.futures.Executor):
    """A concurrent.futures.Executor whose tasks run at the workers of a futured daemon.

    address      of the daemon, as futured's --listen has it; default: FUTURED_ADDRESS, else the usual sockets
    tls_ca, tls_cert, tls_key  for an address tls:HOST:PORT, PEM files: of who may have signed the daemon's certificate (default:
                 FUTURED_TLS_CA, else whom grpc trusts), the certificate to show and its key (FUTURED_TLS_CERT, FUTURED_TLS_KEY)
    token_file   a file whose first line is the token that says who calls (FUTURED_TOKEN_FILE)
    credentials  grpc.ChannelCredentials, instead of the three of TLS
    pickle       results that are pickles are read; only where all who may run functions are trusted
    patience     seconds that the daemon may be away before futures fail with Unreachable; None: for ever
    call_timeout seconds for cancel(), annotate() and whatever else has one answer
    max_waiting, max_waiting_bytes  so many tasks, and bytes of them, may wait to be accepted before submit() waits. (In a
                 callback, and in a thread that runs an event loop, it does not.)

    One connection, and streams that are opened again after a restart of the daemon: what was accepted is asked for by its ID,
    what may not have been is sent again with the request ID that it had. So nothing is lost, and nothing is run twice because of
    it. A process that ends without shutdown() does not wait for its tasks, which go on; it waits until they are accepted, at most
    10 s.
    """

    def __init__(self, address: Optional[str] = None, *, tls_ca: Optional[str] = None, tls_cert: Optional[str] = None,
                 tls_key: Optional[str] = None, token_file: Optional[str] = None, credentials: Any = None, pickle: bool = False,
                 patience: Optional[float] = 60.0, call_timeout: float = 30.0, max_waiting: int = 1000,
                 max_waiting_bytes: int = 64 << 20) -> None:
        self._link = Link(address, tls_ca=tls_ca, tls_cert=tls_cert, tls_key=tls_key, token_file=token_file, credentials=credentials,
                          patience=patience, call_timeout=call_timeout, max_waiting=max_waiting, max_waiting_bytes=max_waiting_bytes)
        self._pickle = pickle

    def __repr__(self) -> str:
        return f"<futured.Executor {self.address}>"

    def __del__(self) -> None:
        if hasattr(self, "_link"):
            self._link.close(wait=False)

    @property
    def address(self) -> str:
        """Of the daemon."""
        return self._link.channel.address

    # --- running

    def submit(self, function: Any, /, *arguments: Any, labels: Optional[Mapping[str, str]] = None,  # type: ignore[override]
               options: OptionsLike = None, group: str = "") -> Future[Any]:
        """Run `function`, a name (or a Function, or what futured.worker has registered), with its arguments: none, one of
        bytes, text or JSON, or several, which travel as a JSON array. Returns at once; the future says how it ended.

        labels   text to text, kept with the future and shown with it
        options  how to run it: futured.Options
        group    a name to find it by, shared by several futures

        TypeError where an argument cannot be written; RuntimeError after shutdown().
        """
        if self._link.is_closing:
            raise RuntimeError("cannot schedule new futures after shutdown")
        completed = False
        if isinstance(function, Function):
            labels = {**function.labels, **(labels or {})}
            options = options if options is not None else function.options
            group = group or function.group
            completed = function.completed
        message = _task.request_task(function, arguments, labels, options)
        future: Future[Any] = Future(self._link, task=_task.task_of(message, group), pickle=self._pickle, completed=completed)
        future._item = self._link.submit(futures_pb2.SubmitRequest(task=message, group=group), future)
        return future

    def map(self, fn: Any, *iterables: Iterable[Any], timeout: Optional[float] = None,
            chunksize: int = 1, labels: Optional[Mapping[str, str]] = None, options: OptionsLike = None,
            group: str = "") -> Iterator[Any]:
        """As Executor.map() of the standard library: the results in the order of the arguments; TimeoutError where `timeout`
        seconds from now have passed; what is left is cancelled when the iterator ends early. chunksize has no meaning here."""
        end = None if timeout is None else timeout + time.monotonic()
        futures = [self.submit(fn, *arguments, labels=labels, options=options, group=group)
                   for arguments in zip(*iterables)]
        futures.reverse()

        def results() -> Iterator[Any]:
            try:
                while futures:
                    yield futures[-1].result(None if end is None else max(0.0, end - time.monotonic()))
                    futures.pop()
            finally:
                for future in futures:
                    future._link.cancel(future._item, wait=False)
        return results()

    def function(self, name: Any, *, labels: Optional[Mapping[str, str]] = None, options: OptionsLike = None,
                 group: str = "", completed: bool = False) -> Function[Any]:
        """A callable for a function of the daemon. With `completed` it answers Completed(value, task, id), so that what
        asyncio.gather() returns describes itself."""
        return Function(self, _task.name_of(name), labels, options, group, completed)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more tasks. With `wait`, return when all futures of this executor are done. With `cancel_futures`, those that
        no worker has begun are cancelled first; CallError where the daemon does not say which: it is shut down all the same. Futures
        that are done can still be asked for all that the daemon knows."""
        try:
            if cancel_futures:
                self._cancel_pending()
        finally:
            self._link.close(wait)

    def _cancel_pending(self) -> None:
        link = self._link
        with link.lock:
            items = [*link.runs.items(), *link.asks.items()]
        for item in items:
            if item.first_said is None and item.id is None:
                link.cancel(item)
        link.flush(link.call_timeout)
        ids = {item.id: item for item in items if item.id is not None and not item.is_over and item.first_said is not None}
        named = list(ids)
        for i in range(0, len(named), IDS_A_MESSAGE):
            selector = future_pb2.Selector(ids=named[i:i + IDS_A_MESSAGE])
            for record in self._records(selector, future_pb2.VIEW_RESULT):
                if record.state is State.PENDING:
                    link.cancel(ids[record.id])

    # --- what is there already

    def attach(self, id: str, *, completed: bool = False) -> Future[Any]:
        """The future of that ID, whoever submitted it. It fails with UnknownFuture where there is none."""
        future: Future[Any] = Future(self._link, id=id, pickle=self._pickle, completed=completed)
        future._item = self._link.follow(id, future)
        return future

    future = attach

    def get(self, id: str) -> Record:
        """The future of that ID as it is now. UnknownFuture where there is none."""
        return Record(self._link.get(id, future_pb2.VIEW_FULL), self._pickle)

    def find(self, filter: str = "", *, group: str = "") -> Iterator[Record]:
        """All futures of a filter (docs/filter.md), or of a group, the newest first, without argument and result."""
        yield from self._records(future_pb2.Selector(group=group) if group else future_pb2.Selector(filter=filter or "*"),
                                 future_pb2.VIEW_BASIC)

    def _records(self, selector: future_pb2.Selector, view: future_pb2.View) -> Iterator[Record]:
        request = futures_pb2.ListRequest(selector=selector, view=view, page_size=1000)
        while True:
            answer = self._link.channel.call(self._link.channel.futures.List, request, self._link.call_timeout)
            for message in answer.futures:
                yield Record(message, self._pickle)
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token
