#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Watch of a group or a filter, and of several IDs: snapshots, events, cursors, who reads slowly, restarts, limits. What a
client knows by its events is compared with what List says."""
import futures_support
from durable_support import DurableCase
from futures_support import *  # noqa: F403: the words of the contract
from harness import grpc

STATE, LABELS = futures_pb2.EVENT_KIND_STATE, futures_pb2.EVENT_KIND_LABELS


def watch(cursor=None, **fields):
    kinds, view = fields.pop("kinds", ()), fields.pop("view", 0)
    return futures_pb2.WatchRequest(selector=selector(**fields), cursor=cursor, kinds=kinds, view=view)


def shown(event):
    """The future that an event shows, or None."""
    kind = event.WhichOneof("event")
    return getattr(event, kind) if kind in ("snapshot", "state", "labels") else None


class Follower:
    """A client that follows a watch: by ID the state and the revision that it was shown last; its newest cursor."""

    def __init__(self, call):
        self.call, self.events, self.known, self.cursor = call, [], {}, None

    def next(self):
        event = next(self.call)
        kind, f = event.WhichOneof("event"), shown(event)
        self.events.append(kind)
        if event.HasField("cursor"):
            self.cursor = event.cursor
        if kind == "lost":
            self.known.clear()
        if f is not None:
            assert f.id == event.id and f.revision >= self.known.get(f.id, (0, 0))[1], "it went back"
            self.known[f.id] = f.state, f.revision
        return event

    def until(self, is_enough):
        while not is_enough(self):
            self.next()
        return self

    def opened(self):
        return self.until(lambda s: s.cursor is not None)

    def shows(self, id_, state):
        return self.until(lambda s: s.known.get(id_, (0, 0))[0] == state)


class WatchCase(FuturesCase):
    def follow(self, *arguments, **fields):
        call = self.futures.Watch(watch(*arguments, **fields))
        self.addCleanup(call.cancel)
        return Follower(call)

    def annotate(self, id_, **labels):
        return self.futures.Annotate(futures_pb2.AnnotateRequest(id=id_, set_labels=labels))

    def cancel(self, id_):
        return self.futures.Cancel(futures_pb2.CancelRequest(id=id_))

    def run_all(self, n, **fields):
        return [r.finished.id for r in self.futures.RunStream(iter([run("echo", b"%d" % i, **fields) for i in range(n)]))]


class Watch(WatchCase):
    def test_group(self):
        gate, held = self.occupy(2)
        old = self.submit("echo", group="g")
        self.submit("echo", group="other")
        w = self.follow(group="g").opened()
        self.assertEqual((w.events, list(w.known)), (["snapshot", "keepalive"], [old]))
        new = self.submit("echo", b"x", group="g")
        self.assert_message(w.next(), futures_pb2.FutureEvent(
            id=ID, cursor=w.cursor, time=TIME, state=pending(task("echo", b"x"), group="g", view=BASIC)))
        self.annotate(old, k="v")
        self.assertEqual(w.next().labels.labels, {"k": "v"})
        gate.open()
        w.shows(old, SUCCEEDED).shows(new, SUCCEEDED)
        self.assertEqual(set(w.known), {old, new})

    def test_filter_and_what_leaves_it(self):
        gate, held = self.occupy(2)
        w = self.follow(filter="state = RUNNING").opened()
        for id_ in held:
            w.shows(id_, RUNNING)
        labelled = self.follow(filter="labels.k = v").opened()
        self.annotate(held[0], k="v")
        self.assertEqual((labelled.next().id, labelled.events[-1]), (held[0], "labels"))
        self.annotate(held[0], k="w")
        self.assertEqual(labelled.next().labels.labels, {"k": "w"})
        gate.open()
        for id_ in held:
            w.shows(id_, SUCCEEDED)

    def test_kinds(self):
        id_ = self.run_all(1)[0]
        w = self.follow(filter="*", kinds=[STATE]).opened()
        self.annotate(id_, k="v")
        new = self.run_all(1)[0]
        w.shows(new, SUCCEEDED)
        self.assertNotIn("labels", w.events)

    def test_several_ids(self):
        gate, held = self.occupy(2)
        done = self.submit("echo")
        self.cancel(done)
        call = self.futures.Watch(futures_pb2.WatchRequest(selector=selector(held[1], done, held[0], done)))
        first = [next(call) for _ in range(3)]
        self.assertEqual([(e.WhichOneof("event"), e.id, e.HasField("cursor")) for e in first],
                         [("snapshot", i, False) for i in (held[1], done, held[0])])
        gate.open()
        last = {e.id: e.state.state for e in call if e.HasField("state")}
        self.assertEqual(last, {i: SUCCEEDED for i in held})

    def test_much(self):
        """Everything that happens while a watch goes on, and before it, is known at the end."""
        before = self.run_all(1500, group="g") if STORE == "none" else self.run_all(300, group="g")
        w = self.follow(group="g")
        w.next()
        after = self.run_all(1500, group="g")
        for id_ in [*before, *after]:
            w.shows(id_, SUCCEEDED)
        self.assertNotIn("lost", w.events)
        self.assertEqual(len(w.known), len(before) + len(after))

    def test_cursor(self):
        ids = self.run_all(3, group="g")
        w = self.follow(group="g").opened()
        again = self.follow(w.cursor, group="g")
        new = self.submit("echo", group="g")
        again.shows(new, SUCCEEDED)
        self.assertEqual((set(again.known), "snapshot" in again.events), ({new}, False))
        last = self.follow(again.cursor, group="g")
        self.annotate(ids[0], k="v")
        self.assertEqual(last.next().id, ids[0])

    def test_cursor_too_old(self):
        self.server = self.start(limits={"watch_events": "10"})
        self.futures = self.futures_of(self.server)
        w = self.follow(group="g").opened()
        ids = self.run_all(20, group="g")
        again = self.follow(w.cursor, group="g").opened()
        self.assertEqual(again.events[0], "lost")
        self.assertEqual(set(again.known), set(ids))
        other = self.follow(futures_pb2.Cursor(epoch=w.cursor.epoch + 1, event=1), group="g").opened()
        self.assertEqual((other.events[0], set(other.known)), ("lost", set(ids)))

    def test_cursor_of_the_future(self):
        w = self.follow(group="g").opened()
        ahead = futures_pb2.Cursor(epoch=w.cursor.epoch, event=w.cursor.event + 1000)
        error = self.assert_fails(grpc.StatusCode.INVALID_ARGUMENT, lambda: list(self.futures.Watch(watch(ahead, group="g"))))
        self.assertEqual(what_failed(status_of(error)[0])[1:], ("INVALID_FIELD", ["cursor.event"]))

    def test_slow_reader(self):
        """Who does not read costs nothing and stops nobody; it is told that it has missed something, and begins anew."""
        self.server = self.start(limits={"watch_events": "300"})
        self.futures = self.futures_of(self.server)
        slow = self.follow(filter="*", view=FULL).opened()
        quick = self.follow(filter="*").opened()
        argument = b"x" * 20000
        for _ in range(8):
            ids = [r.finished.id for r in self.futures.RunStream(iter([run("echo", argument)] * 100))]
        quick.shows(ids[-1], SUCCEEDED)
        slow.shows(ids[-1], SUCCEEDED)
        self.assertIn("lost", slow.events)
        slow.until(lambda s: len(s.known) >= 800 and all(state == SUCCEEDED for state, _ in s.known.values()))

    def test_keepalive(self):
        self.server = self.start(timeouts={"watch_keepalive": "1s", **self.timeouts})
        self.futures = self.futures_of(self.server)
        _, held = self.occupy(1)
        w = self.follow(group="g").opened()
        cursor = w.cursor
        self.submit("echo")  # nothing of the group, and yet the cursor moves on
        w.until(lambda s: s.cursor.event > cursor.event)
        self.assertEqual(set(w.events), {"keepalive"})
        call = self.futures.Watch(futures_pb2.WatchRequest(selector=selector(*held)))
        self.addCleanup(call.cancel)
        events = [next(call).WhichOneof("event")]
        while events[-1] != "keepalive":
            events.append(next(call).WhichOneof("event"))
        self.assertIn(events, (["snapshot", "keepalive"], ["snapshot", "state", "keepalive"]))  # that it runs may come late

    def test_deleted(self):
        w = self.follow(group="g").opened()
        a, b = self.run_all(2, group="g")
        w.shows(a, SUCCEEDED).shows(b, SUCCEEDED)
        self.futures.Delete(futures_pb2.DeleteRequest(id=a))
        self.annotate(b, k="v")
        self.assertEqual((w.next().id, w.events[-1]), (b, "labels"))  # that a is gone is no event

    def test_limit(self):
        self.server = self.start(limits={"filter_watches": "3"})
        self.futures = self.futures_of(self.server)
        watches = [self.follow(group="g").opened() for _ in range(3)]
        error = self.assert_fails(grpc.StatusCode.RESOURCE_EXHAUSTED, lambda: list(self.futures.Watch(watch(group="g"))))
        self.assertEqual(what_failed(status_of(error)[0])[1], "TOO_MANY_WATCHES")
        watches[0].call.cancel()
        ids = self.run_all(1)
        list(self.futures.Watch(futures_pb2.WatchRequest(selector=selector(*ids))))  # of IDs does not count
        self.poll(lambda: self.is_open(), "room again")

    def is_open(self):
        try:
            self.follow(group="g").opened()
        except grpc.RpcError:
            return False
        return True


class Restarted(DurableCase, WatchCase):
    def test_other_epoch(self):
        """After a restart a cursor says nothing: `lost`, and all that matches, from the disk as well."""
        done = self.run_all(5, group="g")
        w = self.follow(group="g").opened()
        self.restart(cache="0", workers=0)
        waits = self.submit("echo", group="g")
        again = self.follow(w.cursor, group="g").opened()
        self.assertEqual((again.events[0], set(again.known)), ("lost", {*done, waits}))
        self.assertEqual(again.events.count("snapshot"), 6)
        self.assertNotEqual(again.cursor.epoch, w.cursor.epoch)
        found = self.follow(filter="group = g AND state = SUCCEEDED").opened()
        self.assertEqual(set(found.known), set(done))

    def test_what_was_shown_is_kept(self):
        gate = self.gate()
        w = self.follow(filter="*", kinds=[STATE]).opened()
        id_ = self.submit("gate", gate.argument)
        w.shows(id_, RUNNING)
        self.restart()
        got = self.futures.Get(get(id_))
        self.assertGreaterEqual(got.revision, w.known[id_][1])
        self.assertTrue(got.attempts, "that it ran was shown")

    def test_little_memory(self):
        """Events of what has left memory are read from the disk."""
        self.restart(cache="0")
        w = self.follow(group="g").opened()
        ids = self.run_all(500, group="g")
        for id_ in ids:
            w.shows(id_, SUCCEEDED)
        self.annotate(ids[3], k="v")
        w.until(lambda s: s.events[-1] == "labels")
        self.assertNotIn("lost", w.events)


if __name__ == "__main__":
    futures_support.main()
