#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Workers from elsewhere, written in Python with stock stubs (worker_support.py): on a stream and by Claim, over TCP and a Unix
socket; functions that come and go, streams that are lost, leases that are lost, workers that lie; draining and killing."""
import threading

import futures_support
import harness
import worker_support
from durable_support import DurableCase
from futures_support import *  # noqa: F403: the words of the contract
from worker_support import Claiming, Serving, Stream

from futured.v1 import workers_pb2, workers_pb2_grpc
from google.protobuf import duration_pb2

PIECE = 65536  # what is larger travels in pieces of this
TOKEN = "a-token-of-a-worker-1"
NO_WORKER = future_pb2.PENDING_REASON_NO_WORKER
READY_REASON = future_pb2.PENDING_REASON_READY
LOST = future_pb2.Error(code=code_pb2.UNAVAILABLE, reason="WORKER_LOST", message="the worker was lost while it ran the task",
                        retryable=True)


class RemoteCase(FuturesCase):
    workers = 1
    listen = ("127.0.0.1:0", "unix:@s")
    timeouts = {"drain": "200ms", "lease_ttl": "60s"}

    def start(self, **options):
        return super().start(**{"listen": self.listen, **options})

    def setUp(self):
        super().setUp()
        self.admin = self.admin_of(self.server)

    def admin_of(self, server):
        return harness.Stub(workers_pb2_grpc.WorkersStub(self.channel(server.address)))

    def stream(self, address=None):
        """A stream on a connection of its own."""
        stream = Stream(self.channel(address))
        self.addCleanup(stream.close)
        return stream

    def remote_workers(self):
        return [x for x in self.admin.ListWorkers(workers_pb2.ListWorkersRequest()).workers if not x.pool]

    def known(self, function):
        """Submissions of it are taken from now on."""
        self.stream().attach("token-of-who-makes-it-known", function, credit=0)

    def reason(self, id_):
        return self.futures.Get(get(id_, BASIC)).pending_reason


class Unknown(RemoteCase):
    """unknown_functions = accept: a task may come before the first worker that serves it."""

    def start(self, **options):
        return super().start(futured={"unknown_functions": "accept"}, **options)

    def test_it_waits_for_a_worker(self):
        id_ = self.submit("unheard.of", b"x")
        f = self.futures.Get(get(id_))
        self.assertEqual((f.state, f.pending_reason), (PENDING, NO_WORKER))
        stream = self.stream().attach(TOKEN, "unheard.of")
        item = stream.take()
        self.assertEqual(item.id, id_)
        stream.finish(item, b"done")
        self.assertEqual(self.finished(id_).result.data, b"done")


class Said(RemoteCase):
    def test_what_is_said_of_a_function_is_shown(self):
        """Its content types and its version; of two workers the later one's."""
        functions = self.functions_of(self.server)
        for i, said in enumerate((dict(content_types=["image/png", "image/x"], version="2.1"), dict(version="2.2"), {})):
            wanted = worker_support.spec("remote", doc="What it does.", **said)
            stream = self.stream()
            stream.say(hello=workers_pb2.Hello(name="w", session_token=f"{TOKEN}-{i}", slots=1, functions=[wanted]))
            self.assertTrue(stream.next().HasField("welcome"))
            self.assertEqual(functions.GetFunction(functions_pb2.GetFunctionRequest(function="remote")).spec, wanted)
            page = functions.ListFunctions(functions_pb2.ListFunctionsRequest(prefix="remote"))
            self.assertEqual([f.spec for f in page.functions], [wanted])


