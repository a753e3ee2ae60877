#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""futurectl worker: functions by a command of its own process; what it prints, what the record says, how it ends."""
import json
import shutil
import signal

import harness
from cli_support import CliCase, plain
from proxy import Proxy
from server import DEADLINE

from futured.v1 import future_pb2, futures_pb2, futures_pb2_grpc


class WorkerCase(CliCase):
    def worker(self, *words):
        """One that serves, with what it says from then on."""
        process = self.start_ctl("worker", *words)
        self.assertRegex(process.stderr.readline(), r"^futurectl: serving as w-\d+\n$")
        return process

    def ends(self, process, status, said):
        out, err = process.communicate(timeout=DEADLINE)
        self.assertEqual((process.returncode, out, plain(err)), (status, "", said))

    def stop(self, process):
        process.send_signal(signal.SIGTERM)
        self.ends(process, 0, "futurectl: taking nothing more: it was told to stop\n")

    def attempt(self, id_):
        return self.json("get", id_)["attempts"][-1]


class Worker(WorkerCase):
    def test_argument_and_result(self):
        worker = self.worker("--function", "upper", "--function", "other", "--slots", "2", "--name", "loud", "-l", "a=b", "--", "tr", "a-z", "A-Z")
        self.assertEqual(self.ctl("run", "upper", "hello"), b"HELLO")
        self.assertEqual(self.ctl("run", "other", "-", stdin=bytes(3 << 20) + b"x"), bytes(3 << 20) + b"X")
        (shown,) = self.json("workers", "upper")
        self.assertEqual((shown["name"], shown["slots"], shown["functions"], shown["labels"]), ("loud", 2, ["upper", "other"], {"a": "b"}))
        self.stop(worker)

    def test_environment(self):
        worker = self.worker("--function", "env", "-c", "1", "--", "sh", "-c", 'echo "$FUTURED_ID $FUTURED_ATTEMPT $FUTURED_FUNCTION $FUTURED_GROUP $FUTURED_CONTENT_TYPE"')
        id_ = self.submit("env", "--group", "g", "--content-type", "text/x")
        self.assertEqual(self.text("result", id_), f"{id_} 1 env g text/x\n")
        self.ends(worker, 0, "futurectl: taking nothing more: it has begun as many tasks as it was to do\n")

    def test_environment_of_the_task(self):
        """Its labels and its trace, and none of those that the worker has."""
        show = 'echo "$FUTURED_LABEL_A_B|$FUTURED_LABEL_OTHER|$TRACEPARENT"'
        worker = self.start_ctl("worker", "--function", "env", "-c", "2", "--", "sh", "-c", show,
                                FUTURED_LABEL_OTHER="not mine", TRACEPARENT="not mine")
        self.assertRegex(worker.stderr.readline(), r"^futurectl: serving as w-\d+\n$")
        self.assertEqual(self.ctl("run", "env", "-l", "a-b=one two", "-l", "a.b=hidden"), b"one two||\n")
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        request = futures_pb2.RunRequest(submit=futures_pb2.SubmitRequest(task=future_pb2.Task(function="env")))
        stub = futures_pb2_grpc.FuturesStub(self.channel(self.server.address))
        run = stub.Run(request, metadata=[("traceparent", trace)], timeout=DEADLINE)
        self.assertEqual(run.result.data, f"||{trace}\n".encode())
        self.ends(worker, 0, "futurectl: taking nothing more: it has begun as many tasks as it was to do\n")

    def test_memory(self):
        """What the command has used is told, or the largest of its children."""
        worker = self.worker("--function", "large", "--", "sh", "-c", "head -c 100000000 /dev/zero | tail -c 90000000 | wc -c")
        id_ = self.submit("large")
        self.assertEqual(self.text("result", id_), "90000000\n")
        self.assertGreater(int(self.attempt(id_)["usage"]["max_rss_bytes"]), 90000000)
        self.stop(worker)

    def test_errors(self):
        worker = self.worker("--function", "bad", "--", "sh", "-c", 'read how; echo "about to $how" >&2; eval "$how"')
        self.ctl("run", "bad", "exit 3", status=1, err=(
            "futurectl: ID1 FAILED, FUNCTION_ERROR: exit code 3: about to exit 3; `futurectl get ID1` shows the record\n"))
        self.ctl("run", "bad", "kill -SEGV $$", status=1, err=(
            "futurectl: ID1 FAILED, FUNCTION_ERROR: killed by SIGSEGV; `futurectl get ID1` shows the record\n"))
        exit3, killed = [json.loads(line)["id"] for line in
                         self.text("list", "-f", "function = bad", "--oldest-first", "--jsonl").splitlines()]
        a = self.attempt(exit3)
        self.assertEqual((a["exit_code"], a["error"]["type"], a["error"]["traceback"]), (3, "EXIT_CODE", "about to exit 3\n"))
        a = self.attempt(killed)
        self.assertEqual((a["signal"], a["error"]["type"]), (signal.SIGSEGV, "SIGNAL"))
        self.stop(worker)

    def test_cancel(self):
        """Its whole group gets SIGTERM, and what does not go then is killed."""
        worker = self.worker("--function", "hang", "--", "sh", "-c", f"trap '' TERM; cat {self.fifo} & wait; wait")
        id_ = self.submit("hang")
        self.wait_running(id_)
        self.text("cancel", id_, "--grace", "200ms", "--reason", "enough")
        self.ctl("result", id_, status=3, err=None)
        self.assertEqual(self.attempt(id_)["signal"], signal.SIGKILL)
        self.stop(worker)

    def test_cancel_without_a_reason(self):
        """It is a cancel all the same: the command may say how it ends."""
        worker = self.worker("--function", "hang", "--", "sh", "-c", f"trap 'exit 7' TERM; cat {self.fifo}; exit 8")
        id_ = self.submit("hang")
        with open(self.fifo, "wb"):  # the command is that far
            self.text("cancel", id_, "--grace", "60s")
            self.ctl("result", id_, status=3, err=None)
        self.assertEqual(self.attempt(id_)["exit_code"], 7)
        self.stop(worker)

    def test_attempt_timeout(self):
        worker = self.worker("--function", "hang", "--", "sleep", "1000")
        id_ = self.submit("hang", "--attempt-timeout", "100ms")
        self.ctl("result", id_, status=1, err=None)
        self.assertEqual(self.json("get", id_)["error"]["reason"], "TIMEOUT")
        self.stop(worker)

    def test_stopped_while_it_runs(self):
        """Once: what runs is finished and told. Twice: it is given up, and another worker may run it."""
        worker = self.worker("--function", "slow", "--", "cat", str(self.fifo))
        id_ = self.submit("slow")
        self.wait_running(id_)
        worker.send_signal(signal.SIGINT)
        self.assertEqual(worker.stderr.readline(), "futurectl: taking nothing more: it was told to stop\n")
        waiting = self.submit("slow")
        self.open_gate(b"done")
        self.ends(worker, 0, "")
        self.assertEqual(self.ctl("result", id_), b"done")
        self.assertEqual(self.json("get", waiting)["state"], "STATE_PENDING")
        worker = self.worker("--function", "slow", "--", "cat", str(self.fifo))
        self.wait_running(waiting)
        worker.send_signal(signal.SIGINT)
        self.assertEqual(worker.stderr.readline(), "futurectl: taking nothing more: it was told to stop\n")
        worker.send_signal(signal.SIGINT)
        self.ends(worker, 0, "")
        given_up = self.json("get", waiting)
        self.assertEqual((given_up["state"], given_up["attempts"][0]["error"]["reason"]), ("STATE_PENDING", "WORKER_LOST"))

    def test_drained(self):
        worker = self.worker("--function", "drained", "--", "cat")
        self.assertEqual(self.ctl("run", "drained", "x"), b"x")
        self.drain("drained")
        self.ends(worker, 0, "futurectl: taking nothing more: enough\n")

    def drain(self, function):
        from futured.v1 import workers_pb2, workers_pb2_grpc
        stub = workers_pb2_grpc.WorkersStub(self.channel(self.server.address))
        (worker,) = stub.ListWorkers(workers_pb2.ListWorkersRequest(function=function)).workers
        stub.DrainWorker(workers_pb2.DrainWorkerRequest(worker_id=worker.id, reason="enough"), timeout=DEADLINE)

    def test_large_result(self):
        """More than a result may have: the command is killed, and the task says why."""
        worker = self.worker("--function", "flood", "--", "sh", "-c", "cat /dev/zero")
        id_ = self.submit("flood")
        self.ctl("result", id_, status=1, err=None)
        self.assertEqual(self.json("get", id_)["error"]["reason"], "RESULT_TOO_LARGE")
        self.stop(worker)

    def test_largest_result(self):
        """What the daemon takes in pieces, and one byte more: less than a message may have."""
        largest = (4 << 20) - (64 << 10)
        worker = self.worker("--function", "zeros", "--", "sh", "-c", 'read n; head -c "$n" /dev/zero')
        self.assertEqual(len(self.ctl("run", "zeros", f"{largest}\n")), largest)
        self.ctl("run", "zeros", f"{largest + 1}\n", status=1, err=(
            f"futurectl: ID1 FAILED, RESULT_TOO_LARGE: the result has {largest + 1} bytes; at most {largest} are allowed; "
            "`futurectl get ID1` shows the record\n"))
        self.assertEqual(self.ctl("run", "zeros", "1\n"), bytes(1))
        self.stop(worker)

    def test_flooded_log(self):
        """The daemon keeps a part, and the worker does not go on to send: what runs beside it is unharmed."""
        worker = self.worker("--function", "floods", "--function", "waits", "--slots", "2", "--", "sh", "-c", (
            f'[ "$FUTURED_FUNCTION" = floods ] && yes | head -c 40M >&2 || exec cat {self.fifo}'))
        waits = self.submit("waits")
        self.wait_running(waits)
        id_ = self.submit("floods")
        self.assertEqual(self.ctl("result", id_), b"")
        log = self.text("logs", id_)
        self.assertRegex(log, r"^(y\n){100000,}y?\n\[futured: the log of attempt 1 is cut here: .*\]\n$")
        self.open_gate(b"unharmed")
        self.assertEqual(self.ctl("result", waits), b"unharmed")
        self.assertEqual(len(self.json("get", waits)["attempts"]), 1)
        self.stop(worker)

    def test_usage(self):
        self.ctl("worker", "--", "cat", status=2, err="futurectl: worker needs --function: the name of what it serves\n")
        self.ctl("worker", "--function", "x", status=2, err=(
            "futurectl: worker needs -- COMMAND [ARGUMENT]...\nTry `futurectl worker --help`.\n"))
        self.ctl("worker", "--function", "x", "--", "no-such-program", status=2, err=(
            "futurectl: cannot run no-such-program: No such file or directory\n"))
        self.ctl("worker", "--function", "x y", "--", "cat", status=2, err=(
            "futurectl: hello.functions: a name of 1 to 255 characters of [A-Za-z0-9._-] is required\n"))
        self.ctl("worker", "--function", "x", "--slots", "2000", "--", "cat", status=2, err=(
            "futurectl: a worker has 1 to 1,024 slots\n"))

    def test_no_daemon(self):
        address = f"unix:{self.directory}/nothing"
        self.ctl("worker", "--function", "x", "--wait", "0s", "-a", address, "--", "cat", status=69, err=(
            f"futurectl: cannot connect to {address}: No such file or directory; there is no such socket; start futured, or say "
            "with FUTURED_ADDRESS where it listens\n"))



