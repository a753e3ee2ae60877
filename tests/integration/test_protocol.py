#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""docs/protocol.md: every method of the contract has its section there, once, with a transcript; here the transcripts are
run again and compared with what stands there. `tests/integration/test_protocol.py --write` puts the new ones in."""
import os
import pathlib
import re
import sys

os.environ["FUTURED_TEST_STORE"] = "sqlite"  # what a daemon does unless told otherwise
import futures_support  # noqa: E402
import transcript  # noqa: E402
import worker_support  # noqa: E402
from futures_support import *  # noqa: E402,F403: the words of the contract
from harness import ROOT  # noqa: E402

from futured.v1 import system_pb2, workers_pb2  # noqa: E402
from google.longrunning import operations_pb2  # noqa: E402
from google.protobuf import empty_pb2, symbol_database  # noqa: E402
from grpc.health.v1 import health_pb2  # noqa: E402
from grpc.reflection.v1 import reflection_pb2  # noqa: E402
from grpc.reflection.v1alpha import reflection_pb2 as reflection_v1alpha_pb2  # noqa: E402

PAGE = ROOT / "docs/protocol.md"
FILES = [futures_pb2, functions_pb2, workers_pb2, system_pb2, operations_pb2, health_pb2, reflection_pb2, reflection_v1alpha_pb2]
METHODS = [f"{s.full_name}/{m.name}" for f in FILES for s in f.DESCRIPTOR.services_by_name.values() for m in s.methods]
BLOCK = re.compile(r"^## (?P<service>[\w.]+)$|^### (?P<method>\w+)\n(?:(?!^#).*\n)*?```text\n(?P<text>(?:(?!```).*\n)*)```$",
                   re.M)
FUTURES, FUNCTIONS, WORKERS = "futured.v1.Futures/", "futured.v1.Functions/", "futured.v1.Workers/"
SYSTEM, OPERATIONS = "futured.v1.System/", "google.longrunning.Operations/"

f = futures_pb2
scenes = {}


def scene(path, workers=1):
    """The scene of a method: what it plays with (a World) and how many workers there are."""
    def add(play):
        scenes[path] = play, workers
        return play
    return add


class World:
    def __init__(self, case, workers):
        self.case = case
        self.server = case.start(workers=workers)
        self.stub = case.futures_of(self.server)
        self.talk = transcript.Talk(case.channel(self.server.address), symbol_database.Default())

    def call(self, method, request, response, **options):
        return self.talk.unary(FUTURES + method, request, response, **options)

    # what happens beside the transcript

    def run(self, *arguments, **fields):
        return self.stub.Run(run(*arguments, **fields)).id

    def submit(self, *arguments, **fields):
        return self.stub.Submit(submit(*arguments, **fields)).future.id

    def begun(self, *arguments, **fields):
        """The ID of one that runs, as far as the daemon knows."""
        self.case.futures, id_ = self.stub, self.submit(*arguments, **fields)
        self.case.until(id_, lambda g: g.state == RUNNING)
        return id_


def ids(*names, **fields):
    return selector(*names, **fields)


# --- futured.v1.Futures

@scene(FUTURES + "Submit")
def _(w):
    w.call("Submit", submit("sha256", b"abc", labels={"customer": "42"}, group="nightly"), f.SubmitResponse)
    w.call("Submit", submit("nothing", b"abc"), f.SubmitResponse)


@scene(FUTURES + "SubmitStream", workers=0)
def _(w):
    w.talk.bidi(FUTURES + "SubmitStream", [submit("echo", b"one", tag="a", view=RESULT), submit("nothing", tag="b"),
                                           submit("echo", b"two", tag="c", view=RESULT)], f.SubmitResponse)


@scene(FUTURES + "Run")
def _(w):
    w.call("Run", run("sha256", b"abc"), future_pb2.Future, metadata=("futured-id",))
    w.call("Run", run("fail", b"no such luck", view=RESULT), future_pb2.Future)


@scene(FUTURES + "RunStream")
def _(w):
    w.talk.bidi(FUTURES + "RunStream", [run("echo", b"one", announce=True, tag="a", view=RESULT)], f.RunResponse)


@scene(FUTURES + "Get")
def _(w):
    id_ = w.run("sha256", b"abc")
    w.call("Get", get(id_, BASIC), future_pb2.Future)
    w.call("Get", get(id_, RESULT), future_pb2.Future)
    w.call("Get", get(NO_SUCH_ID), future_pb2.Future)


@scene(FUTURES + "Wait")
def _(w):
    done = w.run("echo", b"x")
    w.call("Wait", f.WaitRequest(selector=ids(done, NO_SUCH_ID), view=RESULT), f.WaitResponse)
    waiting = w.begun("sleep", b"600000")
    w.call("Wait", f.WaitRequest(selector=ids(done, waiting), timeout=seconds(0), view=RESULT), f.WaitResponse)
    w.call("Wait", f.WaitRequest(selector=ids(done, waiting), return_when=f.RETURN_WHEN_FIRST_COMPLETED, view=RESULT),
           f.WaitResponse)


@scene(FUTURES + "AsCompleted")
def _(w):
    first, second = w.run("echo", b"first"), w.run("echo", b"second")
    w.talk.bidi(FUTURES + "AsCompleted", [f.AsCompletedRequest(ids=[second, NO_SUCH_ID], view=RESULT),
                                          f.AsCompletedRequest(ids=[first])], f.AsCompletedResponse)


@scene(FUTURES + "Watch")
def _(w):
    gate = w.case.gate()
    id_ = w.begun("gate", gate.argument)

    def until(event):
        if event.WhichOneof("event") == "snapshot":
            w.talk.note("the task ends")
            gate.open(b"done")
        return False
    w.talk.server_stream(FUTURES + "Watch", f.WatchRequest(selector=ids(id_), view=RESULT, kinds=[f.EVENT_KIND_STATE]),
                         f.FutureEvent, until)
    later = future_pb2.TaskOptions(delay=seconds(600))
    first = w.submit("echo", b"x", group="nightly", options=later)
    seen = []

    def until_both(event):
        seen.append(event)
        if event.HasField("keepalive"):
            w.talk.note("the future is cancelled, and another one joins the group")
            w.stub.Cancel(f.CancelRequest(id=first))
            w.submit("echo", b"y", group="nightly", options=later)
        return len(seen) == 4
    w.talk.server_stream(FUTURES + "Watch", f.WatchRequest(selector=ids(group="nightly"), view=RESULT), f.FutureEvent, until_both)
    w.talk.server_stream(FUTURES + "Watch", f.WatchRequest(selector=ids(group="nightly"), cursor=f.Cursor(epoch=99, event=7),
                                                           view=RESULT), f.FutureEvent, lambda event: event.HasField("keepalive"))


@scene(FUTURES + "List", workers=0)
def _(w):
    for i in range(3):
        w.submit("echo", b"%d" % i, group="nightly")
    page = w.call("List", f.ListRequest(selector=ids(group="nightly"), page_size=2, view=RESULT), f.ListResponse)
    w.call("List", f.ListRequest(selector=ids(group="nightly"), page_size=2, view=RESULT, page_token=page.next_page_token),
           f.ListResponse)


@scene(FUTURES + "Count", workers=0)
def _(w):
    for i in range(3):
        w.submit("echo", b"%d" % i, labels={"customer": str(i // 2)})
    w.call("Count", f.CountRequest(selector=ids(filter="state = PENDING"), group_by="labels.customer"), f.CountResponse)


@scene(FUTURES + "Annotate")
def _(w):
    id_ = w.run("echo", b"x", labels={"draft": "yes", "customer": "42"})
    w.call("Annotate", f.AnnotateRequest(id=id_, set_labels={"reviewed": "yes"}, remove_labels=["draft"]), future_pb2.Future)
    w.call("Annotate", f.AnnotateRequest(id=id_, set_labels={"x": ""}, if_revision=1), future_pb2.Future)


@scene(FUTURES + "Reschedule", workers=0)
def _(w):
    id_ = w.submit("echo", b"x")
    w.call("Reschedule", f.RescheduleRequest(id=id_, priority=5), future_pb2.Future)
    w.call("Reschedule", f.RescheduleRequest(id=id_, priority=6, if_revision=1), future_pb2.Future)


@scene(FUTURES + "Cancel", workers=0)
def _(w):
    id_ = w.submit("echo", b"x")
    w.call("Cancel", f.CancelRequest(id=id_, reason="no longer wanted"), future_pb2.Future)


@scene(FUTURES + "Retry", workers=1)
def _(w):
    id_ = w.run("fail", b"no such luck")
    w.call("Retry", f.RetryRequest(id=id_), future_pb2.Future)
    w.call("Retry", f.RetryRequest(id=w.run("echo", b"x")), future_pb2.Future)


@scene(FUTURES + "Delete")
def _(w):
    id_ = w.run("echo", b"x")
    w.call("Delete", f.DeleteRequest(id=id_), f.DeleteResponse)
    w.call("Get", get(id_), future_pb2.Future)
    w.call("Delete", f.DeleteRequest(id=w.submit("sleep", b"600000")), f.DeleteResponse)


@scene(FUTURES + "CancelMany", workers=0)
def _(w):
    for _ in range(3):
        w.submit("echo", b"x", group="nightly")
    w.call("CancelMany", f.CancelManyRequest(selector=ids(group="nightly"), dry_run=True), f.CancelManyResponse)
    w.call("CancelMany", f.CancelManyRequest(selector=ids(group="nightly"), reason="not tonight"), f.CancelManyResponse)


@scene(FUTURES + "RetryMany")
def _(w):
    for _ in range(2):
        w.run("fail", b"no", group="nightly")
    failed = ids(filter="state = FAILED AND group = nightly")
    w.call("RetryMany", f.RetryManyRequest(selector=failed, dry_run=True), f.RetryManyResponse)
    w.call("RetryMany", f.RetryManyRequest(selector=failed, options=future_pb2.TaskOptions(priority=5)), f.RetryManyResponse)


@scene(FUTURES + "DeleteMany")
def _(w):
    for _ in range(2):
        w.run("echo", b"x", group="nightly")
    w.call("DeleteMany", f.DeleteManyRequest(selector=ids(group="nightly")), f.DeleteManyResponse)


@scene(FUTURES + "Explain", workers=0)
def _(w):
    w.call("Explain", f.ExplainRequest(id=w.submit("echo", b"x")), f.Explanation)


# --- futured.v1.Functions

@scene(FUNCTIONS + "ListFunctions")
def _(w):
    w.talk.unary(FUNCTIONS + "ListFunctions", functions_pb2.ListFunctionsRequest(prefix="g", page_size=2),
                 functions_pb2.ListFunctionsResponse)


@scene(FUNCTIONS + "GetFunction")
def _(w):
    w.run("echo", b"x")
    w.talk.unary(FUNCTIONS + "GetFunction", functions_pb2.GetFunctionRequest(function="echo"), functions_pb2.FunctionInfo)


@scene(FUNCTIONS + "PauseFunction")
def _(w):
    w.talk.unary(FUNCTIONS + "PauseFunction", functions_pb2.PauseFunctionRequest(function="echo", reason="disk full"),
                 functions_pb2.FunctionInfo)


@scene(FUNCTIONS + "ResumeFunction")
def _(w):
    w.talk.unary(FUNCTIONS + "ResumeFunction", functions_pb2.ResumeFunctionRequest(function="echo"), functions_pb2.FunctionInfo)


@scene(FUNCTIONS + "SetFunctionLimits")
def _(w):
    w.talk.unary(FUNCTIONS + "SetFunctionLimits", functions_pb2.SetFunctionLimitsRequest(function="echo", max_running=2),
                 functions_pb2.FunctionInfo)


# --- futured.v1.Workers

HELLO = workers_pb2.Hello(name="a worker", session_token="t" * 16, functions=[functions_pb2.FunctionSpec(name="resize")])


@scene(WORKERS + "Attach", workers=0)
def _(w):
    stream = worker_support.Stream(w.case.channel(w.server.address))

    def say(**fields):
        w.talk.sent(workers_pb2.AttachRequest(**fields))
        stream.say(**fields)

    hello = workers_pb2.Hello(slots=1)
    hello.MergeFrom(HELLO)
    say(hello=hello, ready=workers_pb2.Ready(credit=1))
    w.talk.came(stream.next())
    w.talk.note("somebody submits")
    id_ = w.submit("resize", b"x")
    item = w.talk.came(stream.next()).assign.items[0]
    say(started=[workers_pb2.Started(lease=item.lease)])
    finish = workers_pb2.Finish(lease=item.lease)
    finish.result.data, finish.result.size_bytes = b"smaller", 7
    say(finish=[finish], ready=workers_pb2.Ready(credit=1))
    w.talk.note("the future has SUCCEEDED; the worker goes: it half-closes")
    w.case.futures = w.stub
    w.case.finished(id_)
    stream.half_close()
    w.talk.read(stream.call, lambda answer: False)


def _unary(path, request, response, workers=0):
    @scene(path, workers=workers)
    def _(w):
        w.talk.unary(path, request, response)


def _claimed(w, n=1):
    """A worker that claims, and what it has claimed."""
    claiming = worker_support.Claiming(w.case.channel(w.server.address), "t" * 16, "resize")
    claiming.claim()
    for _ in range(n):
        w.submit("resize", b"x")
    return claiming.claim(max_items=10)


@scene(WORKERS + "Claim", workers=0)
def _(w):
    _claimed(w, 0)
    w.submit("resize", b"x")
    w.talk.unary(WORKERS + "Claim", workers_pb2.ClaimRequest(hello=HELLO, max_items=10, wait=seconds(30)), workers_pb2.ClaimResponse)
    w.talk.unary(WORKERS + "Claim", workers_pb2.ClaimRequest(hello=HELLO), workers_pb2.ClaimResponse)


@scene(WORKERS + "Renew", workers=0)
def _(w):
    item, = _claimed(w).items
    gone = workers_pb2.Lease(id=item.lease.id, attempt=7, epoch=item.lease.epoch)
    w.talk.unary(WORKERS + "Renew", workers_pb2.RenewRequest(session_token="t" * 16, leases=[item.lease, gone]), workers_pb2.RenewResponse)
    w.talk.unary(WORKERS + "Renew", workers_pb2.RenewRequest(session_token="u" * 16), workers_pb2.RenewResponse)


@scene(WORKERS + "Finish", workers=0)
def _(w):
    first, second = _claimed(w, 2).items
    request = workers_pb2.FinishRequest(session_token="t" * 16)
    request.finish.add(lease=first.lease).result.data = b"smaller"
    request.finish.add(lease=second.lease).error.message = "no such luck"
    w.talk.unary(WORKERS + "Finish", request, workers_pb2.FinishResponse)
    del request.finish[1]
    w.talk.unary(WORKERS + "Finish", request, workers_pb2.FinishResponse)


@scene(WORKERS + "ListWorkers")
def _(w):
    w.run("echo", b"x")
    w.talk.unary(WORKERS + "ListWorkers", workers_pb2.ListWorkersRequest(), workers_pb2.ListWorkersResponse)


@scene(WORKERS + "DrainWorker")
def _(w):
    w.run("echo", b"x")
    w.talk.unary(WORKERS + "DrainWorker", workers_pb2.DrainWorkerRequest(worker_id="w-1", reason="maintenance"),
                 workers_pb2.DrainWorkerResponse)


@scene(WORKERS + "KillWorker")
def _(w):
    w.run("echo", b"x")
    w.talk.unary(WORKERS + "KillWorker", workers_pb2.KillWorkerRequest(worker_id="w-1", reason="it hangs"), workers_pb2.KillWorkerResponse)
    w.talk.unary(WORKERS + "KillWorker", workers_pb2.KillWorkerRequest(worker_id="w-4711"), workers_pb2.KillWorkerResponse)


# --- futured.v1.System

_unary(SYSTEM + "GetInfo", system_pb2.GetInfoRequest(), system_pb2.GetInfoResponse)


@scene(SYSTEM + "GetStats")
def _(w):
    w.run("echo", b"x")
    ask = system_pb2.GetStatsRequest
    w.talk.unary(SYSTEM + "GetStats", ask(prefix="futures_accepted"), system_pb2.GetStatsResponse)
    w.talk.unary(SYSTEM + "GetStats", ask(prefix="futures_accepted", openmetrics=True), system_pb2.GetStatsResponse)


@scene(SYSTEM + "Drain", workers=0)
def _(w):
    w.submit("echo", b"x")
    ask = system_pb2.DrainRequest
    w.talk.unary(SYSTEM + "Drain", ask(stop_accept=True, reason="maintenance"), system_pb2.DrainResponse)
    w.talk.unary(FUTURES + "Submit", submit("echo"), f.SubmitResponse)
    w.talk.unary(SYSTEM + "Drain", ask(stop_dispatch=True, timeout=seconds(60), reason="maintenance"), system_pb2.DrainResponse)


@scene(SYSTEM + "Resume", workers=0)
def _(w):
    w.case.channel(w.server.address).unary_unary("/" + SYSTEM + "Drain")(system_pb2.DrainRequest(stop_accept=True).SerializeToString())
    w.talk.unary(SYSTEM + "Resume", system_pb2.ResumeRequest(reason="maintenance is over"), system_pb2.ResumeResponse)


_unary(SYSTEM + "Reload", system_pb2.ReloadRequest(dry_run=True), system_pb2.ReloadResponse)


# --- google.longrunning.Operations

o = operations_pb2


@scene(OPERATIONS + "GetOperation")
def _(w):
    w.talk.unary(OPERATIONS + "GetOperation", o.GetOperationRequest(name=f"futures/{w.run('sha256', b'abc')}"), o.Operation)


@scene(OPERATIONS + "WaitOperation")
def _(w):
    w.talk.unary(OPERATIONS + "WaitOperation", o.WaitOperationRequest(name=f"futures/{w.run('fail', b'no such luck')}"),
                 o.Operation)


@scene(OPERATIONS + "ListOperations", workers=0)
def _(w):
    w.submit("echo", b"x")
    w.talk.unary(OPERATIONS + "ListOperations", o.ListOperationsRequest(name="futures"), o.ListOperationsResponse)


@scene(OPERATIONS + "CancelOperation", workers=0)
def _(w):
    w.talk.unary(OPERATIONS + "CancelOperation", o.CancelOperationRequest(name=f"futures/{w.submit('echo')}"), empty_pb2.Empty)


@scene(OPERATIONS + "DeleteOperation")
def _(w):
    w.talk.unary(OPERATIONS + "DeleteOperation", o.DeleteOperationRequest(name=f"futures/{w.run('echo')}"), empty_pb2.Empty)


# --- the standard ones

@scene("grpc.health.v1.Health/Check")
def _(w):
    w.talk.unary("grpc.health.v1.Health/Check", health_pb2.HealthCheckRequest(service="futured.v1.Futures"),
                 health_pb2.HealthCheckResponse)


@scene("grpc.health.v1.Health/Watch")
def _(w):
    w.talk.server_stream("grpc.health.v1.Health/Watch", health_pb2.HealthCheckRequest(), health_pb2.HealthCheckResponse,
                         lambda answer: True)


def _reflection(version, pb2):
    path = f"grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"

    @scene(path)
    def _(w):
        w.talk.bidi(path, [pb2.ServerReflectionRequest(list_services="")], pb2.ServerReflectionResponse)


_reflection("v1", reflection_pb2)
_reflection("v1alpha", reflection_v1alpha_pb2)


# --- the page

def blocks_of(page):
    """{path: match} of the sections with a transcript; and the paths in the order of the page."""
    found, order, service = {}, [], ""
    for m in BLOCK.finditer(page):
        if m["service"]:
            service = m["service"]
        else:
            path = f"{service}/{m['method']}"
            order.append(path)
            found[path] = m
    return found, order


class Protocol(FuturesCase):  # noqa: F405
    maxDiff = None

    def play(self, path):
        play, workers = scenes[path]
        world = World(self, workers)
        play(world)
        return world.talk.text()

    def test_every_method_once(self):
        page = PAGE.read_text(encoding="utf-8")
        _, order = blocks_of(page)
        self.assertEqual(sorted(order), sorted(METHODS))
        self.assertEqual(sorted(scenes), sorted(METHODS))
        self.assertEqual(len(re.findall(r"^### ", page, re.M)), len(METHODS), "a section that is no method")

    def test_transcripts(self):
        page = PAGE.read_text(encoding="utf-8")
        found, order = blocks_of(page)
        texts = {}
        for path in order:
            with self.subTest(method=path):
                texts[path] = self.play(path)
                self.assertEqual(found[path]["text"], texts[path], "run tests/integration/test_protocol.py --write")

    def test_reasons(self):
        """Every reason that the daemon gives stands in the table, and no other."""
        table = re.findall(r"^\| ([A-Z_]+) \| `([A-Z_]+)` \|", PAGE.read_text(encoding="utf-8"), re.M)
        given = set()
        for source in [*(ROOT / "daemon").rglob("*.c"), *(ROOT / "lib").rglob("*.c")]:
            if "daemon/worker" in str(source) or source.name == "client.c":
                continue
            text = re.sub(r"\s+", " ", source.read_text(encoding="utf-8"))
            given |= set(re.findall(r"GRPC_[A-Z_]+, \"([A-Z][A-Z_]+)\"", text))
            given |= set(re.findall(r"\b(?:full|refuse)\(st, \"([A-Z][A-Z_]+)\"", text))
            given |= set(re.findall(r"\? \"([A-Z][A-Z_]+)\" : \"[A-Z]", text)) | set(re.findall(r"\" : \"([A-Z][A-Z_]+)\"", text))
        given -= {"PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"}
        self.assertEqual({reason for _, reason in table}, given)


def write():
    """New transcripts into the page."""
    class Writer(Protocol):
        def test_write(self):
            page = PAGE.read_text(encoding="utf-8")
            found, order = blocks_of(page)
            texts = {path: self.play(path) for path in order}
            for path in reversed(order):
                start, end = found[path].span("text")
                page = page[:start] + texts[path] + page[end:]
            PAGE.write_text(page, encoding="utf-8")
    futures_support.harness.unittest.TextTestRunner(verbosity=2).run(Writer("test_write"))


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        write()
    else:
        futures_support.main()
