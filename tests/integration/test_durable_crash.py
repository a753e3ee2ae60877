# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random moments under load. What a client has been told is written down and synced by a process of its own (the
oracle: this file, with arguments) before anything else happens; after each start on the same directory all of it must
hold: every acknowledged task is there as it was submitted, what was shown as finished is the same message, and what was
running or waiting ends once. A round in which too little happened fails.

FUTURED_CRASH_ROUNDS rounds (3), from FUTURED_TEST_SEED (printed).
"""
import collections
import os
import pathlib
import queue
import random
import subprocess
import sys
import threading

import durable_support
from durable_support import DEADLINE, DurableCase, grpc
from futures_support import FULL, SUCCEEDED, futures_pb2, futures_pb2_grpc, get, selector, submit
from server import DIE_WITH_PARENT

ROUNDS = int(os.environ.get("FUTURED_CRASH_ROUNDS", "3"))
LEAST_ACKNOWLEDGED, LEAST_IN_FLIGHT = 1000, 50
UNANSWERED = 400  # requests that are on their way at a time


# --- the oracle's process

class Book:
    """Lines "kind id payload". A thread syncs all that wait at a time, and then sends whoever started us a byte for each, so
    that reading what the daemon says never waits for our disk: what it said last before it was killed is the point."""

    def __init__(self, path):
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._lines = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._sync)
        self._thread.start()

    def write(self, kind, id_, payload):
        self._lines.put(f"{kind} {id_} {payload}\n".encode())

    def close(self):
        self._lines.put(None)
        self._thread.join()

    def _sync(self):
        lines = []
        while None not in lines:
            lines = [self._lines.get()]
            while not self._lines.empty():
                lines.append(self._lines.get())
            data = b"".join(line for line in lines if line)
            while data:
                data = data[os.write(self._fd, data):]
            os.fdatasync(self._fd)
            os.write(1, b"." * sum(line is not None for line in lines))


def submit_for_ever(stub, book, run):
    """A stream of tasks; each answer is written down."""
    room = threading.Semaphore(UNANSWERED)

    def requests():
        n = 0
        while True:
            room.acquire()
            n += 1
            padding = "x" * (3000 if n % 50 == 0 else 0)
            yield submit("sleep", b"20", tag=f"{run}-{n}", labels={"n": f"{run}-{n}", "padding": padding[:1000]},
                         content_type="text/plain")

    for response in stub.SubmitStream(requests()):
        if response.HasField("future"):
            book.write("accepted", response.future.id, response.tag)
        room.release()


def run_for_ever(stub, book, run):
    """One task after the other; each outcome is written down as the whole message."""
    n = 0
    while True:
        n += 1
        request = futures_pb2.RunRequest(submit=submit("echo", b"%s-%d" % (run.encode(), n), view=FULL))
        future = stub.Run(request)
        book.write("finished", future.id, future.SerializeToString(deterministic=True).hex())


def oracle(address, path, run):
    book = Book(path)
    with grpc.insecure_channel(address) as channel:
        stub = futures_pb2_grpc.FuturesStub(channel)
        jobs = [threading.Thread(target=job, args=(stub, book, run), daemon=True)
                for job in (submit_for_ever, run_for_ever)]
        threading.excepthook = lambda _: None  # the daemon was killed: that is how each of them ends
        for job in jobs:
            job.start()
        for job in jobs:
            job.join()
    book.close()


# --- the test

def said(path):
    """What the oracle has on disk, whole lines only."""
    lines = pathlib.Path(path).read_bytes().split(b"\n")[:-1] if os.path.exists(path) else []
    return [line.decode().split(" ", 2) for line in lines]


class Crash(DurableCase):
    cache = "1M"

    def test_random_kills(self):
        seed = int(os.environ.get("FUTURED_TEST_SEED", "20240229"), 0)
        print(f"FUTURED_TEST_SEED={seed}")
        chance = random.Random(seed)
        accepted, finished = {}, {}
        for number in range(ROUNDS):
            book = self.folder / f"book-{number}"
            goal = LEAST_ACKNOWLEDGED + chance.randrange(1500)
            command = [*DIE_WITH_PARENT, sys.executable, __file__, self.server.address, book, str(number)]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
                process.stdout.read(goal)
                self.kill()
                process.stdout.read()
                process.wait(DEADLINE)
            told = said(book)
            self.assertGreaterEqual(len(told), LEAST_ACKNOWLEDGED)
            for kind, id_, payload in told:
                (accepted if kind == "accepted" else finished)[id_] = payload
            self.restart()
            line = self.server.log.wait(" recovered ")[0]
            self.assertGreaterEqual(int(line.split("futures=")[1].split()[0]), LEAST_IN_FLIGHT)
            self.check_finished(finished)
            self.check_accepted(accepted)
        self.restart(workers=16)
        self.check_end(accepted)

    def check_finished(self, finished):
        """Unchanged, to the last bit."""
        ids = list(finished)
        for i in range(0, len(ids), 500):
            got = self.futures.Wait(futures_pb2.WaitRequest(selector=selector(*ids[i:i + 500]), view=FULL))
            self.assertEqual(list(got.missing), [])
            self.assertEqual(list(got.not_done), [])
            for f in got.done:
                self.assertEqual(f.SerializeToString(deterministic=True).hex(), finished[f.id])

    def check_accepted(self, accepted):
        """Some of them, looked at whole; all of them are at the end."""
        for id_ in random.Random(len(accepted)).sample(sorted(accepted), min(300, len(accepted))):
            f = self.futures.Get(get(id_))
            self.assertEqual((f.tag, f.task.labels["n"], f.task.function, f.task.argument),
                             (accepted[id_], accepted[id_], "sleep", b"20"))

    def check_end(self, accepted):
        """All of them end, once, and well."""
        ids = list(accepted)
        states = collections.Counter()
        for i in range(0, len(ids), 1000):
            got = self.futures.Wait(futures_pb2.WaitRequest(selector=selector(*ids[i:i + 1000])))
            self.assertEqual(list(got.missing), [])
            for f in got.done:
                states[f.state] += 1
                self.assertEqual((f.tag, f.task.labels["n"]), (accepted[f.id], accepted[f.id]))
                self.assertEqual(sum(not a.error.reason for a in f.attempts), 1)
        self.assertEqual(states, {SUCCEEDED: len(ids)})


if __name__ == "__main__":
    if len(sys.argv) == 4 and not sys.argv[1].startswith("-"):
        oracle(*sys.argv[1:])
    else:
        durable_support.main()
