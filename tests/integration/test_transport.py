#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What happens around calls: peers that speak something else, die, or do not read; limits; addresses in use. Run again under TLS with
FUTURED_TEST_TLS=1."""
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
import unittest

import certs
import harness
import rawh2
from harness import echo_pb2

MiB = 1 << 20


class Strangers(harness.ServerCase):
    """Peers that speak something else are cut off, and the log says who."""

    def assert_cut_off(self, sent, reason="bad_preface"):
        with rawh2.Connection(self.server.address) as raw:
            try:
                raw.send(sent)
            except (ConnectionResetError, BrokenPipeError):
                pass  # it was cut off before it had said all
            raw.wait_end()
            line, = self.server.log.wait(rf"connection_closed peer={raw.name} ")
        self.assertRegex(line, rf"reason={reason}\b")
        self.assert_serves()

    def test_garbage(self):
        self.assert_cut_off(b"\xde\xad\xbe\xef" * 1000)

    def test_one_wrong_byte(self):
        self.assert_cut_off(rawh2.MAGIC[:-1] + b"x" + rawh2.settings())

    def test_http_1(self):
        self.assert_cut_off(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")

    def test_upgrade_from_http_1(self):
        self.assert_cut_off(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                            b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n")

    def test_garbage_behind_the_preface(self):
        # The first 9 bytes are read as the head of a frame that is far too long.
        self.assert_cut_off(rawh2.MAGIC + b"\xff" * 64, "protocol_error|frame_size_error|bad_preface")

    @unittest.skipIf(harness.IS_TLS, "about a port without TLS")
    def test_tls_on_a_plain_port(self):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        said = ssl.MemoryBIO()
        with self.assertRaises(ssl.SSLWantReadError):
            context.wrap_bio(ssl.MemoryBIO(), said).do_handshake()
        self.assert_cut_off(said.read())  # a ClientHello
        with socket.create_connection(("127.0.0.1", self.server.port), harness.DEADLINE) as plain:
            with self.assertRaises((ssl.SSLError, ConnectionError)):
                context.wrap_socket(plain)

    def test_connect_and_go(self):
        for sent in (b"", b"P", rawh2.MAGIC, rawh2.MAGIC + rawh2.settings()):
            for _ in range(20):
                with rawh2.Connection(self.server.address) as raw:
                    raw.send(sent)
        self.assert_serves()


# What the killed client runs: all kinds of calls open, then a word, then it waits to be killed.
VICTIM = """
import queue, sys
sys.path.insert(0, sys.argv[1])
import harness
from harness import echo_pb2, echo_pb2_grpc
stub = echo_pb2_grpc.EchoStub(harness.open_channel(sys.argv[2], []))
calls = [stub.Hang.future(echo_pb2.EchoRequest()) for _ in range(10)]
question = queue.SimpleQueue()
question.put(echo_pb2.EchoRequest(payload=b"1"))
bidi = stub.Bidi(iter(question.get, None))
assert next(bidi).payload == b"1"
stream = stub.ServerStream(echo_pb2.ServerStreamRequest(count=10**9, reply_bytes=1000))
assert len(next(stream).payload) == 1000
print("ready", flush=True)
next(iter(queue.SimpleQueue().get, None))
"""


class Dying(harness.ServerCase):
    def test_client_killed_in_the_middle(self):
        echo = self.echo()
        command = [*harness.DIE_WITH_PARENT, sys.executable, "-c", VICTIM, harness.HERE, self.server.address]
        env = {**os.environ, **({"FUTURED_CERTS": str(certs.directory())} if harness.IS_TLS else {})}
        with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, encoding="ascii", env=env) as victim:
            self.addCleanup(victim.kill)
            self.assertEqual(victim.stdout.readline(), "ready\n")
            self.wait_stats(echo, lambda s: s.open == 12)
            n_fds = self.server.n_fds()
            victim.send_signal(signal.SIGKILL)
        after = self.wait_stats(echo, lambda s: s.open == 0)
        self.assertEqual((after.lost, after.cancelled), (12, 0))
        self.assertEqual(self.server.n_fds(), n_fds - 1)
        self.assert_serves()


class NotReading(harness.ServerCase):
    """A client that asks and does not read costs a bounded amount, hurts nobody, and is cut off in the end."""

    # What is let in on top of what the bounds of lib/h2 and the socket allow: the allocator's and the sanitizers'.
    slack = (200 if harness.IS_SANITIZED else 24) * MiB

    def raw(self, **options):
        """A connection with as much window as there can be, so that only the socket holds anything back."""
        raw = rawh2.Connection(self.server.address, receive_buffer=4096)
        self.addCleanup(raw.socket.close)
        raw.hello([(rawh2.INITIAL_WINDOW_SIZE, 0x7FFFFFFF)])
        raw.send(rawh2.window_update(0, 0x7FFFFFFF - 65535))
        return raw

    def assert_bounded(self, before, echo):
        for i in range(300):  # turns of the loop, in which others are served
            self.assertEqual(echo.Unary(echo_pb2.EchoRequest(payload=b"%d" % i)).payload, b"%d" % i)
        self.assertLess(self.server.rss_bytes() - before, self.slack)

    def test_streams(self):
        echo, raw = self.echo(), self.raw()
        echo.Unary(echo_pb2.EchoRequest(payload=b"1"))
        before = self.server.rss_bytes()
        body = b"\x08\x80\x94\xeb\xdc\x03\x10\xe8\x07"  # count = 10**9, reply_bytes = 1000
        streams = []
        for _ in range(40):
            stream = raw.open(rawh2.SERVER_STREAM)
            raw.send(rawh2.frame(rawh2.DATA, rawh2.END_STREAM, stream, b"\x00" + len(body).to_bytes(4, "big") + body))
            streams.append(stream)
        self.wait_stats(echo, lambda s: s.started >= 1 + 40 - 8 and s.max_pending_bytes > 0)
        self.assert_bounded(before, echo)

    def test_large_replies(self):
        """1,000 calls that are answered with 1 MiB each: the server makes about as many answers as are taken."""
        echo, raw = self.echo(), self.raw()
        echo.Unary(echo_pb2.EchoRequest(payload=b"1"))
        before = self.server.rss_bytes()
        body = b"\x18\x80\x80\x40"  # reply_bytes = 2**20
        for _ in range(1000):
            stream = raw.open(rawh2.UNARY)
            raw.send(rawh2.frame(rawh2.DATA, rawh2.END_STREAM, stream, b"\x00" + len(body).to_bytes(4, "big") + body))
        self.wait_stats(echo, lambda s: s.started >= 1000)
        self.assert_bounded(before, echo)

    def test_bidi(self):
        """It sends for ever on one stream: its window closes."""
        echo, raw = self.echo(), self.raw()
        echo.Unary(echo_pb2.EchoRequest(payload=b"1"))
        before = self.server.rss_bytes()
        stream = raw.open(rawh2.BIDI)
        piece = rawh2.frame(rawh2.DATA, 0, stream, rawh2.message(b"y" * 10000))
        raw.socket.setblocking(False)
        try:
            for _ in range(100000):
                raw.socket.send(piece)
        except (BlockingIOError, ssl.SSLWantWriteError):
            pass
        self.wait_stats(echo, lambda s: s.max_pending_bytes > 0)
        self.assert_bounded(before, echo)

    def test_cut_off(self):
        self.server = self.start(config={"timeouts": {"write": "300ms"}})
        echo, raw = self.echo(), self.raw()
        body = b"\x08\x80\x94\xeb\xdc\x03\x10\xe8\x07"
        stream = raw.open(rawh2.SERVER_STREAM)
        raw.send(rawh2.frame(rawh2.DATA, rawh2.END_STREAM, stream, b"\x00" + len(body).to_bytes(4, "big") + body))
        self.server.log.wait(rf"connection_closed peer={raw.name} reason=write_timeout")
        after = self.wait_stats(echo, lambda s: s.started == 1 and s.open == 0)
        self.assertEqual(after.lost, 1)
        self.assert_serves()

    def test_closed_window(self):
        """It reads the socket but gives a call no window: that call alone is given up."""
        self.server = self.start(config={"timeouts": {"write": "300ms"}})
        echo = self.echo()
        with rawh2.Connection(self.server.address) as raw:
            raw.hello([(rawh2.INITIAL_WINDOW_SIZE, 0)])
            stream = raw.open(rawh2.UNARY)
            raw.send(rawh2.frame(rawh2.DATA, rawh2.END_STREAM, stream, rawh2.message(b"1")))
            self.assertEqual(raw.wait_reset(stream), rawh2.ENHANCE_YOUR_CALM)
            self.wait_stats(echo, lambda s: s.started == 1 and s.open == 0)
            raw.send(rawh2.frame(rawh2.PING, 0, 0, b"12345678"))
            raw.wait(lambda f: f[0] == rawh2.PING and f[1] & rawh2.ACK)


class Limits(harness.ServerCase):
    def connect(self):
        """A connection that says nothing, not even of TLS."""
        return socket.create_connection(("127.0.0.1", self.server.port), harness.DEADLINE)

    def test_connections(self):
        self.server = self.start(config={"limits": {"connections": 5}})
        held = [rawh2.Connection(self.server.address) for _ in range(5)]
        for raw in held:
            raw.hello()
        with self.connect() as refused:
            self.assertEqual(refused.recv(1), b"")
            name = "%s:%d" % refused.getsockname()
            self.server.log.wait(rf"connection_refused peer={name} reason=too_many")
        held.pop().socket.close()
        echo = self.echo()  # it may take the client several attempts until the server has seen the end
        reply = echo.Unary(echo_pb2.EchoRequest(payload=b"in"), wait_for_ready=True)
        self.assertEqual(reply.payload, b"in")
        for raw in held:
            raw.socket.close()

    def test_streams(self):
        self.server = self.start(config={"limits": {"streams_per_connection": 10}})
        with rawh2.Connection(self.server.address) as raw:
            raw.send(rawh2.MAGIC, rawh2.settings())
            raw.wait(lambda f: f[0] == rawh2.SETTINGS and not f[1] & rawh2.ACK)
            self.assertIn(b"\x00\x03\x00\x00\x00\x0a", raw.frames[0][3], "MAX_CONCURRENT_STREAMS was announced")
            # Before it has acknowledged the limit a client may not know it: one call is refused.
            streams = [raw.open(rawh2.HANG) for _ in range(11)]
            self.assertEqual(raw.wait_reset(streams[10]), rawh2.REFUSED_STREAM)
            raw.send(rawh2.rst(streams[0]))
            again = raw.open(rawh2.UNARY)
            raw.send(rawh2.frame(rawh2.DATA, rawh2.END_STREAM, again, rawh2.message(b"1")))
            raw.wait(lambda f: f[0] == rawh2.HEADERS and f[2] == again and f[1] & rawh2.END_STREAM)
            # After that it is an error of the connection.
            raw.send(rawh2.frame(rawh2.SETTINGS, rawh2.ACK, 0))
            for _ in range(2):
                raw.open(rawh2.HANG)
            raw.wait_end()
            self.assertEqual(raw.goaway(), rawh2.PROTOCOL_ERROR)
            self.server.log.wait(rf"connection_closed peer={raw.name} reason=protocol_error")
        self.assert_serves()

    def test_streams_of_an_honest_client(self):
        """A stock client that wants more keeps to what was announced, and all are served."""
        self.server = self.start(config={"limits": {"streams_per_connection": 10}})
        echo = self.echo()
        futures = [echo.Unary.future(echo_pb2.EchoRequest(payload=b"%d" % i, delay_ms=20)) for i in range(100)]
        self.assertEqual([f.result().payload for f in futures], [b"%d" % i for i in range(100)])

    def test_descriptors_run_out(self):
        """More connections than descriptors: those that are open go on, and the others are served when it is better."""
        resource.prlimit(self.server.process.pid, resource.RLIMIT_NOFILE, (40, 40))
        echo = self.echo()
        echo.Unary(echo_pb2.EchoRequest(payload=b"1"))
        held = [self.connect() for _ in range(60)]
        self.server.log.wait("accept_paused")
        self.assertEqual(echo.Unary(echo_pb2.EchoRequest(payload=b"2")).payload, b"2")
        for raw in held:
            raw.close()
        self.assert_serves(wait_for_ready=True)  # until the server has seen the ends it may still turn it away


class InUse(harness.ServerCase):
    listen = ("127.0.0.1:0", "unix:@s")

    def assert_does_not_start(self, listen, *words):
        with self.assertRaises(harness.NotReady) as caught:
            self.start(listen=listen)
        said = str(caught.exception)
        self.assertIn("exit status 1", said)
        for word in words:
            self.assertIn(word, said)

    def test_port(self):
        address = self.server.address
        self.assert_does_not_start([address], address, "in use")
        self.assert_serves()

    def test_unix(self):
        self.assert_does_not_start([f"unix:{self.server.unix_path}"], str(self.server.unix_path), "in use")
        self.assert_serves(self.server.addresses[1])

    def test_socket_of_a_dead_server(self):
        path = self.server.unix_path
        self.server.kill()
        self.assertTrue(path.exists())
        heir = self.start(listen=[f"unix:{path}"])
        self.assert_serves(heir.address)
        self._servers.remove(self.server)
        self.server.process.returncode = 0  # that one was killed on purpose

    def test_file_that_is_no_socket(self):
        path = self.server.directory / "precious"
        path.write_text("keep", encoding="ascii")
        self.assert_does_not_start([f"unix:{path}"], str(path))
        self.assertEqual(path.read_text(encoding="ascii"), "keep")

    def test_mode(self):
        self.assertEqual(os.stat(self.server.unix_path).st_mode & 0o777, 0o660)


if __name__ == "__main__":
    harness.main()
