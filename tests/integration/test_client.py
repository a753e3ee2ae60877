#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""libfutured where things go wrong: connections that are cut, daemons that die and come again, and a server that is none.
The probe (client_probe.c) has the shared library in its hand; in a plain build it runs under valgrind, so that what is not
freed, or read from where nothing was written, fails."""
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading

import harness
import rawh2
from cli_support import CliCase, sha256
from proxy import Proxy
from server import BIN, DEADLINE, DIE_WITH_PARENT

PROBE = BIN.parent / "tests/client-probe"
VALGRIND = ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full"]


class Probe:
    def __init__(self, address, patience_ms=60_000, timeout_ms=0, quick=False):
        checked = [] if quick or os.environ.get("FUTURED_SANITIZE") or not shutil.which("valgrind") else VALGRIND
        self.process = subprocess.Popen([*DIE_WITH_PARENT, *checked, PROBE, address, str(patience_ms), str(timeout_ms)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def say(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()

    def hear(self):
        return self.process.stdout.readline().rstrip()

    def ask(self, *words):
        self.say(*words)
        return self.hear()

    def end(self):
        """The exit status and what it complained of."""
        self.process.stdin.close()
        said = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        return self.process.wait(DEADLINE), said


class ClientCase(CliCase):
    def probe(self, address=None, **options):
        probe = Probe(address or self.proxy.address, **options)
        self.addCleanup(lambda: self.assertEqual(probe.end(), (0, "")))
        return probe


class Cut(ClientCase):
    """The connection is lost, and the daemon is not."""

    def setUp(self):
        super().setUp()
        self.proxy = Proxy(self.directory / "proxy", self.server.address)
        self.addCleanup(self.proxy.close)

    def running(self, probe):
        id_ = probe.ask("submit", "gate", "x").split()[0]
        self.wait_running(id_)
        return id_

    def test_run(self):
        probe = self.probe()
        self.assertEqual(probe.ask("ping"), "OK")
        probe.say("run", "gate", "x")
        while not (found := self.text("list", "-f", "function = gate AND state = RUNNING", "--jsonl")):
            pass
        self.assertEqual(found.count("\n"), 1)
        self.proxy.cut()
        self.open_gate(b"once")
        self.assertRegex(probe.hear(), "^[0-9a-f-]{36} SUCCEEDED once$")
        self.assertEqual(self.text("count", "-f", "function = gate"), "1\n")

    def test_without_patience(self):
        probe = self.probe(patience_ms=0)
        probe.say("run", "gate", "x")
        while not self.text("list", "-f", "function = gate AND state = RUNNING", "--jsonl"):
            pass
        self.proxy.cut()
        self.assertEqual(probe.hear(), "UNAVAILABLE CONNECTION_LOST")
        self.assertEqual((probe.ask("ping"), probe.ask("why")), ("OK", ""))  # the next call connects again

    def test_completions(self):
        probe = self.probe()
        done = probe.ask("run", "echo", "a").split()[0]
        waits = self.running(probe)
        self.assertEqual(probe.ask("completed", done, waits), "OK")
        self.assertEqual(probe.ask("next"), f"{done} SUCCEEDED a")
        self.proxy.cut()
        more = self.submit("echo", "later")
        self.ctl("result", more)
        self.assertEqual(probe.ask("completed", more), "OK")
        self.assertEqual(probe.ask("next"), f"{more} SUCCEEDED later")
        self.open_gate(b"b")
        self.assertEqual(probe.ask("next"), f"{waits} SUCCEEDED b")
        self.assertEqual(probe.ask("next"), "end")

    def test_watch(self):
        probe = self.probe()
        done = probe.ask("run", "echo", "a").split()[0]
        waits = self.running(probe)
        self.assertEqual(probe.ask("watch", done, waits), "OK")
        self.assertEqual({probe.ask("event"), probe.ask("event")}, {f"snapshot {done} SUCCEEDED", f"snapshot {waits} RUNNING"})
        self.proxy.cut()
        self.open_gate(b"b")
        self.assertRegex(probe.ask("event"), f"^(snapshot|state) {waits} SUCCEEDED$")
        self.assertEqual(probe.ask("event"), "end")

    def test_watch_over_a_group(self):
        probe = self.probe()
        first = self.submit("echo", "a", "--group", "g")
        self.ctl("result", first)
        self.assertEqual(probe.ask("watch-group", "g"), "OK")
        self.assertEqual(probe.ask("event"), f"snapshot {first} SUCCEEDED")
        second = self.submit("echo", "b", "--group", "g")
        while not (said := probe.ask("event")).startswith(f"state {second} SUCCEEDED"):
            self.assertIn(second, said)
        self.proxy.cut()
        third = self.submit("echo", "c", "--group", "g")
        while not (said := probe.ask("event")).startswith(f"state {third} SUCCEEDED"):
            self.assertIn(third, said)

    def test_pipeline(self):
        probe = self.probe()
        for word in "abc":
            self.assertEqual(probe.ask("put", "echo", word), "OK")
        self.assertEqual(probe.ask("put", "gate", "x"), "OK")
        taken = [probe.ask("take") for _ in range(3)]
        self.assertEqual(sorted(line.split()[2] for line in taken), ["a", "b", "c"])
        while not self.text("list", "-f", "function = gate AND state = RUNNING", "--jsonl"):
            pass
        self.proxy.cut()
        self.assertEqual(probe.ask("put", "echo", "d"), "OK")
        self.open_gate(b"g")
        taken = [probe.ask("take") for _ in range(2)]
        self.assertEqual(sorted(line.split()[2] for line in taken), ["d", "g"])
        self.assertEqual(probe.ask("take"), "end")
        self.assertEqual(self.text("count", "-f", "function = echo"), "4\n")

    def test_submits(self):
        """Accepted, and the answers lost: the same futures, once each and in order."""
        probe = self.probe()
        self.assertEqual(probe.ask("put-submit", "echo", "a"), "OK")
        first = probe.ask("take-submit")
        self.assertRegex(first, "^[0-9a-f-]{36} [A-Z]+$")
        self.proxy.is_mute = True
        for word in "bcd":
            self.assertEqual(probe.ask("put-submit", "echo", word), "OK")
        while self.text("count", "-f", "function = echo") != "4\n":
            pass
        self.proxy.cut()
        self.proxy.is_mute = False
        taken = [probe.ask("take-submit") for _ in range(3)]
        for line, word in zip(taken, "bcd"):
            self.assertRegex(line, "^joined [0-9a-f-]{36} [A-Z]+$")
            self.assertEqual(self.ctl("result", line.split()[1]).decode(), word)
        self.assertEqual(probe.ask("take-submit"), "end")
        self.assertEqual(self.text("count", "-f", "function = echo"), "4\n")

    def test_submit_all(self):
        probe = self.probe()
        self.assertRegex(probe.ask("submit-all", "echo", "x", "1000"), "^[0-9a-f-]{36} [A-Z]+$")
        self.proxy.cut()
        self.assertRegex(probe.ask("submit-all", "echo", "x", "1000"), "^[0-9a-f-]{36} [A-Z]+$")
        self.assertEqual(self.text("count", "-f", "function = echo"), "2000\n")

    def test_async(self):
        probe = self.probe()
        self.assertEqual(probe.ask("async", "echo", "x", "100"), "100 of 100")
        self.proxy.cut()
        self.assertEqual(probe.ask("async", "echo", "x", "10"), "10 of 10")
        probe.say("async", "gate", "x", "1")
        while not self.text("list", "-f", "function = gate AND state = RUNNING", "--jsonl"):
            pass
        self.proxy.cut()
        self.open_gate(b"g")
        self.assertEqual(probe.hear(), "1 of 1")
        self.assertEqual(self.text("count", "-f", "function = gate"), "1\n")


class Calls(ClientCase):
    """What futurectl has no use for."""

    def test_workers(self):
        probe = self.probe(self.server.address)
        first, second = (worker["id"] for worker in self.json("workers"))
        self.assertEqual(probe.ask("drain-worker", first), f"{first} 3")
        self.assertEqual(probe.ask("kill-worker", second), "OK")
        while {first, second} & {worker["id"] for worker in self.json("workers")}:
            pass
        for words in "drain-worker", "kill-worker":
            self.assertEqual(probe.ask(words, first), "NOT_FOUND NO_SUCH_WORKER")

    def test_traceparent(self):
        probe = self.probe(self.server.address)
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        self.assertEqual(probe.ask("traceparent", trace, "echo", "x"), trace)

    def test_retry_with(self):
        probe = self.probe(self.server.address)
        failed = self.submit("exit7", "x")
        self.ctl("result", failed, status=1, err=None)
        self.assertEqual(probe.ask("retry-with", failed, "ValueError"), f"{failed} 0.5 ValueError")


class Restarted(ClientCase):
    """The daemon dies, and the next one has its store."""

    def _stop(self, server):
        if server.process.returncode != -signal.SIGKILL:
            super()._stop(server)

    def boot(self, state):
        return self.start(program="futured", listen=(f"unix:{self.directory}/same",), store="sqlite",
                          arguments=("--workers", "1", "--state-directory", str(state)),
                          config={"function.gate": {"command": f"cat {self.fifo}"}})

    def test_all(self):
        state = self.directory / "state"
        self.server = self.boot(state)
        probe = self.probe(self.server.address)
        done = probe.ask("run", "echo", "a").split()[0]
        waits = probe.ask("submit", "gate", "x").split()[0]
        self.wait_running(waits)
        self.assertEqual(probe.ask("completed", done, waits), "OK")
        self.assertEqual(probe.ask("watch", done, waits), "OK")
        self.assertEqual(probe.ask("put", "echo", "p"), "OK")
        self.assertEqual(probe.ask("next"), f"{done} SUCCEEDED a")
        self.assertEqual({probe.ask("event"), probe.ask("event")}, {f"snapshot {done} SUCCEEDED", f"snapshot {waits} RUNNING"})
        self.server.signal(signal.SIGKILL)
        self.server.wait()
        probe.say("get", done)
        self.server = self.boot(state)
        self.assertEqual(probe.hear(), f"{done} SUCCEEDED a")
        self.wait_running(waits)
        self.open_gate(b"b")
        self.assertEqual(probe.ask("next"), f"{waits} SUCCEEDED b")
        self.assertEqual(probe.ask("next"), "end")
        while (said := probe.ask("event")) != "end":
            self.assertIn(f" {waits} ", said)
        self.assertRegex(probe.ask("take"), "SUCCEEDED p$")

    def test_submits(self):
        """What a daemon has accepted before it was killed is known to the next one."""
        state = self.directory / "state"
        self.server = self.boot(state)
        proxy = Proxy(self.directory / "proxy", self.server.address)
        self.addCleanup(proxy.close)
        probe = self.probe(proxy.address)
        self.assertEqual(probe.ask("ping"), "OK")
        proxy.is_mute = True
        for word in "abc":
            self.assertEqual(probe.ask("put-submit", "echo", word), "OK")
        while self.text("count", "-f", "function = echo") != "3\n":
            pass
        self.server.signal(signal.SIGKILL)
        self.server.wait()
        proxy.is_mute = False
        probe.say("take-submit")
        self.server = self.boot(state)
        for word in "abc":
            said = probe.hear()
            self.assertRegex(said, "^joined ")
            self.assertEqual(self.ctl("result", said.split()[1]).decode(), word)
            probe.say("take-submit")
        self.assertEqual(probe.hear(), "end")
        self.assertEqual(self.text("count", "-f", "function = echo"), "3\n")

    def test_out_of_patience(self):
        probe = self.probe(f"unix:{self.directory}/nobody", patience_ms=150)
        for words in ["ping"], ["run", "echo", "x"], ["get", "x"]:
            self.assertEqual(probe.ask(*words), "UNAVAILABLE UNREACHABLE")
        self.assertEqual(probe.ask("async", "echo", "x", "3"), "0 of 3")


class Hostile(ClientCase):
    """Who answers is no daemon. Each call ends, with a code that says so, and nothing is left behind."""

    def serve(self, behave):
        """A server that does @behave(socket) with whoever comes."""
        listener = socket.create_server(("127.0.0.1", 0))

        def accept():
            while True:
                try:
                    near, _ = listener.accept()
                except OSError:
                    return
                with near:
                    near.settimeout(DEADLINE)
                    try:
                        behave(near)
                        while near.recv(65536):
                            pass
                    except OSError:
                        pass
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()

        def end():
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(DEADLINE)
            listener.close()
        self.addCleanup(end)
        return f"127.0.0.1:{listener.getsockname()[1]}"

    CALLS = (["ping"], ["run", "echo", "x"], ["completed", "01890000-0000-7000-8000-000000000000"], ["next"],
             ["watch", "01890000-0000-7000-8000-000000000000"], ["event"], ["put", "echo", "x"], ["take"],
             ["put-submit", "echo", "x"], ["take-submit"], ["submit-all", "echo", "x", "3"], ["async", "echo", "x", "3"])

    def all_calls(self, behave, wanted, patience_ms=0, timeout_ms=20_000):
        address = self.serve(behave)
        probe = self.probe(address, patience_ms=patience_ms, timeout_ms=timeout_ms)
        if wanted != self.LATE:  # who waits for work has no time to be late in
            self.assertRegex(probe.ask("work", address, "f", "0"), "^(UNAVAILABLE|INTERNAL)$")
        for words in self.CALLS:
            said = probe.ask(*words)
            if words[0] not in ("completed", "watch", "put", "put-submit"):
                self.assertRegex(said, f"^({wanted}|0 of 3)$", words)
        return probe

    LOST = "UNAVAILABLE CONNECTION_LOST"
    LATE = "DEADLINE_EXCEEDED"

    @staticmethod
    def greet(near, *frames):
        near.sendall(rawh2.settings() + b"".join(frames))

    def test_closes(self):
        self.all_calls(lambda near: near.shutdown(socket.SHUT_RDWR), self.LOST)

    def test_is_silent(self):
        self.all_calls(lambda near: None, self.LATE, timeout_ms=100)

    def test_greets_and_is_silent(self):
        self.all_calls(self.greet, self.LATE, timeout_ms=100)

    def test_garbage(self):
        self.all_calls(lambda near: near.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 100), self.LOST)

    def test_goaway(self):
        goaway = rawh2.frame(rawh2.GOAWAY, 0, 0, struct.pack(">II", 0, 0))
        self.all_calls(lambda near: self.greet(near, goaway), self.LOST + "|UNAVAILABLE")

    def test_resets(self):
        def behave(near):
            self.greet(near)
            for stream in range(1, 40, 2):
                near.recv(65536)
                near.sendall(rawh2.rst(stream, rawh2.INTERNAL_ERROR))
        self.all_calls(behave, "INTERNAL|" + self.LOST + "|" + self.LATE, timeout_ms=500)

    def test_resets_the_connection(self):
        def behave(near):
            near.recv(65536)
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close sends RST
            near.close()
        self.all_calls(behave, self.LOST)

    def test_goaway_in_the_middle(self):
        """The call is there, and the server says that it was not heard: it never will be."""
        def behave(near):
            near.recv(65536)
            self.greet(near, rawh2.frame(rawh2.GOAWAY, 0, 0, struct.pack(">II", 0, 0)))
            near.shutdown(socket.SHUT_RDWR)
        self.all_calls(behave, self.LOST + "|UNAVAILABLE")

    def test_half_a_frame(self):
        def behave(near):
            self.greet(near, rawh2.frame(rawh2.HEADERS, rawh2.END_HEADERS, 1, b"x" * 100)[:20])
            near.shutdown(socket.SHUT_RDWR)
        self.all_calls(behave, self.LOST)

    def test_half_a_message(self):
        def behave(near):
            near.recv(65536)
            head = rawh2.block([(":status", "200"), ("content-type", "application/grpc")])
            self.greet(near, rawh2.frame(rawh2.HEADERS, rawh2.END_HEADERS, 1, head),
                       rawh2.frame(rawh2.DATA, 0, 1, b"\0\0\0\x10\0half"))
            near.shutdown(socket.SHUT_RDWR)
        self.all_calls(behave, self.LOST)

    def test_message_of_garbage(self):
        def behave(near):
            head = rawh2.block([(":status", "200"), ("content-type", "application/grpc")])
            tail = rawh2.block([("grpc-status", "0")])
            near.recv(65536)
            self.greet(near)
            for stream in range(1, 40, 2):
                near.sendall(rawh2.frame(rawh2.HEADERS, rawh2.END_HEADERS, stream, head)
                             + rawh2.frame(rawh2.DATA, 0, stream, b"\0\0\0\0\x04\xff\xff\xff\xff")
                             + rawh2.frame(rawh2.HEADERS, rawh2.END_HEADERS | rawh2.END_STREAM, stream, tail))
                near.recv(65536)
        self.all_calls(behave, "INTERNAL|" + self.LOST + "|" + self.LATE, timeout_ms=500)

    def test_with_patience(self):
        """It is not asked for ever."""
        self.all_calls(lambda near: near.shutdown(socket.SHUT_RDWR), self.LOST + "|UNAVAILABLE UNREACHABLE|" + self.LATE, patience_ms=200)


class Work(ClientCase):
    """worker.h."""

    def test_default_options(self):
        """Tasks have them that do not say otherwise; output that is said is there."""
        probe = self.probe(self.server.address)
        probe.say("work", self.server.address, "sparing")
        while not self.text("workers", "sparing").count("\n") > 1:
            pass
        id_ = self.submit("sparing")
        self.ctl("result", id_)
        self.assertEqual(probe.hear(), "OK")
        options = self.json("get", id_)["effective_options"]
        self.assertEqual((options["priority"], options["attempt_timeout"], options["retry"]["max_attempts"]), (5, "60s", 1))
        self.assertEqual(self.text("logs", id_, "--stream", "output"), "said")


class Examples(CliCase):
    def start_example(self, name, *words, **more):
        process = subprocess.Popen([*DIE_WITH_PARENT, BIN.parent / "client/examples" / name, *words], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, env=self.environment(**more))
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_event_loop(self):
        process = self.start_example("event-loop", "one", "two", "three")
        out, err = process.communicate(timeout=DEADLINE)
        self.assertEqual((process.returncode, err), (0, ""))
        self.assertEqual(sorted(out.splitlines()), sorted(f"{sha256(x.encode())}  {x}" for x in ("one", "two", "three")))

    def test_event_loop_cut(self):
        """The loop goes over to the next connection; nothing runs twice."""
        proxy = Proxy(self.directory / "proxy", self.server.address)
        self.addCleanup(proxy.close)
        self.ctl("pause", "sha256")
        process = self.start_example("event-loop", "one", "two", "three", FUTURED_ADDRESS=proxy.address)
        while self.text("count", "-f", "function = sha256") != "3\n":
            pass
        proxy.cut()
        proxy.connected()
        self.ctl("resume", "sha256")
        out, err = process.communicate(timeout=DEADLINE)
        self.assertEqual((process.returncode, err), (0, ""))
        self.assertEqual(sorted(out.splitlines()), sorted(f"{sha256(x.encode())}  {x}" for x in ("one", "two", "three")))
        self.assertEqual(self.text("count", "-f", "function = sha256"), "3\n")

    def test_worker(self):
        process = self.start_example("worker-text")
        self.assertRegex(process.stderr.readline(), r"^worker-text: attached as w-\d+$")
        self.assertEqual(self.ctl("run", "reverse", "hello"), b"olleh")
        self.assertEqual(self.ctl("run", "count-lines", "a\nb\n"), b"2")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=DEADLINE)
        self.assertEqual((process.returncode, out, err), (0, "", "worker-text: ending: it was told to stop\n"))


if __name__ == "__main__":
    harness.main()
