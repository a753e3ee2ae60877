# SPDX-License-Identifier: Apache-2.0
"""Functions by name, and how one is run: from an Assignment to a Finish."""
from __future__ import annotations

import asyncio
import inspect
import resource
import threading
import time
import traceback
from dataclasses import dataclass
from typing import Any, Callable, Optional, Sequence, TypeVar

from .. import codec
from .._task import Options
from ..v1 import functions_pb2, future_pb2, workers_pb2
from ._context import Cancelled, Context, Failure, _current

F = TypeVar("F", bound=Callable[..., Any])
_CODE_UNKNOWN, _CODE_CANCELLED, _CODE_TOO_LARGE = 2, 1, 8  # google.rpc.Code


@dataclass(frozen=True)
class Registered:
    """A function and what is said of it."""

    name: str
    call: Callable[..., Any]
    spec: functions_pb2.FunctionSpec
    pickle: bool

    def may_be_called_with_nothing(self) -> bool:
        try:
            inspect.signature(self.call).bind()
        except (TypeError, ValueError):
            return False
        return True


class Registry:
    """Functions by name. `futured.worker` has one of its own; who serves several sets from one process makes more."""

    def __init__(self) -> None:
        self.functions: dict[str, Registered] = {}
        self._inits: list[Callable[[], Any]] = []
        self._lock = threading.Lock()
        self._is_begun = False

    def function(self, call: Optional[F] = None, *, name: Optional[str] = None, doc: Optional[str] = None,
                 content_types: Sequence[str] = (), options: Optional[Options] = None, version: str = "",
                 pickle: bool = False, max_running: int = 0) -> Any:
        """Decorator: serve a function, plain or async, under its name or another.

        doc            for people; default: its docstring
        content_types  media types that it takes; default: any
        options        of tasks that do not say otherwise: retry, attempt_timeout, priority, durability, on_lost, retention
        max_running    so many of its tasks at a time at most in this worker; default: as many as it has slots
        pickle         arguments that are pickles are read: whoever may submit runs code here
        """
        def register(f: F) -> F:
            its_name = name or f.__name__
            if its_name in self.functions and self.functions[its_name].call is not f:
                raise ValueError(f"there are two functions named {its_name!r}")
            spec = functions_pb2.FunctionSpec(name=its_name, doc=(doc if doc is not None else inspect.getdoc(f)) or "",
                                              content_types=content_types, version=version, max_running=max_running)
            if options is not None:
                spec.default_options.CopyFrom(options.message())
            self.functions[its_name] = Registered(its_name, f, spec, pickle)
            f.futured_name = its_name  # type: ignore[attr-defined]
            return f
        return register if call is None else register(call)

    def init(self, call: F) -> F:
        """Decorator: run once in each process that runs functions, before any of them. Where it raises, the worker ends."""
        self._inits.append(call)
        return call

    def begin(self) -> None:
        """Run what init() has registered, once."""
        with self._lock:
            if not self._is_begun:
                for call in self._inits:
                    call()
                self._is_begun = True

    def run(self, context: Context, max_result_bytes: int, who: int = resource.RUSAGE_THREAD) -> workers_pb2.Finish:
        """Run the function of one attempt in this thread. Never raises."""
        finish = workers_pb2.Finish(lease=context.assignment.lease)
        began, used = time.monotonic_ns(), resource.getrusage(who)
        token = _current.set(context)
        try:
            self._answer(finish, context, max_result_bytes)
        except BaseException as error:  # whatever a function does is told, and costs its own attempt
            _fail(finish, context, error)
        finally:
            _current.reset(token)
        usage = resource.getrusage(who)
        finish.usage.wall.FromNanoseconds(time.monotonic_ns() - began)
        finish.usage.user_cpu.FromNanoseconds(round((usage.ru_utime - used.ru_utime) * 1e9))
        finish.usage.system_cpu.FromNanoseconds(round((usage.ru_stime - used.ru_stime) * 1e9))
        return finish

    def _answer(self, finish: workers_pb2.Finish, context: Context, max_result_bytes: int) -> None:
        task = context.assignment.task
        function = self.functions[task.function]
        context.pickle = function.pickle
        arguments, keywords = _arguments(function, task)
        value = function.call(*arguments, **keywords)
        if inspect.iscoroutine(value):
            value = asyncio.run(value)
        encoded = codec.encode(value)
        if len(encoded.data) > max_result_bytes:
            finish.error.code = _CODE_TOO_LARGE  # type: ignore[assignment]
            finish.error.reason = "RESULT_TOO_LARGE"
            finish.error.message = f"the result has {len(encoded.data)} bytes; at most {max_result_bytes} are allowed"
            return
        finish.result.data = encoded.data
        finish.result.content_type = encoded.content_type
        finish.result.size_bytes = len(encoded.data)


def _arguments(function: Registered, task: future_pb2.Task) -> tuple[tuple[Any, ...], dict[str, Any]]:
    kind = codec.media_type(task.content_type)
    if kind == codec.PICKLE and not function.pickle:
        raise Failure("the argument is a pickle, which this function does not take (@function(pickle=True))",
                      type="TypeError", retryable=False)
    if not task.argument and not kind and function.may_be_called_with_nothing():
        return (), {}
    value = codec.decode(task.argument, task.content_type, pickle=function.pickle)
    if kind == codec.JSON and isinstance(value, list):
        return tuple(value), {}
    if kind == codec.JSON and isinstance(value, dict):
        return (), value
    return (value,), {}


def _fail(finish: workers_pb2.Finish, context: Context, error: BaseException) -> None:
    finish.ClearField("result")
    told = finish.error
    told.code = _CODE_UNKNOWN  # type: ignore[assignment]
    if isinstance(error, Cancelled) and context.cancelled:
        told.code = _CODE_CANCELLED  # type: ignore[assignment]
        told.reason = "CANCELLED"
        told.message = context.cancel_reason
        return
    kind = type(error)
    told.type = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    told.message = str(error)
    told.traceback = "".join(traceback.format_exception(kind, error, _of_function(error)))
    if isinstance(error, Failure):
        told.type = error.type or told.type
        told.function_reason = error.reason
        finish.final = not error.retryable


def _of_function(error: BaseException) -> Any:
    """The traceback without the lines of this file."""
    lines = error.__traceback__
    while lines is not None and lines.tb_next is not None and lines.tb_frame.f_code.co_filename == __file__:
        lines = lines.tb_next
    return lines
