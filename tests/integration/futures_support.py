# SPDX-License-Identifier: Apache-2.0
"""What the tests of the Futures service stand on, beside harness.py: the daemon with its pool, functions that a test
holds in its hand, and whole answers compared.

    class Things(futures_support.FuturesCase):
        def test_one(self):
            got = self.futures.Run(run("echo", b"x"))
            self.assert_future(got, succeeded(task("echo", b"x"), data=b"x"))

What an answer must be is written down as the whole message, with ID, TIME and the like (below) for what differs from run
to run; assert_future and assert_message put these into a copy of what came, where anything at all stands, and compare
all of it.

Gate is how a test knows that a task runs, and decides when it ends: no test waits for time to pass.
"""
import os
import pathlib
import re
import select
import shutil
import tempfile
import time

import harness
from harness import DEADLINE, grpc

from futured.v1 import functions_pb2, functions_pb2_grpc, future_pb2, futures_pb2, futures_pb2_grpc
from google.protobuf import duration_pb2, text_format, timestamp_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

PENDING, RUNNING = future_pb2.STATE_PENDING, future_pb2.STATE_RUNNING
SUCCEEDED, FAILED, CANCELLED = future_pb2.STATE_SUCCEEDED, future_pb2.STATE_FAILED, future_pb2.STATE_CANCELLED
TERMINAL = (SUCCEEDED, FAILED, CANCELLED)
RESULT, BASIC = future_pb2.VIEW_RESULT, future_pb2.VIEW_BASIC
TASK, FULL = future_pb2.VIEW_TASK, future_pb2.VIEW_FULL

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
NO_SUCH_ID = "01890000-0000-7000-8000-000000000000"  # of the year 2023

# With FUTURED_TEST_STORE=sqlite the same tests are about futures on disk.
STORE = os.environ.get("FUTURED_TEST_STORE", "none")
DURABILITY = future_pb2.DURABILITY_EPHEMERAL if STORE == "none" else future_pb2.DURABILITY_DURABLE

EPHEMERAL_RETENTION_NS = 600 * 10**9


def default_retention_ns(f):
    if STORE == "none":
        return EPHEMERAL_RETENTION_NS
    return (24 if f.state == SUCCEEDED else 7 * 24) * 3600 * 10**9


# --- requests

def task(function, argument=None, **fields):
    return future_pb2.Task(function=function, argument=argument, **fields)


def submit(function, argument=None, *, group="", tag="", view=0, **fields):
    return futures_pb2.SubmitRequest(task=task(function, argument, **fields), group=group, tag=tag, view=view)


def run(function, argument=None, *, announce=False, **fields):
    return futures_pb2.RunRequest(submit=submit(function, argument, **fields), announce=announce)


def get(id_, view=0):
    return futures_pb2.GetRequest(id=id_, view=view)


def selector(*ids, **fields):
    return future_pb2.Selector(ids=ids, **fields)


def seconds(n):
    return duration_pb2.Duration(seconds=int(n), nanos=int(n * 10**9) % 10**9)


def nanoseconds(timestamp):
    return timestamp.seconds * 10**9 + timestamp.nanos


# --- answers

# What stands in a wanted message where only the presence is known.
ID, PEER, WORKER, REVISION = "ID", "PEER", "WORKER", 1
TIME = timestamp_pb2.Timestamp(seconds=1)
SPAN = duration_pb2.Duration()
USAGE = future_pb2.Usage(user_cpu=SPAN, system_cpu=SPAN, wall=SPAN)
WALL = future_pb2.Usage(wall=SPAN)  # all that the daemon knows where the worker does not tell

_BLANKS = {
    ("Future", "id"): ID, ("Future", "revision"): REVISION, ("FutureEvent", "id"): ID, ("Submitter", "peer"): PEER,
    ("Attempt", "worker"): WORKER, ("Usage", "user_cpu"): SPAN, ("Usage", "system_cpu"): SPAN, ("Usage", "wall"): SPAN,
    ("FunctionInfo", "mean_run"): SPAN,
}


def blank(message):
    """@message in place, with what differs from run to run replaced."""
    for field, value in message.ListFields():
        put = _BLANKS.get((message.DESCRIPTOR.name, field.name))
        if field.message_type and field.message_type.full_name == "google.protobuf.Timestamp":
            put = TIME
        if (message.DESCRIPTOR.name, field.name) == ("Usage", "max_rss_bytes"):
            message.ClearField(field.name)  # known for some attempts only
        elif put is not None and field.message_type:
            value.CopyFrom(put)
        elif put is not None:
            setattr(message, field.name, put)
        elif field.message_type and not field.message_type.GetOptions().map_entry:
            for part in value if field.label == field.LABEL_REPEATED else [value]:
                blank(part)
    return message


