# SPDX-License-Identifier: Apache-2.0
"""The nouns: Task, Options, Attempt, Record, Completed. What is frozen here is frozen at the daemon too."""
from __future__ import annotations

import datetime
import enum
from dataclasses import dataclass, field, fields
from typing import Any, Generic, Iterator, Mapping, Optional, Sequence, TypeVar, Union

from google.protobuf import duration_pb2, timestamp_pb2

from . import codec
from ._errors import TaskError
from .v1 import future_pb2

T = TypeVar("T")
Seconds = Union[float, datetime.timedelta]


class State(str, enum.Enum):
    """Where a future is in its life. The last three are terminal and never change."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_terminal(self) -> bool:
        return self not in (State.PENDING, State.RUNNING)


_STATES = {future_pb2.STATE_PENDING: State.PENDING, future_pb2.STATE_RUNNING: State.RUNNING,
           future_pb2.STATE_SUCCEEDED: State.SUCCEEDED, future_pb2.STATE_FAILED: State.FAILED,
           future_pb2.STATE_CANCELLED: State.CANCELLED}


def state_of(message: future_pb2.Future) -> State:
    return _STATES[message.state]


def _duration(value: Seconds) -> duration_pb2.Duration:
    message = duration_pb2.Duration()
    if isinstance(value, datetime.timedelta):
        message.FromTimedelta(value)
    else:
        message.FromNanoseconds(round(value * 1e9))
    return message


def _timestamp(value: datetime.datetime) -> timestamp_pb2.Timestamp:
    if value.tzinfo is None:
        raise ValueError("a point in time needs a time zone, as in datetime.now(timezone.utc)")
    message = timestamp_pb2.Timestamp()
    message.FromDatetime(value.astimezone(datetime.timezone.utc).replace(tzinfo=None))
    return message


def _datetime(message: Any, name: str) -> Optional[datetime.datetime]:
    if not message.HasField(name):
        return None
    at: datetime.datetime = getattr(message, name).ToDatetime(tzinfo=datetime.timezone.utc)
    return at


@dataclass(frozen=True)
class Retry:
    """When a failed attempt is followed by another; see RetryPolicy of the contract. Spans in seconds."""

    max_attempts: int = 1
    initial_backoff: Optional[Seconds] = None
    multiplier: float = 0
    max_backoff: Optional[Seconds] = None
    jitter: Optional[float] = None
    non_retryable_types: Sequence[str] = ()

    def message(self) -> future_pb2.RetryPolicy:
        message = future_pb2.RetryPolicy(max_attempts=self.max_attempts, multiplier=self.multiplier,
                                         non_retryable_types=self.non_retryable_types)
        for name in ("initial_backoff", "max_backoff"):
            if (span := getattr(self, name)) is not None:
                getattr(message, name).CopyFrom(_duration(span))
        if self.jitter is not None:
            message.jitter = self.jitter
        return message


@dataclass(frozen=True)
class Options:
    """How a task is to be run: TaskOptions of the contract, with spans in seconds (or timedelta), points in time as datetime
    with a time zone, futures or their IDs in depends_on, and enums by their last word: durability="ephemeral", on_lost="fail",
    depend_policy="on_finish", key_policy="reject". What is not set is the function's default, then the daemon's."""

    durability: Optional[str] = None
    priority: int = 0
    delay: Optional[Seconds] = None
    not_before: Optional[datetime.datetime] = None
    deadline: Optional[datetime.datetime] = None
    attempt_timeout: Optional[Seconds] = None
    retry: Optional[Retry] = None
    on_lost: Optional[str] = None
    depends_on: Sequence[Any] = ()
    depend_policy: Optional[str] = None
    pass_results: bool = False
    idempotency_key: str = ""
    key_policy: Optional[str] = None
    retention: Optional[Seconds] = None
    concurrency_key: str = ""
    fairness_key: str = ""

    def message(self) -> future_pb2.TaskOptions:
        """As the wire has it. ValueError for what cannot be said; waits until the futures in depends_on have their IDs."""
        message = future_pb2.TaskOptions()
        for item in fields(self):
            value = getattr(self, item.name)
            if value is None or value == item.default:
                continue
            if item.name in ("durability", "on_lost", "depend_policy", "key_policy"):
                enum_type = future_pb2.TaskOptions.DESCRIPTOR.fields_by_name[item.name].enum_type
                full = f"{item.name}_{value}".upper()
                if full not in enum_type.values_by_name:
                    raise ValueError(f"{item.name} cannot be {value!r}")
                setattr(message, item.name, enum_type.values_by_name[full].number)
            elif item.name in ("delay", "attempt_timeout", "retention"):
                getattr(message, item.name).CopyFrom(_duration(value))
            elif item.name in ("not_before", "deadline"):
                getattr(message, item.name).CopyFrom(_timestamp(value))
            elif item.name == "retry":
                message.retry.CopyFrom(value.message())
            elif item.name == "depends_on":
                message.depends_on.extend(f if isinstance(f, str) else f.id for f in value)
            else:
                setattr(message, item.name, value)
        return message


OptionsLike = Union[Options, future_pb2.TaskOptions, None]


@dataclass(frozen=True)
class Task:
    """A request exactly as it was accepted. It never changes.

    function      that was asked for
    data          the bytes of its argument, with their content_type
    labels        given at submission
    options       as futured.v1.TaskOptions
    group         shared by several futures; may be empty
    """

    function: str
    data: bytes = field(default=b"", repr=False)
    content_type: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    options: future_pb2.TaskOptions = field(default_factory=future_pb2.TaskOptions, repr=False, compare=False)
    group: str = ""

    @property
    def argument(self) -> Any:
        """What the function gets, decoded by its content type; bytes where there is none, and of a pickle. The argument of
        many calls is the list of their positional arguments."""
        return codec.decode(self.data, self.content_type)

    def __str__(self) -> str:
        argument = self.argument
        text = ", ".join(map(repr, argument)) if isinstance(argument, list) else repr(argument)
        return f"{self.function}({text if len(text) <= 80 else text[:77] + '...'})"


def task_of(message: future_pb2.Task, group: str = "") -> Task:
    return Task(message.function, message.argument, message.content_type, dict(message.labels), message.options, group)


@dataclass(frozen=True)
class Attempt:
    """One execution of a task. error, exit_code, signal and the times are None where there is none (yet)."""

    number: int
    worker: str
    start_time: Optional[datetime.datetime]
    end_time: Optional[datetime.datetime]
    error: Optional[TaskError]
    exit_code: Optional[int]
    signal: Optional[int]
    message: future_pb2.Attempt = field(repr=False, compare=False)


def _attempt_of(id: str, task: Optional[Task], m: future_pb2.Attempt) -> Attempt:
    return Attempt(m.number, m.worker, _datetime(m, "start_time"), _datetime(m, "end_time"),
                   TaskError(id, task, m.error) if m.HasField("error") else None,
                   m.exit_code if m.HasField("exit_code") else None,
                   m.signal if m.HasField("signal") else None, m)


@dataclass(frozen=True)
class Record:
    """A future as the daemon showed it at one moment; `message` is all of it as futured.v1.Future. `pickle` says whether its
    result may be a pickle that value() reads."""

    message: future_pb2.Future = field(repr=False)
    pickle: bool = field(default=False, repr=False)

    @property
    def id(self) -> str:
        return self.message.id

    @property
    def state(self) -> State:
        return state_of(self.message)

    @property
    def task(self) -> Task:
        return task_of(self.message.task, self.message.group)

    @property
    def labels(self) -> dict[str, str]:
        """The future's own labels: those of the task, changed by annotate()."""
        return dict(self.message.labels)

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        return tuple(_attempt_of(self.id, self.task, a) for a in self.message.attempts)

    @property
    def error(self) -> Optional[TaskError]:
        """Why it did not succeed; None where it has, or has not ended."""
        return TaskError(self.id, self.task, self.message.error) if self.message.HasField("error") else None

    @property
    def progress(self) -> Optional[future_pb2.Progress]:
        """How far it is, as its function last said: completed, total, message."""
        return self.message.progress if self.message.HasField("progress") else None

    @property
    def submit_time(self) -> Optional[datetime.datetime]:
        return _datetime(self.message, "submit_time")

    @property
    def start_time(self) -> Optional[datetime.datetime]:
        return _datetime(self.message, "start_time")

    @property
    def end_time(self) -> Optional[datetime.datetime]:
        return _datetime(self.message, "end_time")

    @property
    def revision(self) -> int:
        return self.message.revision

    def value(self) -> Any:
        """The result, decoded; the TaskError is raised where there is none. ValueError where it has not ended."""
        if self.message.HasField("error"):
            raise TaskError(self.id, self.task, self.message.error)
        if not self.message.HasField("result"):
            raise ValueError(f"future {self.id} is {self.state.value}: it has no outcome yet")
        return value_of(self.message, self.pickle)


