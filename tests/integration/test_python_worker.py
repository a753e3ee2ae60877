#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""futured.worker under the real daemon: functions served by threads and by processes, what they are given and what they tell; lost
streams, lost daemons, cancels, crashes, drains."""
import os
import select
import signal
import subprocess
import sys
import threading
import time

from python_support import *  # noqa: F403: the words of the contract
from python_support import PACKAGE, PythonMixin, PythonCase, PythonDurableCase, futured, harness
from proxy import Proxy
from server import DIE_WITH_PARENT, HERE, Log

from futured.v1 import workers_pb2, workers_pb2_grpc

FUNCTIONS = HERE / "python_functions.py"


class Hold:
    """A task of function `hold` in the test's hand."""

    def __init__(self, folder, name):
        self.path = str(folder / name)
        os.mkfifo(self.path)
        os.mkfifo(self.path + ".end")
        self._read = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._keep = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
        self._end = os.open(self.path + ".end", os.O_RDWR | os.O_CLOEXEC)
        self.pids = []

    def started(self, n=1):
        """The processes in which it has begun to run, once there are so many."""
        end = time.monotonic() + DEADLINE
        said = b""
        while len(self.pids) + said.count(b"\n") < n:
            if not select.select([self._read], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError(f"{len(self.pids)} have started, not {n}")
            said += os.read(self._read, 4096)
        self.pids += map(int, said.split())
        return self.pids

    def go(self):
        os.write(self._end, b"x" * 16)

    def close(self):
        for fd in (self._read, self._keep, self._end):
            os.close(fd)


class WorkerMixin(PythonMixin):
    processes = False
    workers = 1
    timeouts = {"drain": "10s"}

    def setUp(self):
        super().setUp()
        self.admin = self.admin_of(self.server)

    def admin_of(self, server):
        return harness.Stub(workers_pb2_grpc.WorkersStub(self.channel(server.address)))

    def attached(self):
        return [x for x in self.admin.ListWorkers(workers_pb2.ListWorkersRequest()).workers
                if not x.pool and x.state == workers_pb2.WORKER_STATE_READY]

    def hold(self, name="hold"):
        hold = Hold(self.folder, name)
        self.addCleanup(hold.close)
        return hold

    def serve(self, *arguments, slots=2, module=FUNCTIONS, wait=True):
        """A worker as a process of its own, once it is attached."""
        process = subprocess.Popen(
            [*DIE_WITH_PARENT, sys.executable, "-m", "futured.worker", str(module), "--address", self.server.address,
             "--slots", str(slots), "--name", "py", *(["--processes"] if self.processes else []), *arguments],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8", errors="replace",
            env={**os.environ, "PYTHONPATH": str(PACKAGE), "PYTHONDONTWRITEBYTECODE": "1"})
        process.log = Log(process.stderr)
        self.addCleanup(self.end, process)
        if wait:
            process.log.wait("attached to")
        return process

    def told(self, future):
        """(output, log) of a future that has ended, as the daemon keeps them."""
        output, log = bytearray(), bytearray()
        for event in self.futures.Watch(futures_pb2.WatchRequest(selector=selector(future.id))):
            for kind, to in (("output", output), ("log", log)):
                if event.HasField(kind):
                    chunk = getattr(event, kind)
                    self.assertEqual(chunk.offset, len(to))
                    to += chunk.data
        return bytes(output), bytes(log)

    def end(self, process):
        if process.poll() is None:
            process.kill()
        process.wait(DEADLINE)
        process.log.join()
        process.stderr.close()

    def assert_ends(self, process, status=0):
        self.assertEqual(process.wait(DEADLINE), status, process.log.text())
        process.log.join()
        self.assertNotIn("Traceback", process.log.text())


class Both(WorkerMixin):
    """What holds for threads and for processes."""

    def test_arguments_and_results(self):
        self.serve()
        executor = self.executor()
        for arguments, wanted in (((1, 2), 3), (([1, 2],), 3), (({"a": 1, "b": 5},), 6), ((4,), 4), (("text",), None)):
            future = executor.submit("add", *arguments)
            if wanted is None:
                self.assertEqual(future.exception(DEADLINE).type, "TypeError")
            else:
                self.assertEqual(future.result(DEADLINE), wanted)
        for argument, wanted in ((b"\1\2", ["bytes", "0102"]), ("x", ["str", "x"]), (None, ["NoneType", None]),
                                 ([[1]], ["list", [1]]), ({"value": {"a": 1}}, ["dict", {"a": 1}]),
                                 (futured.Encoded(b"<x/>", "text/xml"), ["bytes", b"<x/>".hex()])):
            self.assertEqual(executor.submit("kind", argument).result(DEADLINE), wanted)
        self.assertEqual(executor.submit("kind").result(DEADLINE), ["str", "nothing"])
        self.assertEqual(executor.submit("later", "x").result(DEADLINE), "x")
        self.assertEqual(executor.submit("size", b"").result(DEADLINE), 0)

    def test_large_payloads(self):
        self.serve()
        executor = self.executor()
        for n in (65535, 65537, 3 << 20):
            self.assertEqual(executor.submit("size", b"x" * n).result(DEADLINE), n)
            self.assertEqual(len(executor.submit("large", n).result(DEADLINE)), n)
        error = executor.submit("large", 70 << 20).exception(DEADLINE)
        self.assertEqual(error.reason, "RESULT_TOO_LARGE")

    def test_errors(self):
        self.serve()
        executor = self.executor()
        error = executor.submit("raises", "key").exception(DEADLINE)
        self.assertEqual((error.reason, error.type, error.message, error.retryable), ("FUNCTION_ERROR", "KeyError", "'key'", True))
        self.assertIn("raise KeyError(what)", error.traceback)
        self.assertNotIn("_registry.py", error.traceback)
        self.assertIn("raise KeyError(what)", str(error.__cause__))
        error = executor.submit("raises", "failure").exception(DEADLINE)
        self.assertEqual((error.type, error.function_reason, error.message, error.retryable), ("QUOTA", "OVER_QUOTA", "quota", False))
        self.assertEqual(executor.submit("raises", "exit").exception(DEADLINE).type, "SystemExit")
        self.assertEqual(executor.submit("raises", "unwritable").exception(DEADLINE).type, "TypeError")
        future = executor.submit("flaky")
        self.assertEqual((future.result(DEADLINE), [a.error and a.error.type for a in future.attempts]), (2, ["OSError", None]))

    def test_context(self):
        self.serve()
        future = self.executor().submit("about", labels={"a": "b"}, group="g")
        self.assertEqual(future.result(DEADLINE), {"id": future.id, "attempt": 1, "labels": {"a": "b"}, "group": "g", "cancelled": False})

    def test_progress_output_and_log(self):
        self.serve()
        executor = self.executor()
        future = executor.submit("about")
        future.result(DEADLINE)
        self.assertEqual(self.told(future), (b"out", b"a line\nby logging\n"))
        progress = future.record().progress
        self.assertEqual((progress.completed, progress.total, progress.message), (1, 2, "half"))

    def test_who_tells_too_much(self):
        """The daemon keeps a part, and the worker does not go on to send."""
        self.serve()
        executor = self.executor()
        future = executor.submit("floods", 30 << 20)
        self.assertEqual(future.result(DEADLINE), 30 << 20)
        output, log = self.told(future)
        self.assertEqual(set(output), set(b"x"))
        self.assertLessEqual(len(output), 256 << 10)
        self.assertIn(b"is cut here", log)
        self.assertEqual(executor.submit("add", 1).result(DEADLINE), 1)

    def test_upstream(self):
        self.serve()
        executor = self.executor()
        first = [executor.submit("add", 1, 2), executor.submit("raises", "key"), executor.submit("large", 100000)]
        future = executor.submit("total", options=futured.Options(depends_on=first, depend_policy="on_finish", pass_results=True))
        error = future.exception(DEADLINE)  # bytes are no JSON
        self.assertEqual(error.type, "TypeError")
        future = executor.submit("total", options=futured.Options(depends_on=first[:2], depend_policy="on_finish", pass_results=True))
        self.assertEqual(future.result(DEADLINE), [3, "KeyError"])

    def test_cancelled(self):
        self.serve()
        executor = self.executor()
        hold = self.hold()
        future = executor.submit("hold", hold.path)
        hold.started()
        self.until(future.id, lambda f: f.state == RUNNING)
        self.assertFalse(future.cancel("enough"))
        self.assertEqual(self.finished(future.id).error.reason, "CANCELLED")
        self.assertEqual(executor.submit("add", 1).result(DEADLINE), 1)

    def test_drained_by_a_signal(self):
        """What runs is finished, what waits goes elsewhere."""
        process = self.serve(slots=1)
        executor = self.executor()
        hold = self.hold()
        running = executor.submit("hold", hold.path)
        hold.started()
        waiting = executor.submit("add", 1)
        waiting.id
        process.send_signal(signal.SIGTERM)
        hold.go()
        self.assertEqual(running.result(DEADLINE), "held")
        self.assert_ends(process)
        self.assertEqual(len(running.attempts), 1)
        self.serve()
        self.assertEqual(waiting.result(DEADLINE), 1)

    def test_what_cannot_be_served(self):
        broken = self.folder / "broken.py"
        broken.write_text("from futured import worker\n@worker.init\ndef f():\n    raise ValueError('no model')\n"
                          "@worker.function\ndef g():\n    pass\n")
        process = self.serve(module=broken, wait=False)
        self.assertEqual(process.wait(DEADLINE), 1)
        process.log.wait("no model")
        broken.write_text("")
        process = self.serve(module=broken, wait=False)
        self.assertEqual(process.wait(DEADLINE), 1)
        process.log.wait("no function")


class Threads(Both, PythonCase):
    def test_state_is_loaded_once(self):
        process = self.serve(slots=3)
        executor = self.executor()
        for future in [executor.submit("state") for _ in range(20)]:
            self.assertEqual(future.result(DEADLINE)["loaded"], [process.pid])

    def test_one_at_a_time(self):
        """A function that says so never runs beside itself, however many slots there are."""
        self.serve(slots=4)
        futures = [self.executor().submit("alone", i) for i in range(200)]
        self.assertEqual([f.result(DEADLINE) for f in futures], [[i, sum(range(10000))] for i in range(200)])

    def test_the_function_is_described(self):
        self.serve()
        info = self.functions_of(self.server).GetFunction(functions_pb2.GetFunctionRequest(function="add"))
        self.assertEqual(info.spec.doc, "Adds.")

    def test_many(self):
        self.serve(slots=4)
        executor = self.executor()
        self.assertEqual(list(executor.map("add", range(500), range(500))), [2 * n for n in range(500)])

    def test_pickle_only_where_the_function_takes_it(self):
        self.serve()
        executor = self.executor()
        self.assertEqual(executor.submit("unpickled", futured.pickled({2, 1})).result(DEADLINE), [1, 2])
        error = executor.submit("kind", futured.pickled({2, 1})).exception(DEADLINE)
        self.assertEqual((error.type, error.retryable), ("TypeError", False))

    def test_drained_by_the_daemon(self):
        process = self.serve()
        [info] = self.attached()
        self.admin.DrainWorker(workers_pb2.DrainWorkerRequest(worker_id=info.id))
        self.assert_ends(process)

    def test_stays(self):
        process = self.serve("--stay")
        [info] = self.attached()
        self.admin.DrainWorker(workers_pb2.DrainWorkerRequest(worker_id=info.id))
        process.log.wait("attached to", 2)
        self.assertNotEqual(self.attached()[0].id, info.id)
        self.assertEqual(self.executor().submit("add", 1).result(DEADLINE), 1)

    def test_killed_by_the_daemon(self):
        process = self.serve()
        [info] = self.attached()
        self.admin.KillWorker(workers_pb2.KillWorkerRequest(worker_id=info.id))
        self.assertEqual(process.wait(DEADLINE), 1)
        process.log.wait("WORKER_KILLED")


class Processes(Both, PythonCase):
    processes = True

    def test_state_is_loaded_once_in_each(self):
        process = self.serve(slots=2)
        executor = self.executor()
        hold = self.hold()
        held = [executor.submit("hold", hold.path) for _ in range(2)]
        pids = hold.started(2)
        self.assertEqual(len(set(pids) - {process.pid}), 2)
        hold.go()
        self.assertEqual([f.result(DEADLINE) for f in held], ["held"] * 2)
        for future in [executor.submit("state") for _ in range(20)]:
            got = future.result(DEADLINE)
            self.assertEqual(got["loaded"], [got["here"]])
            self.assertIn(got["here"], pids)

    def test_crashes(self):
        self.serve(slots=1)
        executor = self.executor()
        future = executor.submit("crash", "signal")
        error = future.exception(DEADLINE)
        self.assertEqual((error.reason, error.message, future.attempts[0].signal), ("CRASHED", "killed by SIGSEGV", signal.SIGSEGV))
        future = executor.submit("crash", "exit")
        self.assertEqual((future.exception(DEADLINE).reason, future.attempts[0].exit_code), ("CRASHED", 7))
        self.assertEqual(executor.submit("add", 1).result(DEADLINE), 1)

    def test_killed_at_the_end_of_its_grace(self):
        self.serve(slots=1)
        executor = self.executor()
        hold = self.hold()
        future = executor.submit("hold", hold.path, False)
        hold.started()
        self.futures.Cancel(futures_pb2.CancelRequest(id=future.id, grace=seconds(0.5)))
        self.assertEqual(self.finished(future.id).state, CANCELLED)
        self.poll(lambda: not is_there(hold.pids[0]), "it is gone")
        self.assertEqual(executor.submit("add", 1).result(DEADLINE), 1)

    def test_no_process_is_left(self):
        process = self.serve(slots=2)
        hold = self.hold()
        future = self.executor().submit("hold", hold.path)
        pids = hold.started()
        process.kill()
        process.wait(DEADLINE)
        self.poll(lambda: not any(is_there(pid) for pid in pids), "its processes are gone")
        self.assertFalse(future.done())


def is_there(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Lost(WorkerMixin, PythonDurableCase):
    timeouts = {"drain": "200ms", "lease_ttl": "60s"}

    def test_another_daemon(self):
        """After a kill of the daemon the worker comes again; what it ran is cancelled there and runs again."""
        process = self.serve(slots=1)
        with self.executor() as executor:
            hold = self.hold()
            future = executor.submit("hold", hold.path)
            hold.started()
            self.until(future.id, lambda f: f.state == RUNNING)
            self.restart()
            self.admin = self.admin_of(self.server)
            hold.started(2)
            hold.go()
            self.assertEqual(future.result(DEADLINE), "held")
        self.assertIsNone(process.poll())

    def test_a_lost_connection(self):
        """The worker names what it holds and goes on: one attempt."""
        path = self.folder / "between"
        proxy = Proxy(path, self.server.address)
        self.addCleanup(proxy.close)
        address, self.server.addresses = self.server.addresses, [f"unix:{path}"]
        self.serve(slots=2)
        self.server.addresses = address
        executor = self.executor()
        hold = self.hold()
        future = executor.submit("hold", hold.path)
        hold.started()
        self.until(future.id, lambda f: f.state == RUNNING)
        self.poll(lambda: self.futures.Get(get(future.id)).progress.message == "holding", "it tells")
        proxy.cut()
        proxy.connected()
        hold.go()
        self.assertEqual(future.result(DEADLINE), "held")
        self.assertEqual(len(future.attempts), 1)
        self.assertEqual(hold.started(), hold.pids[:1])
        self.assertEqual(self.told(future), (b"", b"begins\nends\n"))


if __name__ == "__main__":
    main()
