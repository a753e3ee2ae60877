# SPDX-License-Identifier: Apache-2.0
"""Dependencies under the real daemon: who starts when, what is passed on, what is pinned, and what a kill -9 in between leaves."""
import os

import durable_support
from durable_support import DEADLINE, DurableCase, grpc
from futures_support import (CANCELLED, FAILED, PENDING, SUCCEEDED, future_pb2, futures_pb2, get, run, selector, submit)
from google.protobuf import duration_pb2

DURABLE, EPHEMERAL = future_pb2.DURABILITY_DURABLE, future_pb2.DURABILITY_EPHEMERAL
ON_SUCCESS, ON_FINISH = future_pb2.DEPEND_POLICY_ON_SUCCESS, future_pb2.DEPEND_POLICY_ON_FINISH
ON_FAILURE = future_pb2.DEPEND_POLICY_ON_FAILURE
BLOCKED = future_pb2.PENDING_REASON_BLOCKED
CHAIN = int(os.environ.get("FUTURED_TEST_CHAIN", "3000"))
NO_SUCH_ID = "01890a5d-ac96-774b-bcce-b302099a8057"


def after(ids, function="echo", argument=b"a", policy=0, durability=DURABLE, pass_results=False, **fields):
    options = future_pb2.TaskOptions(depends_on=ids, depend_policy=policy, durability=durability, pass_results=pass_results)
    return submit(function, argument, options=options, **fields)


def ephemeral(function="echo", argument=b"a"):
    return submit(function, argument, options=future_pb2.TaskOptions(durability=EPHEMERAL))