def text_of(message):
    copy = type(message)()
    copy.CopyFrom(message)
    return text_format.MessageToString(blank(copy))


def future(asked, state, *, view=FULL, attempts=(), result=None, error=None, group="", tag="", labels=None, reason=0,
           priority=0, on_lost=future_pb2.ON_LOST_RETRY, retention=None, **fields):
    """The future of the task @asked as the daemon should show it."""
    f = future_pb2.Future(id=ID, state=state, revision=REVISION, **fields)
    if result is not None:
        f.result.CopyFrom(result)
        if view in (BASIC, TASK):
            f.result.ClearField("data")
    if error is not None:
        f.error.CopyFrom(error)
    if view == RESULT:
        return f
    f.task.CopyFrom(asked)
    if view == BASIC or (view == FULL and f.omitted):
        f.task.ClearField("argument")
    f.pending_reason = reason
    f.submit_time.CopyFrom(TIME)
    if attempts:
        f.start_time.CopyFrom(TIME)
    if state in TERMINAL:
        f.end_time.CopyFrom(TIME)
        f.expire_time.CopyFrom(TIME)
    f.attempts.extend(attempts)
    f.labels.update(asked.labels if labels is None else labels)
    f.group, f.tag = group, tag
    f.effective_options.durability = DURABILITY
    f.effective_options.priority = f.schedule.priority = priority
    f.effective_options.retry.max_attempts = 1
    f.effective_options.on_lost = on_lost
    f.schedule.SetInParent()
    if retention is not None:
        f.effective_options.retention.CopyFrom(retention)
        f.schedule.retention.CopyFrom(retention)
    f.submitter.peer = PEER
    f.argument_size_bytes = len(asked.argument)
    return f


def attempt(error=None, number=1, usage=USAGE, **fields):
    """One that has ended."""
    return future_pb2.Attempt(number=number, worker=WORKER, start_time=TIME, end_time=TIME, error=error, usage=usage,
                              **fields)


def pending(asked, **fields):
    return future(asked, PENDING, reason=future_pb2.PENDING_REASON_READY, **fields)


def running(asked, **fields):
    return future(asked, RUNNING, attempts=[future_pb2.Attempt(number=1, worker=WORKER, start_time=TIME)], **fields)


def succeeded(asked, data=b"", content_type="", exit_code=None, **fields):
    ended = attempt() if exit_code is None else attempt(exit_code=exit_code)
    return future(asked, SUCCEEDED, attempts=[ended],
                  result=future_pb2.Result(data=data, content_type=content_type, size_bytes=len(data)), **fields)


def failed(asked, error, usage=USAGE, exit_code=None, signo=None, **fields):
    how = {key: value for key, value in (("exit_code", exit_code), ("signal", signo)) if value is not None}
    return future(asked, FAILED, attempts=[attempt(error, usage=usage, **how)], error=error, **fields)


def cancelled(asked, reason="", **fields):
    error = future_pb2.Error(code=code_pb2.CANCELLED, reason="CANCELLED", message=reason)
    return future(asked, CANCELLED, error=error,
                  cancel_requested=future_pb2.Cancellation(time=TIME, reason=reason), **fields)


def function_error(message, code=code_pb2.UNKNOWN, type_="", **fields):
    """What may be tried again, unless the function says that it may not."""
    return future_pb2.Error(code=code, reason="FUNCTION_ERROR", type=type_, message=message, **{"retryable": True, **fields})


def status_of(error):
    """The google.rpc.Status that a failed call carries, and its details by the names of their types."""
    metadata = dict(error.trailing_metadata())
    status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    return status, details_of(status)


def details_of(status):
    details = {}
    for packed in status.details:
        name = packed.TypeName().rpartition(".")[2]
        if name in details:
            raise AssertionError(f"two details of type {name}")
        details[name] = getattr(error_details_pb2, name)()
        packed.Unpack(details[name])
    return details


