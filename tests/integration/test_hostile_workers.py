#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Workers from elsewhere that break every rule, on a stream and by Claim. Each is refused or cut off with a name for it; a task of
the pool, one of an honest worker on a stream and one that an honest worker has claimed run through all of it and end well; the
counters tell what was done; memory stays what it was."""
import random

import futures_support
import harness
import rawh2
import test_bombs
import worker_support
from futures_support import *  # noqa: F403: the words of the contract
from test_bombs import NOT_TEXT, field, fill, varint
from worker_support import Claiming, Stream, hello, w

from futured.v1 import system_pb2, system_pb2_grpc, workers_pb2_grpc

ATTACH = "/futured.v1.Workers/Attach"
INVALID, EXHAUSTED, PRECONDITION = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED,
                                    grpc.StatusCode.FAILED_PRECONDITION)
MEMORY = (300 if harness.IS_SANITIZED else 32) << 20
EVIL = "a-token-of-an-evil-one"


class HostileCase(FuturesCase):
    workers = 2
    timeouts = {"drain": "200ms", "lease_ttl": "60s"}

    def setUp(self):
        super().setUp()
        self.admin = harness.Stub(workers_pb2_grpc.WorkersStub(self.channel()))
        self.system = harness.Stub(system_pb2_grpc.SystemStub(self.channel()))
        self.held = self.gate("held")
        self.ids = [self.submit("gate", self.held.argument)]
        self.held.started()
        self.honest = self.stream().attach("a-token-of-the-honest", "resize", credit=1)
        self.ids.append(self.submit("resize"))
        self.item = self.honest.take()
        self.honest.start(self.item)
        self.claimer = Claiming(self.channel(), "a-token-of-the-claimer", "crop")
        self.claimer.claim()
        self.ids.append(self.submit("crop"))
        self.claimed, = self.claimer.claim(lease_ttl=seconds(3600)).items
        for id_ in self.ids:
            self.until(id_, lambda f: f.state == RUNNING)
        self.rss, self.refused = self.server.rss_bytes(), self.count("worker_refusals")

    def tearDown(self):
        """All three neighbours end as if nothing had been."""
        self.assertLess(self.server.rss_bytes() - self.rss, MEMORY)
        self.held.open(b"pool")
        self.honest.finish(self.item, b"stream")
        self.assertEqual(self.claimer.finish(self.claimer.done(self.claimed, b"claim")), w.FinishResponse())
        for id_, data in zip(self.ids, (b"pool", b"stream", b"claim")):
            got = self.finished(id_)
            self.assertEqual((got.state, got.result.data, len(got.attempts)), (SUCCEEDED, data, 1))
        self.assert_serves()

    def stream(self):
        stream = Stream(self.channel())
        self.addCleanup(stream.close)
        return stream

    def count(self, name):
        return next(int(s.value) for s in self.system.GetStats(system_pb2.GetStatsRequest(prefix=name)).stats if s.name == name)

    def evil(self, *names, **fields):
        return self.stream().attach(EVIL, *(names or ("evil",)), **fields)

    def assert_ended(self, call, code, reason, *fields):
        error = self.assert_fails(code, lambda: list(call))
        self.assert_refused(error, code, reason, *fields)

    def raw(self, *messages):
        """An Attach that says these bytes, and leaves its side open."""
        return self.channel().stream_stream(ATTACH)(iter(messages), timeout=DEADLINE)

    def taken(self, function="evil", n=1, **fields):
        """An evil worker that has taken @n tasks, and their IDs."""
        stream = self.evil(function, credit=n, slots=n)
        ids = self.submit_many([submit(function, **fields)] * n)
        return stream, [stream.take() for _ in range(n)], ids


class Garbage(HostileCase):
    def test_bytes(self):
        """Before a Hello and behind it; each is a call that ends, and the token is free again."""
        noise = random.Random(8)
        greeting = w.AttachRequest(hello=hello(EVIL, "evil")).SerializeToString()
        for data in [noise.randbytes(n) for n in (1, 10, 1000, 100000)] + [b"\xff" * 1000, fill(b"\x0b"), b"\x0a" + varint(2**40)]:
            for before in ([], [greeting]):
                with self.subTest(data=data[:20], before=len(before)):
                    with self.assertRaises(grpc.RpcError) as caught:
                        list(self.raw(*before, data))
                    self.assertIn(caught.exception.code(), (INVALID, PRECONDITION))
        self.assert_ended(self.raw(greeting, b"\xff"), INVALID, "MALFORMED_MESSAGE")
        self.assert_ended(self.raw(b""), PRECONDITION, "NO_HELLO")
        self.assert_ended(self.raw(greeting, greeting), INVALID, "INVALID_FIELD", "hello")
        self.server.log.wait("worker_cut_off", 3)
        self.assertEqual(self.count("workers"), 4)

    def test_hellos(self):
        for what, greeting, name in (
                ("short token", hello("short", "evil"), "session_token"), ("long token", hello("t" * 65, "evil"), "session_token"),
                ("no function", hello(EVIL), "functions"), ("no slots", hello(EVIL, "evil", slots=0), "slots"),
                ("slots", hello(EVIL, "evil", slots=1025), "slots"), ("name", hello(EVIL, "a b"), "functions"),
                ("functions", hello(EVIL, *map(str, range(10001))), "functions"),
                ("labels", hello(EVIL, "evil", labels={str(i): "" for i in range(65)}), "labels"),
                ("version", hello(EVIL, "evil", version="v" * 256), "version")):
            with self.subTest(what=what):
                error = self.assert_fails(INVALID, lambda g=greeting: list(self.raw(w.AttachRequest(hello=g).SerializeToString())))
                self.assert_refused(error, INVALID, "INVALID_FIELD", f"hello.{name}")
        self.assertEqual(self.count("workers"), 4)

    def test_no_text(self):
        """Every text of every message that a worker may say."""
        n_fields = 0
        base = w.AttachRequest(hello=hello(EVIL, "evil"))
        for i, (path, make) in enumerate(self.texts(w.AttachRequest.DESCRIPTOR, base)):
            n_fields += 1
            if path[0] == "ready" or path[:2] in (("progress", "progress"), ("release", "reason"), ("finish", "result"), ("finish", "error")):
                continue  # not built; or of a lease that it has not, and so read by nobody: test_no_text_of_a_task
            with self.subTest(path=path):
                error = self.assert_fails(INVALID, lambda m=make, i=i: list(self.raw(m(NOT_TEXT[i % len(NOT_TEXT)]))))
                self.assertIn(what_failed(status_of(error)[0])[1], ("INVALID_FIELD", "MALFORMED_MESSAGE"))
        self.assertGreater(n_fields, 15)

    of, texts = staticmethod(test_bombs.NoText.of), test_bombs.NoText.texts

    def test_no_text_of_a_task(self):
        """Where it would be shown to others."""
        deeds = {"progress": lambda lease: (3, field(1, lease) + field(2, field(3, b"\xff"))),
                 "result": lambda lease: (7, field(1, lease) + field(2, field(3, b"\xff"))),
                 "error": lambda lease: (7, field(1, lease) + field(3, field(4, b"\xff")))}
        for name, deed in deeds.items():
            with self.subTest(name=name):
                stream, (item,), (id_,) = self.taken(options=future_pb2.TaskOptions(retry=future_pb2.RetryPolicy(max_attempts=1)))
                stream.start(item)
                self.until(id_, lambda f: f.state == RUNNING)
                number, said = deed(item.lease.SerializeToString())
                stream.say_bytes(field(number, said))
                try:
                    answers = list(stream.call)
                    self.assertFalse(answers)
                except grpc.RpcError as error:
                    self.assertEqual(error.code(), INVALID)
                text = self.futures.Get(get(id_, FULL))
                self.assertNotEqual(text.state, SUCCEEDED)
                self.futures.Cancel(futures_pb2.CancelRequest(id=id_))


class Leases(HostileCase):
    def lies(self):
        """Leases that it does not have: of each neighbour, and nonsense."""
        lease = self.item.lease
        yield lease
        yield self.claimed.lease
        for change in ({"attempt": lease.attempt + 1}, {"attempt": 0}, {"attempt": 2**32 - 1}, {"epoch": lease.epoch + 1},
                       {"epoch": 2**64 - 1}, {"id": bytes(16)}, {"id": b"\xff" * 16}, {"id": b""}, {"id": lease.id[:15]}, {"id": lease.id * 2}):
            other = w.Lease()
            other.CopyFrom(lease)
            for name, value in change.items():
                setattr(other, name, value)
            yield other

    def test_on_a_stream(self):
        """Whatever is said under them is refused, or passed over, and counted."""
        stream, said = self.evil(credit=0), 0
        for lease in self.lies():
            finish = w.Finish(lease=lease)
            finish.result.data = b"stolen"
            stream.say(started=[w.Started(lease=lease)], payload=[w.PayloadChunk(lease=lease, data=b"x")], finish=[finish],
                       release=[w.Release(lease=lease)], returned=[w.Returned(lease=lease)])
            said += 5
            if len(lease.id) == 16:  # else these are no messages
                stream.say(progress=[w.AttemptProgress(lease=lease)], output=[w.Output(lease=lease, data=b"x")], log=[w.Log(lease=lease, data=b"x")])
                said += 3
        self.poll(lambda: self.count("worker_refusals") - self.refused >= said, "all were counted")
        self.assertEqual(self.count("worker_refusals") - self.refused, said)
        self.assertEqual(stream.until(lambda m: m.refused).refused[0].reason, "STALE_LEASE")

    def test_unary(self):
        worker = Claiming(self.channel(), EVIL, "evil")
        worker.claim()
        leases = list(self.lies())
        whole = [lease for lease in leases if len(lease.id) == 16]
        for lease in leases:
            if lease not in whole:
                error = self.assert_fails(INVALID, worker.renew, lease)
                self.assertEqual(what_failed(status_of(error)[0])[1], "INVALID_FIELD")
        self.assertEqual(len(worker.renew(*whole).refused), len(whole))
        finishes = []
        for lease in whole:
            finishes.append(w.Finish(lease=lease))
            finishes[-1].result.data = b"stolen"
        self.assertEqual([r.reason for r in worker.finish(*finishes).refused], ["STALE_LEASE"] * len(whole))
        worker.finish(release=[w.Release(lease=lease) for lease in whole])
        self.assertGreaterEqual(self.count("worker_refusals") - self.refused, 2 * len(whole))

    def test_twice(self):
        """The first finish counts, on a stream and unary."""
        stream, (item,), (id_,) = self.taken()
        for data in (b"first", b"second", b"third"):
            stream.finish(item, data, more=0)
        self.assertEqual(stream.until(lambda m: m.refused).refused[0].lease, item.lease)
        self.poll(lambda: self.count("worker_refusals") - self.refused == 2, "both were counted")
        self.assertEqual(self.finished(id_).result.data, b"first")
        stream.half_close()
        list(stream.call)
        worker = Claiming(self.channel(), EVIL, "evil")
        id_ = self.submit("evil")
        item, = worker.claim(wait=seconds(60)).items
        answer = worker.finish(worker.done(item, b"first"), worker.done(item, b"second"))
        self.assertEqual([r.lease for r in answer.refused], [item.lease])
        self.assertEqual(len(worker.finish(worker.done(item, b"third")).refused), 1)
        self.assertEqual(self.finished(id_).result.data, b"first")


class Endless(HostileCase):
    def test_progress(self):
        """Of any number the last is kept."""
        stream, (item,), (id_,) = self.taken()
        stream.start(item)
        for i in range(3000):
            progress = w.AttemptProgress(lease=item.lease)
            progress.progress.message = f"{i} {'x' * 500}"
            stream.say(progress=[progress])
        stream.finish(item, b"done")
        self.assertEqual(self.finished(id_).result.data, b"done")
        self.assertEqual(self.futures.Get(get(id_, FULL)).progress.message.split()[0], "2999")

    def test_output_and_log(self):
        """What is kept is bounded; who goes on for ever is cut off, and its task is somebody else's."""
        for what, message in (("output", w.Output), ("log", w.Log)):
            with self.subTest(what=what):
                stream, (item,), (id_,) = self.taken()
                stream.start(item)
                for i in range(400):
                    stream.say(**{what: [message(lease=item.lease, offset=i << 16, data=bytes(1 << 16))]})
                self.assert_ended(stream.call, EXHAUSTED, "TOLD_TOO_MUCH")
                self.assertEqual(self.futures.Get(get(id_)).state, PENDING)
                self.assertLess(self.server.rss_bytes() - self.rss, MEMORY)
                self.futures.Cancel(futures_pb2.CancelRequest(id=id_))
        self.server.log.wait("worker_cut_off", 2)

    def test_credit(self):
        stream = self.evil(credit=65536)
        stream.say(ready=w.Ready(credit=1))
        self.assert_ended(stream.call, INVALID, "INVALID_FIELD", "ready")

    def test_claims(self):
        """It may hold so many and no more; and ask as many times at once."""
        worker, honest = Claiming(self.channel(), EVIL, "evil"), Claiming(self.channel(), "a-token-of-one-more", "evil")
        worker.claim()
        n = 12000
        self.submit_many([submit("evil")] * n)
        held = []
        with self.assertRaises(grpc.RpcError) as caught:
            while len(held) <= n:
                held += worker.claim(max_items=1000, lease_ttl=seconds(3600)).items
        self.assert_refused(caught.exception, EXHAUSTED, "WORKER_TOO_GREEDY")
        self.assertEqual(len(held), 10000)
        self.assertEqual(len(honest.claim(max_items=1000).items), 1000)
        worker.finish(*(worker.done(i, b"") for i in held[:1000]))
        self.assertEqual(len(worker.claim(max_items=1000).items), 1000)
        waiting = [honest.stub.Claim.future(w.ClaimRequest(hello=hello("a-token-of-waiters", "idle", slots=0), wait=seconds(60))) for _ in range(65)]
        refused = self.poll(lambda: [c for c in waiting if c.done()], "one is too many")
        self.assertEqual([c.code() for c in refused], [EXHAUSTED])
        for c in waiting:
            c.cancel()

    def test_sessions(self):
        """The honest keep theirs when nobody else gets one."""
        channel = self.channel()
        codes = []
        for i in range(1100):
            try:
                Claiming(channel, f"a-token-of-number-{i}", "evil").claim()
                codes.append(grpc.StatusCode.OK)
            except grpc.RpcError as error:
                codes.append(error.code())
        self.assertEqual(codes.count(EXHAUSTED), 102)  # two are of the honest
        self.assertEqual(codes.count(grpc.StatusCode.OK), 998)
        self.claimer.renew(self.claimed.lease)

    def test_never_reading(self):
        """Who takes work and reads none of it has its share in its own buffers; what it has is others' when it goes."""
        with rawh2.Connection(self.server.address, receive_buffer=4096) as raw:
            raw.hello()
            stream = raw.open(ATTACH)
            request = w.AttachRequest(hello=hello(EVIL, "evil", slots=1024), ready=w.Ready(credit=65536)).SerializeToString()
            raw.send(rawh2.frame(rawh2.DATA, 0, stream, b"\0" + len(request).to_bytes(4, "big") + request))
            self.poll(lambda: self.count("workers") == 5, "it is there")
            ids = self.submit_many([submit("evil", bytes(50000))] * 300)
            self.assertLess(self.server.rss_bytes() - self.rss, MEMORY + 300 * 50000)
            self.assertEqual(self.futures.Run(run("echo", b"beside")).result.data, b"beside")
        honest = worker_support.Stream(self.channel())
        self.addCleanup(honest.close)
        honest.attach(EVIL, "evil", slots=1, credit=300)
        for _ in ids:
            honest.finish(honest.take(), b"in the end", more=0)
        for id_ in ids:
            self.assertEqual(self.finished(id_, BASIC).state, SUCCEEDED)

    def test_mistakes_unread(self):
        """Who lies without end and does not even read what it is told of that is cut off."""
        with rawh2.Connection(self.server.address) as raw:
            raw.hello([(rawh2.INITIAL_WINDOW_SIZE, 0)])
            stream = raw.open(ATTACH)
            lie = field(7, field(2, b"")) * 3000  # a Finish of no lease
            request = w.AttachRequest(hello=hello(EVIL, "evil")).SerializeToString()
            frame = lambda m: rawh2.frame(rawh2.DATA, 0, stream, b"\0" + len(m).to_bytes(4, "big") + m)  # noqa: E731
            raw.send(frame(request), *[frame(lie)] * 3)
            self.server.log.wait("worker_cut_off")
            self.poll(lambda: self.count("workers") == 4, "it is gone")


