# SPDX-License-Identifier: Apache-2.0
"""The oracle: a process of its own that loads the daemon with all that clients do, and writes down what it is told, with
the time at which it heard it. A line counts, and our parent gets a byte for it, only when it has been synced.

    oracle.py ADDRESS BOOK TAG ONCE     until the daemon ends, or SIGTERM

Reading what the daemon says never waits for our own disk: what it said last is the point.
"""
import base64
import collections
import os
import queue
import random
import signal
import sys
import threading
import time

import crash_support  # noqa: F401 (the path to the stubs)
from futures_support import FULL, RUNNING, TERMINAL, futures_pb2, futures_pb2_grpc, get, grpc, seconds, selector
import tasks

UNANSWERED = 300  # requests of a stream that are on their way at a time
REMEMBERED = 2000


class Book:
    """A thread syncs all lines that wait at a time."""

    def __init__(self, path):
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._lines = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._sync)
        self._thread.start()

    def shown(self, f):
        at = time.monotonic_ns()
        self._lines.put((at, "shown", f.id, base64.b64encode(f.SerializeToString()).decode()))

    def did(self, id_, what):
        self._lines.put((time.monotonic_ns(), "did", id_, what))

    def will(self, id_, what):
        self._lines.put((time.monotonic_ns(), "will", id_, what))

    def close(self):
        self._lines.put(None)
        self._thread.join()

    def _sync(self):
        lines = []
        while None not in lines:
            lines = [self._lines.get()]
            while not self._lines.empty():
                lines.append(self._lines.get())
            told = [line for line in lines if line]
            data = "".join("%d %s %s %s\n" % line for line in told).encode()
            while data:
                data = data[os.write(self._fd, data):]
            os.fdatasync(self._fd)
            os.write(1, b"." * sum(kind != "will" for _, kind, _, _ in told))


class Load:
    def __init__(self, address, path, tag, once):
        self.tag, self.once = tag, once
        self.book = Book(path)
        self.channels = [grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1), ("n", i)])
                         for i in range(3)]
        self.stubs = [futures_pb2_grpc.FuturesStub(c) for c in self.channels]
        self.ids = collections.deque(maxlen=REMEMBERED)  # durable ones
        self.n_annotated = 0

    def requests(self, job):
        n = 0
        while True:
            n += 1
            yield tasks.request_of(f"{self.tag}-{job}-{n}{self.more(job, n)}", self.once)

    def more(self, job, n):
        """A deadline soon, or a future that is there, or was a moment ago."""
        if job in ("s", "r") and n % 20 == 0:
            return f"@{time.time_ns() // 1_000_000 + n % 500}"
        if job in ("s", "r") and n % 10 == 5 and self.ids:
            return f"+{self.ids[-1 - n % min(len(self.ids), 10)]}"
        return ""

    def hear(self, f):
        self.book.shown(f)
        if f.effective_options.durability != tasks.EPHEMERAL:
            self.ids.append(f.id)

    # the jobs; each goes on until the daemon ends

    def submit_for_ever(self, stub):
        room = threading.Semaphore(UNANSWERED)

        def requests():
            for request in self.requests("s"):
                room.acquire()
                yield request

        for response in stub.SubmitStream(requests()):
            if response.HasField("future"):
                self.hear(response.future)
            room.release()

    def run_for_ever(self, stub, job="r"):
        room = threading.Semaphore(UNANSWERED // 4)

        def requests():
            for request in self.requests(job):
                room.acquire()
                yield futures_pb2.RunRequest(submit=request, announce=len(request.task.argument) % 2 == 0)

        for response in stub.RunStream(requests()):
            if response.HasField("accepted"):
                self.hear(response.accepted)
                continue
            if response.HasField("finished"):
                self.hear(response.finished)
            room.release()

    def keep_many_in_flight(self, stub):
        self.run_for_ever(stub, "h")

    def run_singly(self, stub):
        for request in self.requests("u"):
            self.hear(stub.Run(futures_pb2.RunRequest(submit=request)))
            request.tag += "x"
            self.hear(stub.Submit(tasks.request_of(request.tag, self.once)).future)

    def watch_for_ever(self, stub):
        """Those that have just come, so that some are seen running."""
        for request in self.requests("w"):
            f = stub.Submit(request).future
            self.hear(f)
            for event in stub.Watch(futures_pb2.WatchRequest(selector=selector(f.id), view=FULL)):
                if not event.HasField("keepalive"):
                    self.hear(getattr(event, event.WhichOneof("event")))

    def change_for_ever(self, stub):
        """One thread does all the changing, so that it is known what comes after what."""
        rng = random.Random(self.tag)
        what = [self.annotate] * 4 + [self.cancel, self.delete, self.look, self.wait, self.list]
        while True:
            if len(self.ids) < 50:
                self.hear(stub.Submit(tasks.request_of(f"{self.tag}-c-{rng.random()}", self.once)).future)
                continue
            try:
                rng.choice(what)(stub, rng)
            except grpc.RpcError as error:
                # It was deleted, or has not ended: that is so.
                if error.code() not in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION):
                    raise

    def annotate(self, stub, rng):
        self.n_annotated += 1
        n = int(self.tag.rpartition("-")[2] or 0) * 1_000_000 + self.n_annotated
        id_ = rng.choice(self.ids)
        self.book.will(id_, f"annotate {n}")
        stub.Annotate(futures_pb2.AnnotateRequest(id=id_, set_labels={"annotated": str(n)}))
        self.hear(stub.Get(get(id_, FULL)))

    def cancel(self, stub, rng):
        id_ = rng.choice(self.ids)
        self.book.will(id_, "cancel")
        stub.Cancel(futures_pb2.CancelRequest(id=id_, reason=self.tag))
        self.hear(stub.Get(get(id_, FULL)))

    def delete(self, stub, rng):
        id_ = rng.choice(self.ids)
        if stub.Get(get(id_)).state not in TERMINAL:
            return
        self.book.will(id_, "delete")
        stub.Delete(futures_pb2.DeleteRequest(id=id_))
        self.book.did(id_, "delete")

    def look(self, stub, rng):
        for id_ in list(self.ids)[-20:]:
            self.hear(stub.Get(get(id_, FULL)))

    def wait(self, stub, rng):
        ids = rng.sample(list(self.ids), 20)
        got = stub.Wait(futures_pb2.WaitRequest(selector=selector(*ids), view=FULL, timeout=seconds(0.2)))
        for f in got.done:
            self.hear(f)

    def list(self, stub, rng):
        got = stub.List(futures_pb2.ListRequest(selector=selector(group=f"g{rng.randrange(6)}"), view=FULL, page_size=20))
        for f in got.futures:
            if not f.omitted:
                self.book.shown(f)

    def all(self):
        jobs = [(self.submit_for_ever, 0), (self.run_for_ever, 1), (self.keep_many_in_flight, 1), (self.run_singly, 2),
                (self.watch_for_ever, 2), (self.change_for_ever, 2)]
        failures = []

        def go(job, stub):
            try:
                job(stub)
            except grpc.RpcError as error:
                # The daemon was killed: that is how each of them ends.
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                    failures.append(f"{job.__name__}: {error.code()} {error.details()}")
            except ValueError:
                pass  # the channel was closed

        threads = [threading.Thread(target=go, args=(job, self.stubs[n]), daemon=True) for job, n in jobs]
        signal.signal(signal.SIGTERM, lambda *_: [c.close() for c in self.channels])
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.book.close()
        return failures


if __name__ == "__main__":
    failed = Load(*sys.argv[1:]).all()
    for line in failed:
        print(line, file=sys.stderr)
    sys.exit(1 if failed else 0)