# What stands beside ErrorInfo, by code; and where it need not.
_DETAILS = {
    code_pb2.NOT_FOUND: "ResourceInfo", code_pb2.ALREADY_EXISTS: "ResourceInfo", code_pb2.DATA_LOSS: "ResourceInfo",
    code_pb2.FAILED_PRECONDITION: "PreconditionFailure", code_pb2.UNAVAILABLE: "RetryInfo",
    code_pb2.INVALID_ARGUMENT: "BadRequest", code_pb2.RESOURCE_EXHAUSTED: "RetryInfo",
}
_WITHOUT = {"MALFORMED_MESSAGE",  # there is no field to name
            "TOO_MANY_IDS", "MESSAGE_TOO_LARGE", "TOLD_TOO_MUCH"}  # the same again would fail as well


def what_failed(status):
    """code, reason and the fields of the violations, of a google.rpc.Status as the daemon makes them: with every detail
    that its code asks for."""
    details = details_of(status)
    info = details["ErrorInfo"]
    if info.domain != "futured" or not re.fullmatch(r"[A-Z][A-Z0-9_]{2,62}", info.reason):
        raise AssertionError(f"domain {info.domain!r}, reason {info.reason!r}")
    if status.code in _DETAILS and info.reason not in _WITHOUT and _DETAILS[status.code] not in details:
        raise AssertionError(f"no {_DETAILS[status.code]} with {info.reason}")
    if "RetryInfo" in details and details["RetryInfo"].retry_delay.ToNanoseconds() <= 0:
        raise AssertionError(f"retry at once? {info.reason}")
    fields = [v.field for v in details["BadRequest"].field_violations] if "BadRequest" in details else []
    return status.code, info.reason, fields


# --- tasks in the test's hand

