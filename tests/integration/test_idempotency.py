# SPDX-License-Identifier: Apache-2.0
"""Idempotency keys and request IDs: one future for one task, however often it is sent and whatever falls in between."""
import durable_support
from durable_support import DEADLINE, DurableCase, grpc
from futures_support import FAILED, PENDING, SUCCEEDED, future_pb2, futures_pb2, get, submit
from google.protobuf import duration_pb2

DURABLE, EPHEMERAL = future_pb2.DURABILITY_DURABLE, future_pb2.DURABILITY_EPHEMERAL
JOIN, JOIN_UNLESS_FAILED = future_pb2.KEY_POLICY_JOIN, future_pb2.KEY_POLICY_JOIN_UNLESS_FAILED
JOIN_WHILE_ACTIVE, REJECT = future_pb2.KEY_POLICY_JOIN_WHILE_ACTIVE, future_pb2.KEY_POLICY_REJECT


def keyed(key, argument=b"a", policy=0, function="echo", durability=DURABLE, **fields):
    options = future_pb2.TaskOptions(idempotency_key=key, key_policy=policy, durability=durability,
                                     retention=fields.pop("retention", None))
    return submit(function, argument, options=options, **fields)


class Keys(DurableCase):
    def by_key(self, key):
        return self.futures.Get(futures_pb2.GetRequest(idempotency_key=key), timeout=DEADLINE)

    def test_join_in_every_method(self):
        first = self.futures.Submit(keyed("k", b"x"))
        self.assertFalse(first.joined)
        again = self.futures.Submit(keyed("k", b"x"))
        self.assertTrue(again.joined)
        done = self.futures.Run(futures_pb2.RunRequest(submit=keyed("k", b"x")), timeout=DEADLINE)
        streamed = list(self.futures.SubmitStream(iter([keyed("k", b"x")] * 3), timeout=DEADLINE))
        ran = list(self.futures.RunStream(iter([futures_pb2.RunRequest(submit=keyed("k", b"x", tag=str(i)))
                                                for i in range(3)]), timeout=DEADLINE))
        ids = [again.future.id, done.id] + [r.future.id for r in streamed] + [r.finished.id for r in ran]
        self.assertEqual(set(ids), {first.future.id})
        self.assertTrue(all(r.joined for r in streamed))
        self.assertEqual(sorted(r.tag for r in ran), ["0", "1", "2"])
        self.assertEqual((done.state, done.result.data), (SUCCEEDED, b"x"))
        self.assertEqual(self.by_key("k").id, first.future.id)

    def refused(self, request):
        with self.assertRaises(grpc.RpcError) as caught:
            self.futures.Submit(request, timeout=DEADLINE)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.ALREADY_EXISTS)
        return caught.exception.details()

    def test_refused_names_the_holder(self):
        id_ = self.futures.Submit(keyed("k")).future.id
        for durable_or_not in (False, True):
            self.assertIn(id_, self.refused(keyed("k", b"other")))
            self.assertIn(id_, self.refused(keyed("k", function="sha256")))
            self.assertIn(id_, self.refused(keyed("k", content_type="text/plain")))
            self.assertIn(id_, self.refused(keyed("k", policy=REJECT)))
            if not durable_or_not:
                self.finished(id_)
                self.restart(cache="0")

    def test_policies_over_restarts(self):
        """Who holds a key is the same whether its future is in memory or only on the disk."""
        failed = self.finished(self.futures.Submit(keyed("f", b"no", function="fail")).future.id)
        good = self.finished(self.futures.Submit(keyed("g")).future.id)
        self.assertEqual((failed.state, good.state), (FAILED, SUCCEEDED))
        for cache in ("256M", "0"):
            self.restart(cache=cache)
            self.assertEqual(self.futures.Submit(keyed("f", b"no", JOIN, function="fail")).future.id, failed.id)
            self.assertEqual(self.futures.Submit(keyed("g", policy=JOIN_UNLESS_FAILED)).future.id, good.id)
            new = self.futures.Submit(keyed("f", b"no", JOIN_UNLESS_FAILED, function="fail"))
            self.assertFalse(new.joined)
            self.assertNotEqual(new.future.id, failed.id)
            self.assertEqual(self.by_key("f").id, new.future.id)
            other = self.futures.Submit(keyed("g", policy=JOIN_WHILE_ACTIVE))
            self.assertFalse(other.joined)
            self.kill()
            self.restart(cache=cache)
            self.assertEqual(self.by_key("f").id, new.future.id)
            self.assertEqual(self.by_key("g").id, other.future.id)
            self.assertEqual(self.futures.Get(get(failed.id)).effective_options.idempotency_key, "")
            failed, good = self.finished(new.future.id), self.finished(other.future.id)
        self.end_sound()

    def test_pending_ones_keep_theirs(self):
        gate, _ = self.occupy()
        ids = [self.futures.Submit(keyed(f"k{i}", b"%d" % i)).future.id for i in range(50)]
        self.restart(workers=0)
        again = list(self.futures.SubmitStream(keyed(f"k{i}", b"%d" % i) for i in range(50)))
        self.assertEqual([r.future.id for r in again], ids)
        self.assertEqual({r.future.state for r in again}, {PENDING})
        gate.open()

    def test_stream_keeps_its_order(self):
        """Some keys are on the disk, some in memory, some new, and every third item has none."""
        old = list(self.futures.SubmitStream(keyed(f"k{i}", b"%d" % i) for i in range(0, 200, 2)))
        for r in old:
            self.finished(r.future.id)
        self.restart(cache="0")
        requests = [keyed(f"k{i}", b"%d" % i, tag=str(i)) if i % 3 else submit("echo", b"", tag=str(i))
                    for i in range(200)]
        for joined in (lambda i: i % 3 and i % 2 == 0, lambda i: bool(i % 3)):
            replies = list(self.futures.SubmitStream(iter(requests), timeout=DEADLINE))
            self.assertEqual([r.tag for r in replies], [str(i) for i in range(200)])
            self.assertEqual([r.joined for r in replies], [bool(joined(i)) for i in range(200)])
        for i, r in zip(range(0, 200, 2), old):
            self.assertEqual(self.by_key(f"k{i}").id, r.future.id)

    def test_freed_with_the_future(self):
        id_ = self.finished(self.futures.Submit(keyed("k")).future.id).id
        self.restart(cache="0")
        self.futures.Delete(futures_pb2.DeleteRequest(id=id_))
        with self.assertRaises(grpc.RpcError) as caught:
            self.by_key("k")
        self.assertEqual(caught.exception.code(), grpc.StatusCode.NOT_FOUND)
        self.assertFalse(self.futures.Submit(keyed("k", b"quite another")).joined)
        self.end_sound()

    def test_expired(self):
        brief = keyed("k", retention=duration_pb2.Duration())
        id_ = self.futures.Run(futures_pb2.RunRequest(submit=brief), timeout=DEADLINE).id
        self.restart(cache="0")
        new = self.futures.Submit(keyed("k", b"another"))
        self.assertFalse(new.joined)
        self.assertNotEqual(new.future.id, id_)
        self.finished(new.future.id)
        self.restart(cache="0")
        self.assertEqual(self.by_key("k").id, new.future.id)

    def test_ephemeral_in_memory_only(self):
        id_ = self.futures.Submit(keyed("k", durability=EPHEMERAL)).future.id
        self.assertEqual(self.futures.Submit(keyed("k")).future.id, id_)
        self.restart()
        self.assertFalse(self.futures.Submit(keyed("k")).joined)


class Requests(DurableCase):
    def test_sent_again(self):
        request = submit("echo", b"x", options=future_pb2.TaskOptions(durability=DURABLE))
        request.request_id = "r-1"
        first = self.futures.Submit(request)
        self.assertEqual(self.futures.Submit(request).future.id, first.future.id)
        gate, held = self.occupy()
        waiting = submit("echo", b"y", options=future_pb2.TaskOptions(durability=DURABLE))
        waiting.request_id = "r-2"
        second = self.futures.Submit(waiting)
        self.finished(first.future.id)
        for cache in ("256M", "0"):
            self.restart(cache=cache, workers=0)
            for request_, before in ((request, first), (waiting, second)):
                again = self.futures.Submit(request_)
                self.assertTrue(again.joined)
                self.assertEqual(again.future.id, before.future.id)
        gate.open()


if __name__ == "__main__":
    durable_support.main()
