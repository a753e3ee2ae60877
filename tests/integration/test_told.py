#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What attempts tell before their end, from whoever runs them to whoever watches: progress, output and log, of plugins, of
commands and of workers from elsewhere; places to go on from, limits, workers that lie, a daemon that is killed."""
import contextlib

import futures_support
import harness
from durable_support import DurableCase
from futures_support import *  # noqa: F403: the words of the contract
from worker_support import Claiming, Stream

from futured.v1 import workers_pb2

w = workers_pb2
PLUGIN = harness.BIN.parent / "tests/unit/worker/plugins/teller.so"
OUTPUT, LOG, STDERR = future_pb2.STREAM_OUTPUT, future_pb2.STREAM_LOG, future_pb2.STREAM_STDERR
KIND_PROGRESS, KIND_OUTPUT, KIND_LOG = (futures_pb2.EVENT_KIND_PROGRESS, futures_pb2.EVENT_KIND_OUTPUT,
                                        futures_pb2.EVENT_KIND_LOG)
TOKEN = "token-of-a-worker-that-tells"


def watch(id_, **fields):
    return futures_pb2.WatchRequest(selector=selector(id_), **fields)


class Told:
    """What a Watch has shown of one future: its output and its log, which must come without a gap."""

    def __init__(self, output=b"", log=b""):
        self.text = {"output": output, "log": log}
        self.at = {"output": 0, "log": 0}
        self.chunks, self.progress, self.states = [], [], []

    def take(self, event):
        kind = event.WhichOneof("event")
        if kind in self.text:
            chunk = getattr(event, kind)
            assert chunk.offset == len(self.text[kind]), (kind, chunk.offset, len(self.text[kind]))
            assert chunk.data and not self.is_over(), "it is told after the end"
            self.text[kind] += chunk.data
            self.chunks.append((kind, chunk.attempt, chunk.stream, chunk.data))
        elif kind == "progress":
            self.tell(event.progress)
        elif kind in ("snapshot", "state"):
            f = getattr(event, kind)
            self.states.append(f)
            if f.HasField("progress"):
                self.tell(f.progress)
        return self

    def tell(self, progress):
        """A future that is shown has its progress as well."""
        if self.progress[-1:] != [progress]:
            self.progress.append(progress)

    def is_over(self):
        return len(self.states) > 1 and self.states[-1].state in TERMINAL

    def until(self, call, is_enough):
        while not is_enough(self):
            self.take(next(call))
        return self

    def all(self, call):
        for event in call:
            self.take(event)
        return self


class ToldCase(FuturesCase):
    listen = ("unix:@s",)
    functions = {
        "c-tell": {"command": "echo to the log >&2; cat; echo more >&2", "shell": "yes"},
        "c-fail": {"command": "echo attempt $FUTURED_ATTEMPT >&2; exit 1", "shell": "yes"},
        "c-flood": {"command": "n=$(cat); yes | head -c $n >&2; echo fine", "shell": "yes"},
        "c-held": {"command": "p=$(cat); echo held >&2; cat \"$p\"; echo let go >&2", "shell": "yes"},
        "tell-alone": {"isolate": "yes"},
    }

    def start(self, **options):
        return super().start(**{"listen": self.listen, "pool": {"plugin": PLUGIN}, **options})

    def told(self, id_, **fields):
        """All of it, of one that has ended or will."""
        return Told().all(self.futures.Watch(watch(id_, **fields)))

    def stream(self):
        stream = Stream(self.channel(None))
        self.addCleanup(stream.close)
        return stream


class Functions(ToldCase):
    def test_plugin(self):
        for function in ("tell", "tell-alone"):
            with self.subTest(function):
                gate = self.gate(function)
                id_ = self.submit(function, gate.argument)
                call = self.futures.Watch(watch(id_))
                told = Told().until(call, lambda t: len(t.text["log"]) >= 17 and t.progress)
                self.assertEqual(told.text, {"output": b"abcdef", "log": b"one line\nanother\n"})
                self.assertEqual(told.progress[-1], future_pb2.Progress(completed=1, total=4, message="begun"))
                f = self.futures.Get(get(id_))
                self.assertEqual((f.state, f.progress), (RUNNING, told.progress[-1]))
                self.assertEqual((f.output_size_bytes, f.log_size_bytes), (6, 17))
                revision = f.revision
                gate.open()
                told.all(call)
                self.assertEqual(told.text["log"], b"one line\nanother\nthe end\n")
                self.assertEqual([s.state for s in told.states[-2:]], [RUNNING, SUCCEEDED])
                self.assertEqual(told.states[-2].revision, revision)
                self.assertEqual(told.progress[-1], future_pb2.Progress(completed=4, total=4))
                f = self.futures.Get(get(id_))
                self.assertEqual((f.result.data, f.progress), (b"done", told.progress[-1]))
                self.assertEqual({c[:3] for c in told.chunks}, {("output", 1, OUTPUT), ("log", 1, LOG)})

    def test_of_many(self):
        """A group and a filter are told the newest progress, behind a cursor; those who ask for states alone are not."""
        def follow(which, **fields):
            call = self.futures.Watch(futures_pb2.WatchRequest(selector=future_pb2.Selector(**which), **fields))
            self.assertEqual(next(call).WhichOneof("event"), "keepalive")
            return call
        calls = [follow({"group": "g"}), follow({"filter": "function = tell"}), follow({"group": "g"}, kinds=[KIND_PROGRESS])]
        states, others = follow({"group": "g"}, kinds=[futures_pb2.EVENT_KIND_STATE]), follow({"group": "others"})
        gate = self.gate("tell")
        id_ = self.futures.Submit(submit("tell", gate.argument, group="g")).future.id
        for call in calls:
            event = next(e for e in call if e.HasField("progress"))
            self.assertEqual((event.id, event.progress), (id_, future_pb2.Progress(completed=1, total=4, message="begun")))
            self.assertTrue(event.HasField("cursor"))
        gate.open()
        seen = []
        for event in states:
            seen.append(event.WhichOneof("event"))
            if event.state.state in TERMINAL:
                break
        self.assertEqual(set(seen), {"state"})
        others.cancel()
        self.assertEqual([e for e in self.rest(others) if not e.HasField("keepalive")], [])

    @staticmethod
    def rest(call):
        with contextlib.suppress(grpc.RpcError):
            yield from call

    def test_command(self):
        f = self.futures.Run(run("c-tell", b"the result"))
        self.assertEqual((f.state, f.result.data), (SUCCEEDED, b"the result"))
        told = self.told(f.id)
        self.assertEqual(told.text, {"output": b"", "log": b"to the log\nmore\n"})
        self.assertEqual({c[:3] for c in told.chunks}, {("log", 1, STDERR)})
        self.assertEqual([s.state for s in told.states], [SUCCEEDED])

    def test_attempts_follow_each_other(self):
        retry = future_pb2.RetryPolicy(max_attempts=3, initial_backoff=seconds(0.001))
        f = self.futures.Run(run("c-fail", options=future_pb2.TaskOptions(retry=retry)))
        self.assertEqual((f.state, len(f.attempts)), (FAILED, 3))
        told = self.told(f.id)
        self.assertEqual(told.text["log"], b"attempt 1\nattempt 2\nattempt 3\n")
        self.assertEqual([c[1] for c in told.chunks], [1, 2, 3])

    def test_places_to_go_on_from(self):
        f = self.futures.Run(run("tell"))
        log = b"one line\nanother\nthe end\n"
        for at in (0, 1, 9, 10, len(log) - 1, len(log), len(log) + 5):
            events = [e for e in self.futures.Watch(watch(f.id, log_offset=at, output_offset=at))]
            got = {kind: [getattr(e, kind) for e in events if e.HasField(kind)] for kind in ("log", "output")}
            self.assertEqual(b"".join(c.data for c in got["log"]), log[at:])
            self.assertEqual(b"".join(c.data for c in got["output"]), b"abcdef"[at:])
            for chunks in got.values():
                self.assertEqual([c.offset for c in chunks][:1], [at] if chunks else [])

    def test_kinds(self):
        f = self.futures.Run(run("tell"))
        for kinds, wanted in (([KIND_LOG], {"log"}), ([KIND_OUTPUT], {"output"}), ([KIND_PROGRESS], set())):
            kinds = {e.WhichOneof("event") for e in self.futures.Watch(watch(f.id, kinds=kinds))}
            self.assertEqual(kinds, wanted | {"snapshot"})
        seen = [e.WhichOneof("event") for e in self.futures.Watch(watch(f.id, after_revision=f.revision))]
        self.assertEqual((seen[0], set(seen)), ("progress", {"progress", "output", "log"}))
        for field in ("output_offset", "log_offset"):
            request = futures_pb2.WatchRequest(selector=selector(filter="*"), **{field: 1})
            error = self.assert_fails(grpc.StatusCode.INVALID_ARGUMENT, list, self.futures.Watch(request))
            self.assert_refused(error, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", field)


class Limits(ToldCase):
    NOTE = b"[futured: the output of attempt 1 is cut here: an attempt may have 8192 bytes]\n"

    def test_a_flood_is_cut(self):
        server = self.start(limits={"max_log": "4K", "max_output": "8K"})
        self.futures = self.futures_of(server)
        f = self.futures.Run(run("tell-much", b"1000000"))
        self.assertEqual(f.state, SUCCEEDED)
        told = self.told(f.id)
        log, _, note = told.text["log"].replace(self.NOTE, b"").partition(b"\n[futured")
        self.assertEqual(set(log), set(b"x\n"))
        self.assertTrue(3700 < len(log) <= 4096, len(log))
        self.assertTrue(7800 < len(told.text["output"]) <= 8192, len(told.text["output"]))
        self.assertEqual(note, b": the log of attempt 1 is cut here: an attempt may have 4096 bytes]\n")
        self.assertEqual(told.text["log"].count(self.NOTE), 1)
        f = self.futures.Run(run("c-flood", b"3000000"))
        self.assertEqual((f.state, f.result.data), (SUCCEEDED, b"fine\n"))
        self.assertTrue(3800 < self.told(f.id).text["log"].index(b"\n[futured") <= 4096)

    def test_all_attempts_of_a_future_have_a_limit(self):
        server = self.start(limits={"max_log": "1K"}, functions={
            "c-again": {"command": "yes | head -c 900 >&2; exit 1", "shell": "yes"}})
        self.futures = self.futures_of(server)
        retry = future_pb2.RetryPolicy(max_attempts=6, initial_backoff=seconds(0.001))
        f = self.futures.Run(run("c-again", options=future_pb2.TaskOptions(retry=retry)))
        told = self.told(f.id)
        self.assertEqual(told.text["log"].count(b"y\n" * 450), 4)
        self.assertIn(b"attempt 6 is cut here: all attempts of a future may have 4096 bytes]\n", told.text["log"])

    def test_nothing_is_kept_where_nothing_is_to_be_kept(self):
        server = self.start(limits={"max_log": "0", "max_output": "0"})
        self.futures = self.futures_of(server)
        f = self.futures.Run(run("tell"))
        self.assertEqual(self.told(f.id).text, {"output": b"", "log": b""})
        self.assertEqual(f.progress.completed, 4)

    def test_small_messages(self):
        """A piece that one message cannot hold is shown in several."""
        server = self.start(futured={"max_message": "4K"})
        self.futures = self.futures_of(server)
        f = self.futures.Run(run("tell-much", b"50000"))
        told = self.told(f.id)
        self.assertEqual((len(told.text["log"]), len(told.text["output"])), (50000, 50000))


class Workers(ToldCase):
    def piece(self, item, offset, data, stream=0):
        return dict(lease=item.lease, offset=offset, data=data, stream=stream)

    def test_stream(self):
        stream = self.stream().attach(TOKEN, "render")
        self.assertEqual((stream.welcome.max_output_bytes, stream.welcome.max_log_bytes), (256 << 10, 256 << 10))
        id_ = self.submit("render")
        call = self.futures.Watch(watch(id_))
        item = stream.take()
        stream.say(started=[w.Started(lease=item.lease)],
                   progress=[w.AttemptProgress(lease=item.lease, progress=future_pb2.Progress(completed=i)) for i in (1, 2)],
                   output=[w.Output(**self.piece(item, 0, b"abc")), w.Output(**self.piece(item, 3, b"de", STDERR))],
                   log=[w.Log(**self.piece(item, 0, b"said\n"))])
        told = Told().until(call, lambda t: t.text == {"output": b"abcde", "log": b"said\n"})
        self.assertEqual([c[1:3] for c in told.chunks if c[0] == "output"], [(1, OUTPUT), (1, STDERR)])
        self.assertEqual([p.completed for p in told.progress], [2])
        # said again, and more
        stream.say(output=[w.Output(**self.piece(item, 0, b"abc")), w.Output(**self.piece(item, 1, b"bcdef")),
                           w.Output(**self.piece(item, 6, b"g"))])
        stream.finish(item, b"r")
        self.assertEqual(told.all(call).text["output"], b"abcdefg")

    def test_what_breaks_the_rules_ends_the_stream(self):
        lies = {
            "a gap": lambda i: dict(output=[w.Output(**self.piece(i, 1, b"x"))]),
            "a far gap": lambda i: dict(log=[w.Log(**self.piece(i, 2**64 - 1, b"x"))]),
            "too long": lambda i: dict(output=[w.Output(**self.piece(i, 0, b"x" * 65537))]),
            "no stream": lambda i: dict(log=[w.Log(**self.piece(i, 0, b"x", 5))]),
            "a long message": lambda i: dict(progress=[w.AttemptProgress(
                lease=i.lease, progress=future_pb2.Progress(message="x" * 1025))]),
        }
        for n, (name, lie) in enumerate(lies.items()):
            for is_started in (True, False):
                with self.subTest(name, is_started=is_started):
                    function = f"f{n}-{is_started}"
                    stream = self.stream().attach(f"{TOKEN}-{n}-{is_started}", function)
                    options = future_pb2.TaskOptions(on_lost=future_pb2.ON_LOST_FAIL)
                    id_ = self.submit(function, options=options)
                    item = stream.take()
                    if is_started:
                        stream.start(item)
                        self.until(id_, lambda f: f.state == RUNNING)
                    stream.say(**lie(item))
                    error = self.assert_fails(grpc.StatusCode.INVALID_ARGUMENT, stream.until, lambda m: False)
                    self.assertIn(("progress", "output", "log")[0] if "message" in name else "", error.details())
        stream = self.stream().attach(TOKEN, "unstarted")
        self.submit("unstarted")
        stream.say(log=[w.Log(**self.piece(stream.take(), 0, b"x"))])
        self.assert_fails(grpc.StatusCode.INVALID_ARGUMENT, stream.until, lambda m: False)

    def test_a_flood_ends_the_stream(self):
        stream = self.stream().attach(TOKEN, "flood")
        id_ = self.submit("flood")
        item = stream.take()
        stream.start(item)
        for at in range(0, 18 << 20, 65536):
            stream.say(log=[w.Log(**self.piece(item, at, b"z" * 65536))])
        error = self.assert_fails(grpc.StatusCode.RESOURCE_EXHAUSTED, stream.until, lambda m: False)
        self.assertIn("log", error.details())
        self.futures.Cancel(futures_pb2.CancelRequest(id=id_))
        self.assertLess(len(self.told(id_).text["log"]), (256 << 10) + 200)

    def test_a_lease_that_is_not_current(self):
        stream = self.stream().attach(TOKEN, "stale")
        id_ = self.submit("stale")
        item = stream.take()
        stream.start(item)
        old = w.Lease(id=item.lease.id, attempt=item.lease.attempt + 1, epoch=item.lease.epoch)
        stream.say(log=[w.Log(lease=old, data=b"x")], progress=[w.AttemptProgress(lease=old)])
        refused = stream.until(lambda m: m.refused).refused
        self.assertEqual((refused[0].lease, refused[0].reason), (old, "STALE_LEASE"))
        stream.finish(item, b"r")
        self.assertEqual(self.finished(id_).state, SUCCEEDED)
        self.assertEqual(self.told(id_).text["log"], b"")

    def test_unary(self):
        self.stream().attach("token-that-makes-it-known", "asked", credit=0)
        worker = Claiming(self.channel(None), TOKEN, "asked")
        id_ = self.submit("asked")
        item = worker.claim().items[0]
        call = self.futures.Watch(watch(id_))
        said = dict(progress=[w.AttemptProgress(lease=item.lease, progress=future_pb2.Progress(completed=7, total=9))],
                    output=[w.Output(**self.piece(item, 0, b"abc"))], log=[w.Log(**self.piece(item, 0, b"line\n"))])
        for _ in range(2):  # as if the answer had been lost
            self.assertFalse(worker.renew(item.lease, **said).refused)
        told = Told().until(call, lambda t: t.progress and all(t.text.values()))
        self.assertEqual(told.text, {"output": b"abc", "log": b"line\n"})
        for field, bad in (("output", w.Output(**self.piece(item, 4, b"x"))), ("log", w.Log(**self.piece(item, 9, b"x"))),
                           ("log", w.Log()), ("progress", w.AttemptProgress(progress=future_pb2.Progress()))):
            error = self.assert_fails(grpc.StatusCode.INVALID_ARGUMENT, worker.renew, item.lease, **{field: [bad]})
            self.assert_refused(error, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", field)
        stale = w.Lease(id=item.lease.id, attempt=9, epoch=item.lease.epoch)
        self.assertEqual(worker.renew(item.lease, log=[w.Log(lease=stale)]).refused[0].lease, stale)
        worker.finish(worker.done(item, b"r"))
        self.assertEqual(told.all(call).text, {"output": b"abc", "log": b"line\n"})


class Slow(ToldCase):
    def test_who_does_not_read_costs_nothing(self):
        """Thirty who watch and read nothing hold up nobody; when they read they get all of it."""
        calls = [self.futures.Watch(watch(id_)) for id_ in [self.futures.Run(run("tell-much", b"200000")).id] * 30]
        self.assert_serves()
        for call in calls:
            told = Told().all(call)
            self.assertEqual({k: len(v) for k, v in told.text.items()}, {"log": 200000, "output": 200000})


class Restart(DurableCase):
    functions = ToldCase.functions

    def told(self, id_, **fields):
        return Told().all(self.futures.Watch(watch(id_, **fields)))

    def test_what_was_shown_is_there(self):
        """The log of an attempt that is lost with the daemon stays; a watch goes on where it was."""
        gate = self.gate()
        id_ = self.submit("c-held", gate.argument)
        call = self.futures.Watch(watch(id_))
        told = Told().until(call, lambda t: t.text["log"] == b"held\n")
        self.restart()
        call = self.futures.Watch(watch(id_, log_offset=len(told.text["log"]), output_offset=len(told.text["output"]),
                                        after_revision=told.states[-1].revision))
        told.until(call, lambda t: len(t.chunks) == 2)
        self.assertEqual([c[1] for c in told.chunks], [1, 2])
        gate.open()
        told.all(call)
        self.assertEqual(told.text["log"], b"held\nheld\nlet go\n")
        self.assertEqual(told.states[-1].state, SUCCEEDED)
        for cache in ("256M", "0"):
            self.restart(cache=cache, workers=0)
            self.assertEqual(self.told(id_).text, told.text)
            self.assertEqual(b"".join(
                e.log.data for e in self.futures.Watch(watch(id_, log_offset=6)) if e.HasField("log")), told.text["log"][6:])
        self.end_sound()

    def test_what_is_deleted_is_gone(self):
        ids = [self.futures.Run(run("c-tell", b"%d" % i)).id for i in range(5)]
        self.futures.Delete(futures_pb2.DeleteRequest(id=ids[0]))
        gone = self.futures.Run(run("c-tell", b"", options=future_pb2.TaskOptions(retention=seconds(0)))).id
        self.poll(lambda: self.fails_with(self.futures.Get, get(gone)) == grpc.StatusCode.NOT_FOUND, "it is forgotten")
        self.restart(workers=0)
        for id_ in ids[1:]:
            self.assertEqual(self.told(id_).text["log"], b"to the log\nmore\n")
        self.end_sound()


class Plugins(DurableCase):
    def start(self, **options):
        return super().start(pool={"plugin": PLUGIN}, **options)

    def test_progress_is_kept(self):
        """Shown once, it is there after a crash."""
        gate = self.gate()
        id_ = self.submit("tell", gate.argument)
        call = self.futures.Watch(watch(id_))
        told = Told().until(call, lambda t: t.progress)
        self.restart(workers=0)
        self.assertEqual(self.futures.Get(get(id_)).progress, told.progress[-1])
        gate.open()
        self.restart()
        f = self.finished(id_)
        self.assertEqual((f.state, f.progress.completed), (SUCCEEDED, 4))


if __name__ == "__main__":
    futures_support.main()