class Gate:
    """Holds every task of function `gate` whose argument is gate.argument.

    started() returns the IDs of the tasks that have begun to run, once there are enough; open() lets all of them end,
    and those that begin later, with @data as their result. What a task tells is told by the process that runs it, not
    by the daemon.
    """

    COMMAND = {"command": 'f=$(cat); echo "$FUTURED_ID" >"$f.started"; cat "$f"; exec cat "$f.result"', "shell": "yes"}

    def __init__(self, folder, name):
        self.path = folder / name
        self.argument = str(self.path).encode()
        os.mkfifo(self.path)
        os.mkfifo(f"{self.path}.started")
        # Both ends, so that neither side waits for the other to open it, nor sees an end before its time.
        self._hold = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        self._started = os.open(f"{self.path}.started", os.O_RDWR | os.O_CLOEXEC)
        self._said = b""

    def started(self, n=1):
        end = time.monotonic() + DEADLINE
        while self._said.count(b"\n") < n:
            if not select.select([self._started], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError(f"{self._said.count(bytes([10]))} tasks have started, not {n}")
            self._said += os.read(self._started, 65536)
        return self._said.decode().split()

    def open(self, data=b""):
        pathlib.Path(f"{self.path}.result").write_bytes(data)
        empty = pathlib.Path(f"{self.path}.empty")
        empty.touch()
        empty.rename(self.path)  # for those to come
        os.close(self._hold)     # for those who read
        self._hold = -1

    def close(self):
        for fd in (self._hold, self._started):
            if fd >= 0:
                os.close(fd)
        self._hold = self._started = -1


# --- tests

class FuturesCase(harness.ServerCase):
    """Each test has a daemon with a pool of its own, self.futures is a stub of its Futures service."""

    workers = 2
    functions = {}  # name: the keys of its section, or the command alone
    timeouts = {"drain": "200ms"}  # many tests leave something running behind

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="futured-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.server = self.start()
        self.futures = self.futures_of(self.server)

    def start(self, *, workers=None, functions=None, timeouts=None, futured=None, limits=None, pool=None, more=None,
              **options):
        sections = {"futured": futured or {}, "limits": limits or {}, "pool": pool or {},
                    "timeouts": self.timeouts if timeouts is None else timeouts, "function.gate": Gate.COMMAND}
        for name, keys in {**self.functions, **(functions or {})}.items():
            sections[f"function.{name}"] = keys if isinstance(keys, dict) else {"command": keys}
        arguments = ("--workers", str(self.workers if workers is None else workers))
        sections.update(more or {})
        return super().start(program="futured", arguments=arguments, config=sections, store=STORE, **options)

    def futures_of(self, server, **options):
        return harness.Stub(futures_pb2_grpc.FuturesStub(self.channel(server.address, **options)))

    def functions_of(self, server):
        return harness.Stub(functions_pb2_grpc.FunctionsStub(self.channel(server.address)))

    def gate(self, name="gate"):
        gate = Gate(self.folder, name)
        self.addCleanup(gate.close)
        return gate

    # asking

    def submit(self, *arguments, **fields):
        """The ID of a new future."""
        return self.futures.Submit(submit(*arguments, **fields)).future.id

    def submit_many(self, requests):
        return [r.future.id for r in self.futures.SubmitStream(iter(requests))]

    def finished(self, id_, view=FULL):
        """The future, once it is terminal."""
        return self.until(id_, lambda f: f.state in TERMINAL, view)

    def until(self, id_, predicate, view=FULL):
        """The future, once @predicate holds for it."""
        watch = self.futures.Watch(futures_pb2.WatchRequest(selector=selector(id_), view=view, kinds=[
            futures_pb2.EVENT_KIND_STATE, futures_pb2.EVENT_KIND_LABELS]))
        try:
            for event in watch:
                if event.HasField("keepalive"):
                    continue
                shown = getattr(event, event.WhichOneof("event"))
                if predicate(shown):
                    return shown
        finally:
            watch.cancel()
        raise AssertionError(f"the future never came to what was waited for; last: {shown}")

    def poll(self, probe, what):
        """What @probe answers, once it is true; for what no call waits for. Bounded, and paced by the calls in it."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            answer = probe()
            if answer:
                return answer
        raise AssertionError(f"{what}: not within {DEADLINE} s")

    def fails_with(self, call, request):
        """The code of its status."""
        try:
            call(request)
            return grpc.StatusCode.OK
        except grpc.RpcError as error:
            return error.code()

    def occupy(self, n=None):
        """A gate that holds every worker of the pool, so that whatever is submitted stays pending; and the IDs."""
        gate = self.gate("occupied")
        ids = [self.submit("gate", gate.argument) for _ in range(self.workers if n is None else n)]
        self.assertEqual(set(gate.started(len(ids))), set(ids))
        return gate, ids

    def worker_pids(self):
        """The processes of the pool."""
        return {pid for pid in children(self.server.process.pid) if name_of(pid) == "futured-worker"}

    def pool_pids(self):
        """The same, once all are there: the daemon serves as soon as one is ready."""
        self.poll(lambda: len(self.worker_pids()) == self.workers, "the pool is there")
        return self.worker_pids()

    # judging

    def assert_message(self, got, wanted):
        self.assertEqual(text_of(got), text_of(wanted))

    def assert_future(self, got, wanted, id_=None, retention_ns=None):
        """The whole of it; and what blank() hides is in order."""
        self.assert_message(got, wanted)
        self.assertRegex(got.id, UUID7)
        if id_ is not None:
            self.assertEqual(got.id, id_)
        self.assertGreater(got.revision, 0)
        if not got.HasField("submit_time"):
            return got
        times = [got.submit_time] + ([got.start_time] if got.attempts else [])
        for a in got.attempts:
            times += [a.start_time] + ([a.end_time] if a.HasField("end_time") else [])
        if got.HasField("end_time"):
            times.append(got.end_time)
            kept_ns = default_retention_ns(got) if retention_ns is None else retention_ns
            self.assertEqual(nanoseconds(got.expire_time) - nanoseconds(got.end_time), kept_ns)
        times = [nanoseconds(t) for t in times]
        self.assertEqual(times, sorted(times))
        return got

    def assert_refused(self, error, code, reason, *fields):
        """The error of a call says, in all its forms, what is wrong."""
        status, details = status_of(error)
        self.assertEqual(error.code(), code, error.details())
        self.assertEqual((status.code, status.message), (code.value[0], error.details()))
        self.assertTrue(status.message)
        self.assertEqual(what_failed(status), (code.value[0], reason, list(fields)))
        return details

    def assert_serves(self, address=None, **_):
        """A fresh stock client is served, through and through."""
        with harness.open_channel(address or self.server.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            got = futures_pb2_grpc.FuturesStub(channel).Run(run("echo", b"still here"), timeout=DEADLINE)
        self.assert_future(got, succeeded(task("echo", b"still here"), data=b"still here"))


def name_of(pid):
    """The program's name; empty of one that has ended, None of one that nobody remembers."""
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode().rpartition("/")[2]
    except (FileNotFoundError, ProcessLookupError):
        return None


def children(pid):
    return [int(c) for t in pathlib.Path(f"/proc/{pid}/task").iterdir() for c in (t / "children").read_text().split()]


def commands(pid):
    """{process: ID of its future} of what the worker @pid runs just now that is a command."""
    found = {}
    for child in children(pid):
        try:
            environment = pathlib.Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        found.update({child: e[11:].decode() for e in environment if e.startswith(b"FUTURED_ID=")})
    return found


main = harness.main
