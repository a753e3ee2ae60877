#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Peers that attack by the means of HTTP/2 itself. Each must be cut off, be named in the log with what it did, and leave
the server to others, who are served while it goes on and after."""
import struct

import harness
import rawh2
from harness import echo_pb2

MiB = 1 << 20
# An attack may cost this much memory while it goes on.
MEMORY = (200 if harness.IS_SANITIZED else 16) * MiB


class AbuseCase(harness.ServerCase):
    """A server of its own for each attack, with a stock client that is connected before it begins."""

    def setUp(self):
        super().setUp()
        self.bystander = self.echo()
        self.bystander.Unary(echo_pb2.EchoRequest())
        self.rss_before = self.server.rss_bytes()

    def attack(self, make, reason, error=rawh2.ENHANCE_YOUR_CALM, begin=None, pairs=()):
        """Send what @make(connection) gives until the server ends it. @begin(connection) comes first, once."""
        with rawh2.Connection(self.server.address) as raw:
            raw.hello(pairs)
            if begin:
                begin(raw)
            raw.flood(lambda: make(raw))
            self.assert_ended(raw, reason, error)

    def assert_ended(self, raw, reason, error=rawh2.ENHANCE_YOUR_CALM):
        line, = self.server.log.wait(rf"connection_closed peer={raw.name} ")
        self.assertRegex(line, rf"reason={reason}\b")
        if error is not None:
            self.assertIn(raw.goaway(), error if isinstance(error, tuple) else (error,))
        self.assertEqual(self.bystander.Unary(echo_pb2.EchoRequest(payload=b"beside")).payload, b"beside")
        self.assertLess(self.server.rss_bytes() - self.rss_before, MEMORY)
        self.assertEqual(len(self.server.log.find("connection_closed")), 1, "nobody else was cut off")
        self.assert_serves()
        self.wait_stats(self.bystander, lambda s: s.open == 0)


class Resets(AbuseCase):
    def test_rapid_reset(self):
        def make(raw):
            streams = [raw.new_stream() for _ in range(200)]
            head = rawh2.request(rawh2.UNARY)
            return b"".join(rawh2.frame(rawh2.HEADERS, rawh2.END_HEADERS, s, head) + rawh2.rst(s) for s in streams)

        self.attack(make, "reset_flood")

    def provoke(self, misdeed, reason="provoked_reset_flood", error=rawh2.ENHANCE_YOUR_CALM):
        """Open calls and do what makes the server reset them: the work is its own, and so is the RST_STREAM."""
        def make(raw):
            streams = [raw.new_stream() for _ in range(50)]
            head = rawh2.request(rawh2.BIDI)
            return b"".join(rawh2.frame(rawh2.HEADERS, rawh2.END_HEADERS, s, head) + misdeed(s) for s in streams)

        self.attack(make, reason, error)

    def test_provoked_by_an_empty_window_update(self):
        self.provoke(lambda s: rawh2.window_update(s, 0), "(provoked_reset_flood|protocol_error)", rawh2.PROTOCOL_ERROR)

    def test_provoked_by_a_window_that_overflows(self):
        self.provoke(lambda s: rawh2.window_update(s, 0x7FFFFFFF))

    def test_provoked_by_data_behind_the_end(self):
        self.provoke(lambda s: rawh2.frame(rawh2.DATA, rawh2.END_STREAM, s) + rawh2.frame(rawh2.DATA, 0, s, b"x"),
                     "protocol_error", rawh2.STREAM_CLOSED)

    def test_provoked_by_a_short_priority(self):
        self.provoke(lambda s: rawh2.frame(rawh2.PRIORITY, 0, s, b"x"), "(provoked_reset_flood|frame_size_error)", 6)

    def test_provoked_by_wrong_headers(self):
        def make(raw):
            streams = [raw.new_stream() for _ in range(100)]
            head = rawh2.block([(":method", "POST"), (":path", "/"), ("Upper-Case", "x")])
            return b"".join(rawh2.frame(rawh2.HEADERS, rawh2.END_HEADERS, s, head) for s in streams)

        self.attack(make, "provoked_reset_flood")

    def test_provoked_by_a_wrong_content_length(self):
        def make(raw):
            streams = [raw.new_stream() for _ in range(100)]
            head = rawh2.request(rawh2.UNARY, ("content-length", "5"))
            return b"".join(rawh2.frame(rawh2.HEADERS, rawh2.END_HEADERS, s, head) +
                            rawh2.frame(rawh2.DATA, rawh2.END_STREAM, s, b"123456") for s in streams)

        # Where 2,000 of them come in one read they are more streams at once than it may have.
        self.attack(make, "(provoked_reset_flood|protocol_error)", (rawh2.ENHANCE_YOUR_CALM, rawh2.PROTOCOL_ERROR))


class Floods(AbuseCase):
    def open_bidi(self, raw):
        raw.stream = raw.open(rawh2.BIDI)

    def test_empty_data(self):
        self.attack(lambda raw: rawh2.frame(rawh2.DATA, 0, raw.stream) * 500, "empty_data_flood", begin=self.open_bidi)

    def test_padding_only(self):
        self.attack(lambda raw: rawh2.frame(rawh2.DATA, rawh2.PADDED, raw.stream, b"\xff" + bytes(255)) * 50,
                    "empty_data_flood", begin=self.open_bidi)

    def test_priority(self):
        piece = rawh2.frame(rawh2.PRIORITY, 0, 1, struct.pack(">IB", 0, 16))
        self.attack(lambda raw: piece * 500, "priority_flood")

    def test_unknown_frames(self):
        self.attack(lambda raw: rawh2.frame(0x77, 0, 0, b"whatever") * 500, "priority_flood")

    def test_window_update_of_the_connection(self):
        self.attack(lambda raw: rawh2.window_update(0, 1) * 500, "window_update_flood")

    def test_window_update_of_a_stream(self):
        self.attack(lambda raw: rawh2.window_update(raw.stream, 1) * 500, "window_update_flood", begin=self.open_bidi)

    def test_ping(self):
        self.attack(lambda raw: rawh2.frame(rawh2.PING, 0, 0, b"12345678") * 100, "ping_flood")

    def test_ping_without_reading_the_answers(self):
        with rawh2.Connection(self.server.address, receive_buffer=4096) as raw:
            raw.hello()
            try:
                for _ in range(1000):
                    raw.send(rawh2.frame(rawh2.PING, 0, 0, b"12345678") * 100)
            except (ConnectionResetError, BrokenPipeError):
                pass
            raw.socket.close()
            self.assert_ended(raw, "ping_flood", error=None)

    def test_ping_answers_to_nothing(self):
        self.attack(lambda raw: rawh2.frame(rawh2.PING, rawh2.ACK, 0, b"12345678") * 100, "ping_flood")

    def test_settings(self):
        self.attack(lambda raw: rawh2.settings([(rawh2.INITIAL_WINDOW_SIZE, 70000)]) * 100, "settings_flood")

    def test_empty_settings(self):
        self.attack(lambda raw: rawh2.settings() * 100, "settings_flood")

    def test_goaway(self):
        self.attack(lambda raw: rawh2.frame(rawh2.GOAWAY, 0, 0, bytes(8)) * 100,
                    "(settings_flood|peer_goaway|protocol_error)")


class Headers(AbuseCase):
    def test_continuation_flood(self):
        def begin(raw):
            raw.stream = raw.new_stream()
            raw.send(rawh2.frame(rawh2.HEADERS, 0, raw.stream, rawh2.request(rawh2.UNARY)))

        self.attack(lambda raw: rawh2.frame(rawh2.CONTINUATION, 0, raw.stream, rawh2.literal("x-a", "b")) * 4,
                    "continuation_flood", begin=begin)

    def test_empty_continuation_flood(self):
        def begin(raw):
            raw.stream = raw.new_stream()
            raw.send(rawh2.frame(rawh2.HEADERS, 0, raw.stream, rawh2.request(rawh2.UNARY)))

        self.attack(lambda raw: rawh2.frame(rawh2.CONTINUATION, 0, raw.stream) * 4, "continuation_flood", begin=begin)

    def test_large_continuations(self):
        """As many bytes as a few full frames carry: never gathered."""
        def begin(raw):
            raw.stream = raw.new_stream()
            raw.send(rawh2.frame(rawh2.HEADERS, 0, raw.stream, rawh2.request(rawh2.UNARY)))

        fields = rawh2.literal("x-large", "v" * 8000) * 2
        self.attack(lambda raw: rawh2.frame(rawh2.CONTINUATION, 0, raw.stream, fields), "continuation_flood",
                    begin=begin)

    def too_large(self, head, error):
        """A block beyond [limits] header_list is refused, on its stream alone."""
        raw = rawh2.Connection(self.server.address)
        self.addCleanup(raw.socket.close)
        raw.hello()
        stream = raw.new_stream()
        raw.send(self.in_frames(stream, head))
        self.assertEqual(raw.wait_reset(stream), error)
        again = raw.open(rawh2.UNARY)
        raw.send(rawh2.frame(rawh2.DATA, rawh2.END_STREAM, again, rawh2.message(b"1")))
        raw.wait(lambda f: f[0] == rawh2.HEADERS and f[2] == again and f[1] & rawh2.END_STREAM)
        return raw

    @staticmethod
    def in_frames(stream, head):
        pieces = [head[i:i + 16000] for i in range(0, len(head), 16000)]
        out = rawh2.frame(rawh2.HEADERS, rawh2.END_HEADERS if len(pieces) == 1 else 0, stream, pieces[0])
        for i, piece in enumerate(pieces[1:], 2):
            out += rawh2.frame(rawh2.CONTINUATION, rawh2.END_HEADERS if i == len(pieces) else 0, stream, piece)
        return out

    def test_header_list_too_large(self):
        """Answered 431, which costs about as much as it costs the sender: no attack, as long as nothing is kept."""
        head = rawh2.request(rawh2.UNARY, *((f"x-{i}", "v" * 2000) for i in range(12)))
        raw = self.too_large(head, rawh2.NO_ERROR)
        for _ in range(300):
            stream = raw.new_stream()
            raw.send(self.in_frames(stream, head))
            self.assertEqual(raw.wait_reset(stream), rawh2.NO_ERROR)
        self.assertLess(self.server.rss_bytes() - self.rss_before, MEMORY)
        self.assert_serves()

    def test_too_many_headers(self):
        head = rawh2.request(rawh2.UNARY, *((f"x-{i}", "") for i in range(1000)))
        raw = self.too_large(head, rawh2.INTERNAL_ERROR)
        raw.flood(lambda: b"".join(self.in_frames(raw.new_stream(), head) for _ in range(20)))
        self.assert_ended(raw, "provoked_reset_flood")

    def test_hpack_bomb(self):
        """A field of 4,000 bytes goes into the dynamic table once and is named by one byte a thousand times."""
        insert = b"\x40" + rawh2.integer(6, 7) + b"x-bomb" + rawh2.integer(4000, 7) + b"v" * 4000
        head = rawh2.request(rawh2.UNARY) + insert + b"\xbe" * 1000
        raw = self.too_large(head, rawh2.INTERNAL_ERROR)
        raw.flood(lambda: b"".join(self.in_frames(raw.new_stream(), head) for _ in range(20)))
        self.assert_ended(raw, "provoked_reset_flood")

    def test_broken_hpack(self):
        for head in (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",  # an index beyond all
                     b"\x80",                                     # index 0
                     b"\x3f\xe1\xff\xff\x07",                     # a table larger than allowed
                     b"\x00\x85\xff\xff\xff\xff\xff"):            # Huffman padding that is none
            self.server = self.start()
            self.bystander = self.echo()
            with rawh2.Connection(self.server.address) as raw:
                raw.hello()
                raw.send(rawh2.frame(rawh2.HEADERS, rawh2.END_HEADERS, raw.new_stream(), head))
                raw.wait_end()
                self.assertEqual(raw.goaway(), 0x9)
                self.assert_ended(raw, "compression_error", 0x9)

    def test_other_frame_inside_a_block(self):
        with rawh2.Connection(self.server.address) as raw:
            raw.hello()
            raw.send(rawh2.frame(rawh2.HEADERS, 0, raw.new_stream(), rawh2.request(rawh2.UNARY)),
                     rawh2.frame(rawh2.PING, 0, 0, b"12345678"))
            raw.wait_end()
            self.assertEqual(raw.goaway(), rawh2.PROTOCOL_ERROR)
            self.assert_ended(raw, "protocol_error", rawh2.PROTOCOL_ERROR)


class Slow(AbuseCase):
    """Peers that hold a connection by doing almost nothing. The spans are made short by the configuration."""

    config = {"timeouts": {"preface": "200ms", "headers": "200ms", "body": "200ms", "idle": "1s", "keepalive": "0"},
              "futured": {"log_level": "debug"}}

    def assert_cut_off(self, raw, reason, error=None):
        raw.wait_end()
        self.server.log.wait(rf"connection_closed peer={raw.name} reason={reason}\b")
        if error is not None:
            self.assertEqual(raw.goaway(), error)
        self.assert_serves()

    def test_no_preface(self):
        with rawh2.Connection(self.server.address) as raw:
            self.assert_cut_off(raw, "preface_timeout")

    def test_half_a_preface(self):
        with rawh2.Connection(self.server.address) as raw:
            raw.send(rawh2.MAGIC[:10])
            self.assert_cut_off(raw, "preface_timeout")

    def test_preface_without_settings(self):
        with rawh2.Connection(self.server.address) as raw:
            raw.send(rawh2.MAGIC)
            self.assert_cut_off(raw, "preface_timeout")

    def test_headers_without_end(self):
        with rawh2.Connection(self.server.address) as raw:
            raw.hello()
            raw.send(rawh2.frame(rawh2.HEADERS, 0, raw.new_stream(), rawh2.request(rawh2.UNARY)))
            self.assert_cut_off(raw, "headers_timeout", rawh2.ENHANCE_YOUR_CALM)

    def test_half_a_header_frame(self):
        with rawh2.Connection(self.server.address) as raw:
            raw.hello()
            whole = rawh2.frame(rawh2.HEADERS, rawh2.END_HEADERS, raw.new_stream(), rawh2.request(rawh2.UNARY))
            raw.send(whole[:len(whole) // 2])
            self.assert_cut_off(raw, "headers_timeout", rawh2.ENHANCE_YOUR_CALM)

    def slow_body(self, *sent):
        """The call is given up; the connection, which is guilty of nothing else, ends as any idle one."""
        with rawh2.Connection(self.server.address) as raw:
            raw.hello()
            stream = raw.open(rawh2.UNARY)
            for piece in sent:
                raw.send(rawh2.frame(rawh2.DATA, 0, stream, piece))
            raw.wait(lambda f: f[0] == rawh2.RST_STREAM and f[2] == stream)
            self.wait_stats(self.bystander, lambda s: s.open == 0)
            self.assert_cut_off(raw, "idle_timeout", rawh2.NO_ERROR)

    def test_no_body(self):
        self.slow_body()

    def test_half_a_body(self):
        self.slow_body(rawh2.message(b"0123456789")[:9])

    def test_body_without_end(self):
        self.slow_body(rawh2.message(b"0123456789"))

    def test_idle(self):
        with rawh2.Connection(self.server.address) as raw:
            raw.hello()
            self.assert_cut_off(raw, "idle_timeout", rawh2.NO_ERROR)

    def test_an_open_call_is_not_idle(self):
        """A bidi call may be silent for as long as it likes; the connection beside it, which has none, ends."""
        with rawh2.Connection(self.server.address) as raw, rawh2.Connection(self.server.address) as idle:
            raw.hello()
            stream = raw.open(rawh2.BIDI)
            idle.hello()
            self.assert_cut_off(idle, "idle_timeout", rawh2.NO_ERROR)
            raw.send(rawh2.frame(rawh2.DATA, rawh2.END_STREAM, stream, rawh2.message(b"still there")))
            answer = raw.wait(lambda f: f[0] == rawh2.DATA and f[2] == stream)
            self.assertIn(b"still there", answer[3])

    def test_no_sign_of_life(self):
        """A call is open, but the peer does not answer a PING: its machine may be gone."""
        self.server = self.start(config={"timeouts": {"keepalive": "1s", "keepalive_timeout": "200ms"}})
        self.bystander = self.echo()
        with rawh2.Connection(self.server.address) as raw:
            raw.hello()
            raw.open(rawh2.BIDI)
            self.assert_cut_off(raw, "keepalive_timeout")
        after = self.wait_stats(self.bystander, lambda s: s.open == 0)
        self.assertEqual(after.lost, 1)


if __name__ == "__main__":
    harness.main()