class Streams(RemoteCase):
    def test_a_worker_in_another_language(self):
        """All of a task comes, all of an outcome goes."""
        for address in self.server.addresses:
            with self.subTest(address=address):
                token = f"token-for-{address}"[:60].replace(" ", "-")
                stream = self.stream(address).attach(token, "resize")
                asked = task("resize", b"an argument", content_type="image/x", labels={"a": "b"})
                call = self.futures.Run.future(futures_pb2.RunRequest(submit=futures_pb2.SubmitRequest(task=asked, group="g")))
                item = stream.take()
                self.assertEqual(item.task, asked)
                self.assertEqual((item.attempt, item.group, item.namespace), (1, "g", ""))
                stream.start(item)
                self.until(item.id, lambda f: f.state == RUNNING)
                stream.finish(item, b"the result")
                wanted = succeeded(asked, data=b"the result", group="g")
                wanted.attempts[0].usage.CopyFrom(WALL)
                self.assert_future(call.result(), wanted)

    def test_large_payloads(self):
        stream = self.stream().attach(TOKEN, "resize")
        for n in (65535, 65537, 1 << 20, (4 << 20) - (64 << 10)):
            data = bytes(i * 31 & 255 for i in range(1000)) * (n // 1000 + 1)
            call = self.futures.Run.future(run("resize", data[:n]))
            item = stream.take()
            self.assertEqual(item.task.argument, data[:n])
            stream.finish(item, data[:n][::-1])
            self.assertEqual(call.result().result.data, data[:n][::-1])

    def test_around_the_size_of_a_piece(self):
        """Tasks of one byte less than a piece, of a piece, of one more, and the same of two pieces; results likewise."""
        stream = self.stream().attach(TOKEN, "resize")
        empty = len(task("resize", b"x" * PIECE).SerializeToString()) - PIECE
        for n in (k * PIECE + d for k in (1, 2) for d in (-1, 0, 1)):
            data = bytes(i * 31 & 255 for i in range(n))
            for argument, result in ((data[:n - empty], b"small"), (b"small", data)):
                call = self.futures.Run.future(run("resize", argument))
                item = stream.take()
                self.assertEqual(item.task_chunked, len(task("resize", argument).SerializeToString()) > PIECE)
                self.assertEqual(item.task.argument, argument)
                stream.finish(item, result)
                self.assertEqual(call.result().result.data, result)
        self.assertEqual(stream.largest_piece, PIECE)

    def test_functions_appear_and_vanish(self):
        error = self.assert_fails(grpc.StatusCode.FAILED_PRECONDITION, self.futures.Submit, submit("resize"))
        self.assert_refused(error, grpc.StatusCode.FAILED_PRECONDITION, "NO_SUCH_FUNCTION")
        stream = self.stream().attach(TOKEN, "resize", credit=0)
        id_ = self.submit("resize")
        self.assertEqual(self.reason(id_), READY_REASON)
        kinds = self.functions_of(self.server).GetFunction(functions_pb2.GetFunctionRequest(function="resize")).kinds
        self.assertEqual(list(kinds), [functions_pb2.FUNCTION_KIND_REMOTE])
        stream.half_close()
        self.assertEqual(list(stream.call), [])
        self.assertEqual(stream.call.code(), grpc.StatusCode.OK)
        self.assertEqual(self.reason(id_), NO_WORKER)
        self.assertEqual(self.remote_workers(), [])
        stream = self.stream().attach(TOKEN, "resize")
        stream.finish(stream.take(), b"at last")
        self.assertEqual(self.finished(id_).result.data, b"at last")

    def test_at_most_so_many_of_one(self):
        """max_running of the worker, on a stream and by Claim; credit for one function alone."""
        W = workers_pb2
        said = W.Hello(name="py", session_token=TOKEN, slots=8,
                       functions=[worker_support.spec("resize", max_running=2), worker_support.spec("other")])
        stream = self.stream()
        stream.say(hello=said, ready=W.Ready(credit=4, by_function=[W.FunctionCredit(function="other", credit=1)]))
        stream.welcome = stream.next().welcome
        ids = [self.submit(f) for f in ("other", *["resize"] * 5)]
        items = [stream.take() for _ in range(3)]
        self.assertEqual(sorted(i.task.function for i in items), ["other", "resize", "resize"])
        info = self.functions_of(self.server).GetFunction(functions_pb2.GetFunctionRequest(function="resize"))
        self.assertEqual((info.credit, info.reserved_count), (0, 2))
        for item in items:
            stream.finish(item, b"done")
        for _ in range(3):
            stream.finish(stream.take(), b"done")
        for id_ in ids:
            self.assertEqual(self.finished(id_).state, SUCCEEDED)
        stream.half_close()
        self.assertEqual(list(stream.call), [])

        said.session_token = TOKEN[::-1]
        claim = W.ClaimRequest(hello=said, max_items=10)
        ids = [self.submit("resize") for _ in range(3)]
        got = self.admin.Claim(claim).items
        self.assertEqual([i.id for i in got], ids[:2])
        self.assertEqual(len(self.admin.Claim(claim).items), 0)
        self.admin.Finish(W.FinishRequest(session_token=said.session_token, finish=[
            W.Finish(lease=got[0].lease, result=future_pb2.Result(data=b"done", size_bytes=4))]))
        self.assertEqual([i.id for i in self.admin.Claim(claim).items], ids[2:])

    def test_beside_the_pool(self):
        """The same name from the pool and from elsewhere: both serve it."""
        gate = self.gate()
        occupied = self.submit("gate", gate.argument)
        gate.started()
        stream = self.stream().attach(TOKEN, "gate")
        id_ = self.submit("gate", gate.argument)
        item = stream.take()
        self.assertEqual(item.id, id_)
        stream.finish(item, b"remote")
        self.assertEqual(self.finished(id_).result.data, b"remote")
        gate.open(b"pool")
        self.assertEqual(self.finished(occupied).result.data, b"pool")

    def test_many_tasks_by_several_workers(self):
        def double(argument):
            if argument == b"13":
                raise ValueError("bad luck")
            return argument * 2

        serving = [Serving(self.server.address, f"a-token-of-number-{i}", {"double": double}, slots=4) for i in range(3)]
        self.poll(lambda: len(self.remote_workers()) == 3, "they are there")
        requests = [run("double", b"%d" % i, tag=str(i), view=RESULT) for i in range(300)]
        got = {int(r.tag): r.finished for r in self.futures.RunStream(iter(requests))}
        self.assertEqual(sorted(got), list(range(300)))
        for i, f in got.items():
            if i == 13:
                self.assertEqual((f.state, f.error.reason, f.error.type, f.error.message), (FAILED, "FUNCTION_ERROR", "ValueError", "bad luck"))
            else:
                self.assertEqual((f.state, f.result.data), (SUCCEEDED, b"%d" % i * 2))
        for x in serving:
            x.is_over = True

    def test_lost_stream(self):
        """The worker comes again and says what it holds: it goes on as if nothing had been."""
        first = self.stream().attach(TOKEN, "resize", slots=2, credit=2)
        ids = [self.submit("resize", b"%d" % i) for i in range(2)]
        items = [first.take(), first.take()]
        first.start(items[0])
        self.until(ids[0], lambda f: f.state == RUNNING)
        first.close()
        self.poll(lambda: self.remote_workers()[0].state == workers_pb2.WORKER_STATE_DISCONNECTED, "it is gone")
        again = self.stream().attach(TOKEN, "resize", slots=2, credit=1, held_leases=[items[0].lease], epoch=first.welcome.epoch)
        self.assertEqual(again.welcome.worker_id, first.welcome.worker_id)
        self.assertEqual((list(again.welcome.kept), list(again.welcome.dropped)), ([items[0].lease], []))
        again.finish(items[0], b"after all", more=0)
        got = self.finished(ids[0])
        self.assertEqual((got.result.data, len(got.attempts)), (b"after all", 1))
        item = again.take()  # what it did not name is given anew, without an attempt having been
        self.assertEqual((item.id, item.task.argument), (ids[1], b"1"))
        again.finish(item)
        self.assertEqual([a.number for a in self.finished(ids[1]).attempts], [2])

    def test_moved(self):
        first = self.stream().attach(TOKEN, "resize", credit=0)
        second = self.stream().attach(TOKEN, "resize")
        error = self.assert_fails(grpc.StatusCode.ABORTED, lambda: list(first.call))
        self.assert_refused(error, grpc.StatusCode.ABORTED, "SESSION_MOVED")
        call = self.futures.Run.future(run("resize"))
        second.finish(second.take(), b"second")
        self.assertEqual(call.result().result.data, b"second")

    def test_cancel(self):
        stream = self.stream().attach(TOKEN, "resize")
        id_ = self.submit("resize")
        item = stream.take()
        stream.start(item)
        self.until(id_, lambda f: f.state == RUNNING)
        self.futures.Cancel(futures_pb2.CancelRequest(id=id_, reason="enough"))
        told = stream.until(lambda m: m.cancel_attempt).cancel_attempt[0]
        self.assertEqual((told.lease, told.reason), (item.lease, "enough"))
        finish = workers_pb2.Finish(lease=item.lease)
        finish.error.reason = "CANCELLED"
        stream.say(finish=[finish])
        self.assertEqual(self.finished(id_).state, CANCELLED)

    def test_cancel_that_is_not_heard(self):
        """After its grace the attempt is taken from the worker."""
        stream = self.stream().attach(TOKEN, "resize")
        id_ = self.submit("resize")
        item = stream.take()
        stream.start(item)
        self.until(id_, lambda f: f.state == RUNNING)
        self.futures.Cancel(futures_pb2.CancelRequest(id=id_, grace=seconds(0.1)))
        self.assertEqual(self.finished(id_).state, CANCELLED)
        stream.finish(item, b"too late")
        told = stream.until(lambda m: m.refused).refused[0]
        self.assertEqual((told.lease, told.reason), (item.lease, "STALE_LEASE"))
        self.assertEqual(self.futures.Get(get(id_)).state, CANCELLED)

    def test_liars(self):
        """Whatever they say, others lose nothing."""
        honest = self.stream().attach(TOKEN, "resize")
        id_ = self.submit("resize")
        item = honest.take()
        honest.start(item)
        thief = self.stream().attach("a-token-of-a-thief", "other", credit=0, held_leases=[item.lease], epoch=honest.welcome.epoch)
        self.assertEqual(list(thief.welcome.dropped), [item.lease])
        thief.finish(item, b"stolen")
        self.assertEqual(thief.until(lambda m: m.refused).refused[0].lease, item.lease)
        W = workers_pb2
        for what, fields in (("too much credit", {"ready": W.Ready(credit=65537)}),
                             ("twice", {"hello": worker_support.hello("a-token-of-a-thief", "x")}),
                             ("no outcome", {"finish": [W.Finish(lease=item.lease)]}),
                             ("a piece of nothing", {"payload": [W.PayloadChunk(lease=item.lease, data=b"x" * 70000)]})):
            with self.subTest(what=what):
                liar = self.stream().attach("a-token-of-a-liar", "other", credit=0)
                liar.say(**fields)
                error = self.assert_fails(grpc.StatusCode.INVALID_ARGUMENT, lambda: list(liar.call))
                self.assert_refused(error, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", next(iter(fields)))
        raw = self.channel().stream_stream("/futured.v1.Workers/Attach")
        error = self.assert_fails(grpc.StatusCode.INVALID_ARGUMENT, lambda: list(raw(iter([b"\xff\xff"]))))
        honest.finish(item, b"mine")
        self.assertEqual(self.finished(id_).result.data, b"mine")
        self.assertEqual([x.name for x in self.remote_workers()], ["py", "py"])  # the honest one and the thief, who broke no rule


class Claims(RemoteCase):
    def claiming(self, *names, token=TOKEN):
        return Claiming(self.channel(), token, *(names or ("resize",)))

    def test_a_worker_that_asks(self):
        worker = self.claiming()
        self.assertEqual(list(worker.claim().items), [])
        asked = task("resize", b"argument", labels={"a": "b"})
        id_ = self.futures.Submit(futures_pb2.SubmitRequest(task=asked, group="g")).future.id
        got = worker.claim(wait=seconds(60))
        self.assertEqual(got.lease_ttl, duration_pb2.Duration(seconds=30))
        item, = got.items
        self.assertEqual((item.id, item.task, item.group), (id_, asked, "g"))
        self.until(id_, lambda f: f.state == RUNNING)
        self.assertEqual(worker.finish(worker.done(item, b"result")), workers_pb2.FinishResponse())
        wanted = succeeded(asked, data=b"result", group="g")
        wanted.attempts[0].usage.CopyFrom(WALL)
        self.assert_future(self.futures.Get(get(id_)), wanted)  # when it counts it is so for everybody

    def test_waits(self):
        """The call waits for work, and for no other."""
        worker, got = self.claiming(), []
        thread = threading.Thread(target=lambda: got.extend(worker.claim(wait=seconds(60), max_items=10).items))
        thread.start()
        self.poll(self.remote_workers, "it waits")
        self.futures.Run(run("echo", b"x"))
        id_ = self.submit("resize")
        thread.join(DEADLINE)
        self.assertEqual([i.id for i in got], [id_])
        self.assertEqual(list(worker.claim(wait=seconds(0.05)).items), [])

    def test_batches(self):
        self.known("resize")
        ids = self.submit_many([submit("resize", b"%d" % i) for i in range(250)])
        worker, done = self.claiming(), []
        while len(done) < 250:
            items = worker.claim(max_items=100, wait=seconds(60)).items
            self.assertLessEqual(len(items), 100)
            self.assertEqual(worker.finish(*[worker.done(i, i.task.argument) for i in items]), workers_pb2.FinishResponse())
            done += [i.id for i in items]
        self.assertEqual(done, ids)
        for i, id_ in enumerate(ids):
            self.assertEqual(self.futures.Get(get(id_)).result.data, b"%d" % i)

    def test_lost(self):
        """Who does not renew loses its lease: the task is somebody else's, and what is said of it later does not count."""
        self.known("resize")
        id_ = self.submit("resize")
        slow, quick = self.claiming(token="a-token-of-the-slow"), self.claiming()
        item, = slow.claim(lease_ttl=seconds(1)).items
        again, = quick.claim(wait=seconds(60)).items
        self.assertEqual((again.id, again.attempt), (id_, 2))
        refused = slow.renew(item.lease).refused if self.is_session(slow) else [None]
        self.assertEqual(len(refused), 1)
        quick.finish(quick.done(again, b"quick"))
        got = self.finished(id_)
        self.assertEqual(got.result.data, b"quick")
        self.assertEqual(got.attempts[0].error, LOST)
        item, = self.claim_of_new(quick).items
        stale = quick.done(item, b"stale")
        stale.lease.attempt += 1
        answer = quick.finish(stale, quick.done(item, b"good"))
        self.assertEqual([(r.lease, r.reason) for r in answer.refused], [(stale.lease, "STALE_LEASE")])
        self.assertEqual(self.futures.Get(get(item.id)).result.data, b"good")

    def claim_of_new(self, worker):
        self.submit("resize")
        return worker.claim(wait=seconds(60))

    def is_session(self, worker):
        """Whether the daemon still remembers it: it forgets who holds nothing and is silent."""
        try:
            worker.renew()
            return True
        except grpc.RpcError as error:
            self.assert_refused(error, grpc.StatusCode.FAILED_PRECONDITION, "NO_SUCH_SESSION")
            return False

    def test_renew(self):
        """It keeps the lease, and tells of a cancel until that is over."""
        self.known("resize")
        id_ = self.submit("resize")
        worker = self.claiming()
        item, = worker.claim(lease_ttl=seconds(60), reserve=True).items
        self.assertEqual(self.futures.Get(get(id_)).state, PENDING)
        answer = worker.renew(item.lease, started=[workers_pb2.Started(lease=item.lease)])
        self.assertEqual(answer, workers_pb2.RenewResponse(lease_ttl=duration_pb2.Duration(seconds=60)))
        self.assertEqual(self.futures.Get(get(id_)).state, RUNNING)
        self.futures.Cancel(futures_pb2.CancelRequest(id=id_, reason="enough", grace=seconds(60)))
        for _ in range(2):
            told, = worker.renew(item.lease).cancel_attempt
            self.assertEqual((told.lease, told.reason), (item.lease, "enough"))
        finish = workers_pb2.Finish(lease=item.lease)
        finish.error.reason = "CANCELLED"
        self.assertEqual(worker.finish(finish), workers_pb2.FinishResponse())
        self.assertEqual(self.futures.Get(get(id_)).state, CANCELLED)
        self.assertEqual(list(worker.renew().cancel_attempt), [])

    def test_hands_back(self):
        self.known("resize")
        id_ = self.submit("resize")
        worker = self.claiming()
        item, = worker.claim(reserve=True).items
        worker.finish(release=[workers_pb2.Release(lease=item.lease, reason="no room")])
        got = self.futures.Get(get(id_))
        self.assertEqual((got.state, len(got.attempts)), (PENDING, 0))
        again, = worker.claim().items
        self.assertEqual(again.id, id_)

    def test_client_gone(self):
        """A Claim whose client has gone takes nothing."""
        worker = self.claiming()
        call = worker.stub.Claim.future(workers_pb2.ClaimRequest(hello=worker_support.hello(TOKEN, "resize", slots=0), wait=seconds(60)))
        self.poll(self.remote_workers, "it waits")
        call.cancel()
        id_ = self.submit("resize")
        other = self.claiming(token="a-token-of-another")
        item, = other.claim(wait=seconds(60)).items
        self.assertEqual(item.id, id_)

    def test_errors(self):
        worker = self.claiming(token="never-heard-of-this-one")
        error = self.assert_fails(grpc.StatusCode.FAILED_PRECONDITION, worker.finish)
        details = self.assert_refused(error, grpc.StatusCode.FAILED_PRECONDITION, "NO_SUCH_SESSION")
        self.assertEqual([(v.type, v.subject) for v in details["PreconditionFailure"].violations], [("SESSION", "session_token")])
        self.stream().attach(TOKEN, "resize", credit=0)
        error = self.assert_fails(grpc.StatusCode.FAILED_PRECONDITION, self.claiming().claim)
        self.assert_refused(error, grpc.StatusCode.FAILED_PRECONDITION, "SESSION_IN_USE")


class Steering(RemoteCase):
    def worker(self, predicate=lambda x: x.pool and x.state == workers_pb2.WORKER_STATE_READY):
        return self.poll(lambda: next(filter(predicate, self.admin.ListWorkers(workers_pb2.ListWorkersRequest()).workers), None), "a worker")

    def test_drain_of_the_pool(self):
        """What it runs ends well; then it ends, and another one comes."""
        gate = self.gate()
        id_ = self.submit("gate", gate.argument)
        gate.started()
        self.until(id_, lambda f: f.state == RUNNING)
        before = self.worker()
        got = self.admin.DrainWorker(workers_pb2.DrainWorkerRequest(worker_id=before.id, reason="maintenance")).worker
        self.assertEqual((got.id, got.state, list(got.running_ids)), (before.id, workers_pb2.WORKER_STATE_DRAINING, [id_]))
        other = self.submit("echo", b"x")
        self.assertEqual(self.futures.Get(get(other)).state, PENDING)
        gate.open(b"in peace")
        self.assertEqual(self.finished(id_).result.data, b"in peace")
        self.assertEqual(self.finished(other).result.data, b"x")
        after = self.worker()
        self.assertNotEqual((after.id, after.pid), (before.id, before.pid))
        self.assertEqual(self.admin.ListWorkers(workers_pb2.ListWorkersRequest()).crashed_count, 0)
        self.server.log.wait("worker_draining.*maintenance")

    def test_list_of_what_is_not_on_disk_yet(self):
        """What ListWorkers shows of an attempt that has just begun waits for the disk, and comes."""
        gate = self.gate()
        id_ = self.submit("gate", gate.argument)
        gate.started()
        self.assertEqual(list(self.worker().running_ids), [id_])
        gate.open()

    def test_drain_with_a_timeout(self):
        gate = self.gate()
        id_ = self.submit("gate", gate.argument)
        gate.started()
        self.until(id_, lambda f: f.state == RUNNING)
        before = self.worker()
        self.admin.DrainWorker(workers_pb2.DrainWorkerRequest(worker_id=before.id, timeout=seconds(0.1)))
        gate.started(2)  # lost with its worker, and begun again
        gate.open(b"x")
        got = self.finished(id_)
        self.assertEqual((got.state, [a.error.reason for a in got.attempts]), (SUCCEEDED, ["WORKER_LOST", ""]))

    def test_kill_of_the_pool(self):
        gate = self.gate()
        id_ = self.submit("gate", gate.argument)
        gate.started()
        self.until(id_, lambda f: f.state == RUNNING)
        before = self.worker()
        self.assertEqual(self.admin.KillWorker(workers_pb2.KillWorkerRequest(worker_id=before.id)), workers_pb2.KillWorkerResponse())
        gate.started(2)
        gate.open(b"x")
        got = self.finished(id_)
        self.assertEqual((got.state, [a.error.reason for a in got.attempts]), (SUCCEEDED, ["WORKER_LOST", ""]))
        self.assertNotEqual(self.worker().id, before.id)

    def test_drain_and_kill_of_others(self):
        stream = self.stream().attach(TOKEN, "resize", credit=5)
        id_ = self.submit("resize")
        item = stream.take()
        stream.start(item)
        self.until(id_, lambda f: f.state == RUNNING)
        self.admin.DrainWorker(workers_pb2.DrainWorkerRequest(worker_id=stream.welcome.worker_id, reason="go", timeout=seconds(60)))
        told = stream.until(lambda m: m.HasField("drain")).drain
        self.assertEqual((told.reason, told.timeout.seconds), ("go", 60))
        other = self.submit("resize")
        stream.finish(item, b"well")
        self.assertEqual(self.finished(id_).result.data, b"well")
        self.assertEqual(list(stream.call), [])
        self.assertEqual(stream.call.code(), grpc.StatusCode.OK)
        self.assertEqual(self.reason(other), NO_WORKER)
        stream = self.stream().attach(TOKEN, "resize")
        stream.start(stream.take())
        self.until(other, lambda f: f.state == RUNNING)
        self.admin.KillWorker(workers_pb2.KillWorkerRequest(worker_id=stream.welcome.worker_id))
        error = self.assert_fails(grpc.StatusCode.ABORTED, lambda: list(stream.call))
        self.assert_refused(error, grpc.StatusCode.ABORTED, "WORKER_KILLED")
        got = self.futures.Get(get(other))
        self.assertEqual((got.state, got.pending_reason, got.attempts[0].error), (PENDING, NO_WORKER, LOST))

    def test_no_such_worker(self):
        for method, kind in ((self.admin.DrainWorker, workers_pb2.DrainWorkerRequest), (self.admin.KillWorker, workers_pb2.KillWorkerRequest)):
            error = self.assert_fails(grpc.StatusCode.NOT_FOUND, method, kind(worker_id="w-4711"))
            resource = self.assert_refused(error, grpc.StatusCode.NOT_FOUND, "NO_SUCH_WORKER")["ResourceInfo"]
            self.assertEqual((resource.resource_type, resource.resource_name), ("futured.v1.Worker", "w-4711"))


class Kept(DurableCase):
    def test_known_for_ever(self):
        """What a worker from elsewhere has offered once is known after a crash as well."""
        Stream(self.channel()).attach(TOKEN, "resize", credit=0)
        id_ = self.submit("resize")
        self.restart(workers=0)
        self.assertEqual(self.futures.Submit(submit("resize")).future.pending_reason, NO_WORKER)
        again = Stream(self.channel()).attach(TOKEN, "resize")  # of the daemon's earlier life it knows nothing
        item = again.take()
        self.assertEqual(item.id, id_)
        again.finish(item, b"here")
        self.assertEqual(self.finished(id_).result.data, b"here")
        again.close()


if __name__ == "__main__":
    futures_support.main()