class Lost(WorkerCase):
    """The connection or the daemon goes, and comes again."""

    functions = {"timeouts": {"lease_ttl": "5min"}}

    def _stop(self, server):
        if server.process.returncode != -signal.SIGKILL:
            super()._stop(server)

    def test_connection(self):
        """What runs goes on under the lease that it has."""
        proxy = Proxy(self.directory / "proxy", self.server.address)
        self.addCleanup(proxy.close)
        worker = self.start_ctl("worker", "-a", proxy.address, "--function", "kept", "--", "cat", str(self.fifo))
        serving = worker.stderr.readline()
        id_ = self.submit("kept")
        self.wait_running(id_)
        proxy.cut()
        self.assertEqual(worker.stderr.readline(), (
            f"futurectl: waiting for the daemon: lost the connection to {proxy.address}: the other side closed it; the daemon may "
            "have been stopped; try again\n"))
        self.assertEqual(worker.stderr.readline(), serving)
        self.open_gate(b"all the same")
        self.assertEqual(self.ctl("result", id_), b"all the same")
        self.assertEqual(len(self.json("get", id_)["attempts"]), 1)
        self.stop(worker)

    def test_log(self):
        """What was on its way is said again, without waiting for more."""
        proxy = Proxy(self.directory / "proxy", self.server.address)
        self.addCleanup(proxy.close)
        worker = self.worker("-a", proxy.address, "--function", "tells", "--", "sh", "-c", (
            f"echo early >&2; cat {self.fifo}; echo lost >&2; cat {self.fifo}; echo late >&2"))
        id_ = self.submit("tells")
        self.until_log(id_, "early\n")
        proxy.deafen()
        self.open_gate(b"a")
        proxy.lose(b"lost\n")
        proxy.cut()
        self.until_log(id_, "early\nlost\n")
        self.open_gate(b"b")
        self.assertEqual(self.ctl("result", id_), b"ab")
        self.assertEqual(self.text("logs", id_), "early\nlost\nlate\n")
        self.assertEqual(len(self.json("get", id_)["attempts"]), 1)
        self.goes_on(worker)

    def test_all_of_an_attempt(self):
        """Its start, its log and its end: all of it is said again."""
        proxy = Proxy(self.directory / "proxy", self.server.address)
        self.addCleanup(proxy.close)
        worker = self.worker("-a", proxy.address, "--function", "tells", "--slots", "2", "--", "sh", "-c", "echo lost >&2; cat")
        self.assertEqual(self.ctl("run", "tells", "x"), b"x")  # its credit was heard: that for one more
        proxy.deafen()
        id_ = self.submit("tells", "the end")
        proxy.lose(b"lost\n", b"the end")
        proxy.cut()
        self.assertEqual(self.ctl("result", id_), b"the end")
        self.assertEqual(self.text("logs", id_), "lost\n")
        self.assertEqual(len(self.json("get", id_)["attempts"]), 1)
        self.goes_on(worker)

    def until_log(self, id_, text):
        while (said := self.text("logs", id_)) != text:
            self.assertTrue(text.startswith(said))

    def goes_on(self, worker):
        """After one cut."""
        self.assertRegex(worker.stderr.readline(), "^futurectl: waiting for the daemon: ")
        self.assertRegex(worker.stderr.readline(), r"^futurectl: serving as w-\d+\n$")
        self.stop(worker)

    def test_daemon(self):
        """Killed or ended, the next one has the worker, and may run what the last one has run."""
        where = f"unix:{self.directory}/same"
        options = {"program": "futured", "listen": (where,), "arguments": ("--workers", "1"), "store": "sqlite",
                   "config": {"timeouts": {"drain": "200ms"}}}
        self.server = self.start(**options)
        worker = self.worker("--function", "later", "--", "cat", str(self.fifo))
        id_ = self.submit("later")
        self.wait_running(id_)
        state = self.server.directory / "state"
        for signo in signal.SIGKILL, signal.SIGTERM:
            self.server.signal(signo)
            self.server.wait()
            next_one = self.directory / signo.name
            shutil.move(state, next_one)
            self.server = self.start(**{**options, "arguments": ("--workers", "1", "--state-directory", str(next_one))})
            state = next_one
            while not (said := worker.stderr.readline()).startswith("futurectl: serving as"):
                self.assertRegex(said, "^futurectl: (waiting for the daemon|taking nothing more: the daemon ends)")
            self.wait_running(id_)
        self.open_gate(b"at last")
        self.assertEqual(self.ctl("result", id_), b"at last")
        self.stop(worker)


if __name__ == "__main__":
    harness.main()