class Sizes(HostileCase):
    def test_huge_messages(self):
        big = w.AttachRequest(heartbeat=w.Heartbeat(ping=1)).SerializeToString() + field(99, bytes(5 << 20))
        call = self.channel(**{"grpc.max_send_message_length": -1}).stream_stream(ATTACH)(
            iter([w.AttachRequest(hello=hello(EVIL, "evil")).SerializeToString(), big]), timeout=DEADLINE)
        self.assert_ended(call, EXHAUSTED, "MESSAGE_TOO_LARGE")
        self.poll(lambda: all(x.state == w.WORKER_STATE_DISCONNECTED for x in self.admin.ListWorkers(w.ListWorkersRequest()).workers if x.functions[:1] == ["evil"]),
                  "it has lost its stream")

    def test_results(self):
        """Larger than any may be, in pieces that do not fit, of another length than was said."""
        def pieces(stream, lease, *chunks, size=None):
            for offset, data in chunks:
                stream.say(payload=[w.PayloadChunk(lease=lease, offset=offset, data=data)])
            if size is not None:
                finish = w.Finish(lease=lease, chunked=True)
                finish.result.size_bytes = size
                stream.say(finish=[finish])

        chunk = bytes(1 << 16)
        for what, chunks, size in (
                ("gap", [(0, chunk), (1 << 17, chunk)], None), ("from the middle", [(5, b"x")], None), ("again", [(0, chunk), (0, chunk), (0, b"")], None),
                ("too large", [(i << 16, chunk) for i in range(64)], None), ("large piece", [(0, bytes((1 << 16) + 1))], None)):
            with self.subTest(what=what):
                stream, (item,), (id_,) = self.taken()
                stream.start(item)
                pieces(stream, item.lease, *chunks, size=size)
                self.assert_ended(stream.call, INVALID, "INVALID_FIELD", "payload")
                self.assertEqual(self.futures.Get(get(id_)).state, PENDING)
                self.futures.Cancel(futures_pb2.CancelRequest(id=id_))
        for what, size in (("short", 1 << 20), ("long", 1)):
            with self.subTest(what=what):
                stream, (item,), (id_,) = self.taken()
                pieces(stream, item.lease, (0, chunk), size=size)
                try:
                    stream.until(lambda m: False)
                except grpc.RpcError as error:
                    self.assertEqual(error.code(), INVALID)
                got = self.futures.Get(get(id_))
                self.assertNotEqual(got.state, SUCCEEDED)
                if got.state not in TERMINAL:
                    self.futures.Cancel(futures_pb2.CancelRequest(id=id_))

    def test_halves(self):
        """Connections that end, or are silent, within a message, with a task in their hands."""
        for is_silent in (False, True):
            stream, (item,), (id_,) = self.taken()
            stream.start(item)
            self.until(id_, lambda f: f.state == RUNNING)
            with rawh2.Connection(self.server.address) as raw:
                raw.hello()
                number = raw.open(ATTACH)
                request = w.AttachRequest(hello=hello(EVIL, "evil", held_leases=[item.lease], epoch=stream.welcome.epoch)).SerializeToString()
                half = b"\0" + (1 << 20).to_bytes(4, "big") + bytes(1000)
                raw.send(rawh2.frame(rawh2.DATA, 0, number, b"\0" + len(request).to_bytes(4, "big") + request + half))
                error = self.assert_fails(grpc.StatusCode.ABORTED, lambda s=stream: list(s.call))
                self.assert_refused(error, grpc.StatusCode.ABORTED, "SESSION_MOVED")
                if is_silent:
                    self.admin.KillWorker(w.KillWorkerRequest(worker_id=stream.welcome.worker_id))
                    self.until(id_, lambda f: f.state == PENDING)
            again = self.stream().attach(EVIL, "evil", epoch=stream.welcome.epoch)
            item = again.take()
            self.assertEqual((item.id, item.attempt), (id_, 2))
            again.finish(item, b"after all", more=0)
            self.assertEqual(self.finished(id_).result.data, b"after all")
            again.half_close()
            list(again.call)


if __name__ == "__main__":
    futures_support.main()
