#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The start and the stop: readiness, what a draining daemon still does and what it refuses, exit statuses. Run again under
TLS with FUTURED_TEST_TLS=1."""
import pathlib
import queue
import signal
import socket

import grpc

import harness
import rawh2
from harness import echo_pb2

from grpc.health.v1 import health_pb2, health_pb2_grpc

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Start(harness.ServerCase):
    listen = ("127.0.0.1:0", "unix:@s")

    def test_says_when_it_is_ready(self):
        said = "\n".join(self.server.notified)
        self.assertIn("READY=1", said)
        self.assertIn(self.server.address, said)
        for address in self.server.addresses:
            self.assert_serves(address)

    def test_port_file_goes_with_the_server(self):
        kind = "tls" if harness.IS_TLS else "tcp"
        ports, path = self.server.directory / "ports", self.server.unix_path
        self.assertEqual(ports.read_text(encoding="ascii"), f"{kind} {self.server.address}\nunix {path}\n")
        self.server.signal()
        self.assertEqual(self.server.wait(), 0)
        self.assertFalse(ports.exists())
        self.assertFalse(path.exists())

    def test_wrong_configuration(self):
        for config, words in (({"timeouts": {"preface": "soon"}}, ("preface", "soon")),
                              ({"timeouts": {"prefix": "1s"}}, ("prefix",)),
                              ({"no such": {"a": "b"}}, ("no such",))):
            with self.assertRaises(harness.NotReady) as caught:
                self.start(config=config)
            for word in (*words, "futured.conf:"):
                self.assertIn(word, str(caught.exception))

    def test_descriptors_are_close_on_exec(self):
        """Every descriptor that the daemon made is CLOEXEC from birth, with connections open as well."""
        echo = self.echo()
        echo.Unary(echo_pb2.EchoRequest())
        folder = pathlib.Path(f"/proc/{self.server.process.pid}/fdinfo")
        open_on_exec = []
        for fd in folder.iterdir():
            flags = int(fd.read_text(encoding="ascii").split("flags:")[1].split()[0], 8)
            if int(fd.name) > 2 and not flags & 0o2000000:
                open_on_exec.append(fd.name)
        self.assertEqual(open_on_exec, [])


class Drain(harness.ServerCase):
    listen = ("127.0.0.1:0", "unix:@s")

    def assert_drained(self):
        """It has ended by itself, because nothing was left, and not because its patience was."""
        self.assertEqual(self.server.wait(), 0)
        self.assertEqual(self.server.log.find("drain_timeout"), [])

    def open_bidi(self):
        """A bidi call that has been answered once; (the queue of its questions, the call)."""
        questions = queue.SimpleQueue()
        call = self.echo().Bidi(iter(questions.get, None))
        questions.put(echo_pb2.EchoRequest(payload=b"before"))
        self.assertEqual(next(call).payload, b"before")
        return questions, call

    def test_open_call_finishes_and_new_ones_are_refused(self):
        questions, call = self.open_bidi()
        late = rawh2.Connection(self.server.address)
        self.addCleanup(late.socket.close)
        late.hello()
        hanging = late.open(rawh2.BIDI)
        late.send(rawh2.frame(rawh2.DATA, 0, hanging, rawh2.message(b"now")))
        late.wait(lambda f: f[0] == rawh2.DATA and f[2] == hanging and f[3].endswith(b"now"))
        self.server.signal()
        self.server.log.wait("draining")
        # a new connection
        for address in self.server.addresses:
            with harness.open_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
                self.assert_fails(grpc.StatusCode.UNAVAILABLE, self.echo(channel).Unary, echo_pb2.EchoRequest())
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", self.server.port)).close()
        # a new call on an open connection: told that the server leaves; what crossed that on its way is served
        late.wait(lambda f: f[0] == rawh2.GOAWAY and f[3] == b"\x7f\xff\xff\xff\0\0\0\0")
        ping = late.wait(lambda f: f[0] == rawh2.PING and not f[1] & rawh2.ACK)
        crossing = late.open(rawh2.UNARY)
        late.send(rawh2.frame(rawh2.DATA, rawh2.END_STREAM, crossing, rawh2.message(b"crossing")))
        late.wait(lambda f: f[0] == rawh2.HEADERS and f[2] == crossing and f[1] & rawh2.END_STREAM)
        # who has read it and comes nevertheless is never begun
        late.send(rawh2.frame(rawh2.PING, rawh2.ACK, 0, ping[3]))
        late.wait(lambda f: f[0] == rawh2.GOAWAY and int.from_bytes(f[3][:4], "big") == crossing)
        self.assertEqual(late.goaway(), rawh2.NO_ERROR)
        late.open(rawh2.UNARY)
        # the open calls go on
        for i in range(100):
            questions.put(echo_pb2.EchoRequest(payload=b"%d" % i))
            self.assertEqual(next(call).payload, b"%d" % i)
        late.send(rawh2.frame(rawh2.DATA, 0, hanging, rawh2.message(b"still")))
        late.wait(lambda f: f[0] == rawh2.DATA and f[2] == hanging and f[3].endswith(b"still"))
        self.assertIsNone(self.server.process.poll())
        questions.put(None)
        self.assertEqual(list(call), [])
        self.assertEqual(call.code(), grpc.StatusCode.OK)
        late.send(rawh2.frame(rawh2.DATA, rawh2.END_STREAM, hanging))
        late.wait(lambda f: f[0] == rawh2.HEADERS and f[2] == hanging and f[1] & rawh2.END_STREAM)
        self.assert_drained()
        self.assertIn("STOPPING=1", self.server.take_notified())
        self.assertEqual([f for f in late.frames if f[2] > crossing and f[0] == rawh2.HEADERS], [])

    def test_delayed_answers_are_given(self):
        echo = self.echo()
        calls = [echo.Unary.future(echo_pb2.EchoRequest(payload=b"%d" % i, delay_ms=200)) for i in range(50)]
        self.wait_stats(self.echo(), lambda s: s.started == 50)
        self.server.signal()
        self.assertEqual([c.result().payload for c in calls], [b"%d" % i for i in range(50)])
        self.assert_drained()

    def test_idle_connections_hold_nothing_up(self):
        channels = [self.channel() for _ in range(10)]
        for channel in channels:
            self.echo(channel).Unary(echo_pb2.EchoRequest())
        raw = rawh2.Connection(self.server.address)  # has not said a word
        self.addCleanup(raw.socket.close)
        self.server.signal()
        self.assert_drained()

    def test_health_watch_is_told_and_ended(self):
        watch = health_pb2_grpc.HealthStub(self.channel()).Watch(health_pb2.HealthCheckRequest(),
                                                                 timeout=harness.DEADLINE)
        self.assertEqual(next(watch).status, SERVING)
        self.server.signal()
        self.assertEqual(next(watch).status, NOT_SERVING)
        self.assert_fails(grpc.StatusCode.UNAVAILABLE, lambda: watch)
        self.assert_drained()

    def test_SIGINT(self):
        questions, call = self.open_bidi()
        self.server.signal(signal.SIGINT)
        self.server.log.wait("draining")
        questions.put(None)
        self.assertEqual(list(call), [])
        self.assertEqual(self.server.wait(), 0)

    def test_drain_timeout(self):
        self.server = self.start(config={"timeouts": {"drain": "200ms"}})
        call = self.echo().Hang.future(echo_pb2.EchoRequest())
        self.wait_stats(self.echo(), lambda s: s.open == 1)
        self.server.signal()
        self.assertEqual(self.server.wait(), 0)
        self.assertEqual(len(self.server.log.find("drain_timeout")), 1)
        self.assertIn(call.code(), (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED))

    def test_second_signal_does_not_wait(self):
        for second in (signal.SIGTERM, signal.SIGINT):
            self.server = self.start()
            call = self.echo().Hang.future(echo_pb2.EchoRequest())
            self.wait_stats(self.echo(), lambda s: s.open == 1)
            self.server.signal()
            self.server.log.wait("draining")
            self.server.signal(second)
            self.assertEqual(self.server.wait(), 0)
            self.assertIn(call.code(), (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED))

    def test_signals_until_the_very_end(self):
        """None of them finds it without a handler: it always ends by itself."""
        for _ in range(30):
            server = self.start()
            while server.process.poll() is None:
                server.signal()
            self.assertEqual(server.wait(), 0)

    def test_client_that_never_reads(self):
        """It cannot hold the stop up beyond the time that a drain may take."""
        self.server = self.start(config={"timeouts": {"drain": "300ms"}})
        with rawh2.Connection(self.server.address, receive_buffer=4096) as raw:
            raw.hello([(rawh2.INITIAL_WINDOW_SIZE, 0x7FFFFFFF)])
            raw.send(rawh2.window_update(0, 0x7FFFFFFF - 65535))
            stream = raw.open(rawh2.SERVER_STREAM)
            body = b"\x08\x80\x94\xeb\xdc\x03\x10\xe8\x07"
            raw.send(rawh2.frame(rawh2.DATA, rawh2.END_STREAM, stream, b"\x00" + len(body).to_bytes(4, "big") + body))
            self.wait_stats(self.echo(), lambda s: s.open == 1 and s.max_pending_bytes > 0)
            self.server.signal()
            self.assertEqual(self.server.wait(), 0)

    def test_hangup_does_not_end_it(self):
        self.server.signal(signal.SIGHUP)
        self.server.log.wait("reload")
        self.assert_serves()


if __name__ == "__main__":
    harness.main()