def value_of(message: future_pb2.Future, pickle: bool) -> Any:
    return codec.decode(message.result.data, message.result.content_type, pickle=pickle)


@dataclass(frozen=True)
class Completed(Generic[T]):
    """A result that says what it is the result of."""

    value: T
    task: Task
    id: str

    def __iter__(self) -> Iterator[Any]:
        return iter((self.value, self.task, self.id))


def name_of(function: Any) -> str:
    """The name of what is to be run: a text, or a function that futured.worker has registered."""
    if isinstance(function, str):
        return function
    name = getattr(function, "futured_name", None)
    if isinstance(name, str):
        return name
    raise TypeError(f"{function!r} has no name at the daemon: submit runs functions of workers by name (\"resize\", or what "
                    "@futured.worker.function has registered)")


def request_task(function: Any, arguments: tuple[Any, ...], labels: Optional[Mapping[str, str]],
                 options: OptionsLike) -> future_pb2.Task:
    """The Task of one call, as the wire has it."""
    encoded = codec.encode_arguments(arguments)
    task = future_pb2.Task(function=name_of(function), argument=encoded.data, content_type=encoded.content_type)
    task.labels.update(labels or {})
    if options is not None:
        task.options.CopyFrom(options.message() if isinstance(options, Options) else options)
    return task