class Dependencies(DurableCase):
    # what is passed on: every file's name and what is in it
    functions = {"gather": {"command": 'cd "$FUTURED_UPSTREAM_DIR" && for f in $(ls | sort -n); do echo "$f=$(cat $f)"; done',
                            "shell": "yes"},
                 "sizes": {"command": 'cd "$FUTURED_UPSTREAM_DIR" && cat $(ls | sort -n) | sha256sum', "shell": "yes"}}

    def accept(self, request):
        return self.futures.Submit(request, timeout=DEADLINE).future

    def refused(self, request):
        with self.assertRaises(grpc.RpcError) as caught:
            self.futures.Submit(request, timeout=DEADLINE)
        return caught.exception

    def test_policies(self):
        gate, _ = self.occupy()
        ends = {SUCCEEDED: self.accept(submit("echo", b"x")).id, FAILED: self.accept(submit("fail", b"x")).id,
                CANCELLED: self.accept(submit("echo", b"x")).id}
        starts = {ON_SUCCESS: {SUCCEEDED}, ON_FINISH: set(ends), ON_FAILURE: {FAILED, CANCELLED}}
        before = {(p, e): self.accept(after([i], policy=p)) for p in starts for e, i in ends.items()}
        self.assertEqual({(f.state, f.pending_reason) for f in before.values()}, {(PENDING, BLOCKED)})
        self.futures.Cancel(futures_pb2.CancelRequest(id=ends[CANCELLED]))
        gate.open()
        for end, id_ in ends.items():
            self.assertEqual(self.finished(id_).state, end)
        late = {(p, e): self.accept(after([i], policy=p)) for p in starts for e, i in ends.items()}
        for submitted in (before, late):
            for (policy, end), f in submitted.items():
                done = self.finished(f.id)
                if end in starts[policy]:
                    self.assertEqual((done.state, done.result.data), (SUCCEEDED, b"a"))
                else:
                    self.assertEqual((done.state, done.error.reason), (FAILED, "DEPENDENCY_FAILED"))
                    self.assertIn(ends[end], done.error.message)

    def test_refused(self):
        gate, _ = self.occupy()
        error = self.refused(after([NO_SUCH_ID]))
        self.assertEqual(error.code(), grpc.StatusCode.NOT_FOUND)
        self.assertIn(NO_SUCH_ID, error.details())
        brief = self.accept(ephemeral()).id
        error = self.refused(after([brief]))
        self.assertEqual(error.code(), grpc.StatusCode.FAILED_PRECONDITION)
        self.assertIn(brief, error.details())
        self.assertEqual(self.refused(after(["x"])).code(), grpc.StatusCode.INVALID_ARGUMENT)
        self.assertEqual(self.refused(after([brief] * 1001, durability=EPHEMERAL)).code(), grpc.StatusCode.INVALID_ARGUMENT)
        dependent = self.accept(after([brief], durability=EPHEMERAL)).id
        self.futures.Cancel(futures_pb2.CancelRequest(id=brief))
        self.assertEqual(self.finished(dependent).state, FAILED)
        gate.open()

    def test_results_are_passed_on(self):
        ids = [self.accept(submit("echo", b"one")).id, self.accept(submit("fail", b"so sad")).id,
               self.accept(submit("echo", b"three")).id]
        request = after(ids, "gather", b"", ON_FINISH, pass_results=True)
        f = self.futures.Run(futures_pb2.RunRequest(submit=request), timeout=DEADLINE)
        self.assertEqual(f.result.data, b"0=one\n1.error=FUNCTION_ERROR: so sad\n2=three\n")
        self.assertTrue(f.effective_options.pass_results)

    def test_large_results_are_passed_on(self):
        """Pieces of more than a message, among small ones; from memory, from the disk, and after a kill."""
        payloads = [bytes([i]) * n for i, n in enumerate((10, 3_000_000, 65_536, 65_537, 0, 200_000))]
        ids = [self.futures.Run(run("echo", p), timeout=DEADLINE).id for p in payloads]
        sums = []
        for cache in ("256M", "0"):
            self.restart(cache=cache)
            request = after(ids, "sizes", b"", pass_results=True)
            sums.append(self.futures.Run(futures_pb2.RunRequest(submit=request), timeout=DEADLINE).result.data)
        gate, _ = self.occupy()
        id_ = self.accept(after(ids, "sizes", b"", pass_results=True)).id
        self.restart(cache="0")
        gate.open()
        sums.append(self.finished(id_).result.data)
        whole = self.futures.Run(run("sha256", b"".join(payloads)), timeout=DEADLINE).result.data
        self.assertEqual({s.split()[0] for s in sums}, {whole})

    def test_pinned(self):
        gate, _ = self.occupy()
        up = self.accept(submit("echo", b"x", options=future_pb2.TaskOptions(retention=duration_pb2.Duration()))).id
        id_ = self.accept(after([up, self.accept(submit("echo", b"y")).id], "gather", b"", pass_results=True)).id
        gate.open()
        self.assertEqual(self.finished(id_).result.data, b"0=x\n1=y\n")

    def test_killed_in_between(self):
        """Chains over a kill -9 at whatever point: each link runs, and none is forgotten."""
        for n in (5, 40):
            ids = [self.accept(submit("echo", b"0")).id]
            for i in range(n):
                ids.append(self.accept(after(ids[-1:], argument=b"%d" % i)).id)
            side = self.accept(after(ids[-1:], policy=ON_FAILURE)).id
            for _ in range(4):
                self.restart(cache="0")
            for i, id_ in enumerate(ids[1:]):
                f = self.finished(id_)
                self.assertEqual((f.state, f.result.data), (SUCCEEDED, b"%d" % i))
            self.assertEqual(self.finished(side).error.reason, "DEPENDENCY_FAILED")
        self.end_sound()

    def test_upstream_on_the_disk(self):
        ids = [self.futures.Run(run("echo", b"%d" % i), timeout=DEADLINE).id for i in range(100)]
        self.restart(cache="0")
        replies = list(self.futures.SubmitStream(iter([after(ids[i:], tag=str(i)) for i in (0, 50, 99)]
                                                      + [after([NO_SUCH_ID], tag="no")]), timeout=DEADLINE))
        self.assertEqual([r.tag for r in replies], ["0", "50", "99", "no"])
        self.assertEqual(replies[-1].status.code, 5)
        self.assertEqual({self.finished(r.future.id).state for r in replies[:-1]}, {SUCCEEDED})

    def test_chain_and_fan(self):
        gate, _ = self.occupy()
        head = self.accept(ephemeral()).id
        fan = list(self.futures.SubmitStream(after([head], durability=EPHEMERAL) for _ in range(CHAIN)))
        last = head
        for _ in range(200):
            last = self.accept(after([last], durability=EPHEMERAL)).id
        self.futures.Cancel(futures_pb2.CancelRequest(id=head))
        self.assertEqual(self.finished(last).error.reason, "DEPENDENCY_FAILED")
        done = self.futures.Wait(futures_pb2.WaitRequest(selector=selector(*[r.future.id for r in fan])), timeout=DEADLINE)
        self.assertEqual(done.counts.failed, CHAIN)
        gate.open()


if __name__ == "__main__":
    durable_support.main()
