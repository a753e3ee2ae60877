# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 by hand, for what no honest client sends: frames written byte by byte to a socket.

Headers are encoded as literals without indexing; nothing that comes back is decoded beyond its frame head, since what
these tests look at is the frame's type and error code.
"""
import select
import socket
import ssl
import struct
import time

import certs
import harness

MAGIC = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED = 0x1, 0x1, 0x4, 0x8
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, STREAM_CLOSED, REFUSED_STREAM, CANCEL = 0x0, 0x1, 0x2, 0x5, 0x7, 0x8
ENHANCE_YOUR_CALM = 0xB
INITIAL_WINDOW_SIZE = 4
UNARY, BIDI = "/futured.test.v1.Echo/Unary", "/futured.test.v1.Echo/Bidi"
HANG, SERVER_STREAM = "/futured.test.v1.Echo/Hang", "/futured.test.v1.Echo/ServerStream"


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def integer(value, prefix_bits, first=0):
    limit = (1 << prefix_bits) - 1
    if value < limit:
        return bytes([first | value])
    out = [first | limit]
    value -= limit
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes(out + [value])


def literal(name, value):
    """One field, without indexing and without Huffman."""
    name, value = (x.encode() if isinstance(x, str) else x for x in (name, value))
    return b"\x00" + integer(len(name), 7) + name + integer(len(value), 7) + value


def block(fields):
    return b"".join(literal(name, value) for name, value in fields)


def request(path, *extra):
    """The header block of a gRPC request."""
    return block([(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "test"),
                  ("content-type", "application/grpc"), ("te", "trailers"), *extra])


def settings(pairs=()):
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", key, value) for key, value in pairs))


def rst(stream, error=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", error))


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def message(payload):
    """A gRPC message that is an EchoRequest with this payload."""
    body = b"\x0a" + varint(len(payload)) + payload
    return b"\x00" + struct.pack(">I", len(body)) + body


def varint(value):
    out = b""
    while value >= 128:
        out += bytes([value % 128 + 128])
        value //= 128
    return out + bytes([value])


def tls_context(who="alice", ca="ca"):
    context = ssl.create_default_context(cafile=certs.path(f"{ca}.crt"))
    context.set_alpn_protocols(["h2"])
    if who:
        context.load_cert_chain(certs.path(f"{who}.crt"), certs.path(f"{who}.key"))
    return context


class Connection:
    """A client's end. Whatever is not read stays unread."""

    def __init__(self, address, receive_buffer=None, who="alice"):
        if address.startswith("unix:"):
            self.socket = socket.socket(socket.AF_UNIX)
            target = address[5:]
        else:
            host, _, port = address.rpartition(":")
            target = (host.strip("[]"), int(port))
            self.socket = socket.socket(socket.AF_INET6 if ":" in target[0] else socket.AF_INET)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(harness.DEADLINE)
        self.socket.connect(target)
        self.name = "%s:%d" % self.socket.getsockname()[:2] if not address.startswith("unix:") else ""
        if harness.IS_TLS and self.name:
            self.socket = tls_context(who).wrap_socket(self.socket, server_hostname="localhost")
        self._in = b""
        self._next_stream = 1
        self.frames = []  # (kind, flags, stream, payload) of all that was read

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, *pieces):
        self.socket.sendall(b"".join(pieces))

    def hello(self, pairs=()):
        """Preface and SETTINGS, and wait until the server's SETTINGS and its ACK have come."""
        self.send(MAGIC, settings(pairs))
        self.wait(lambda f: f[0] == SETTINGS and not f[1] & ACK)
        self.send(frame(SETTINGS, ACK, 0))
        self.wait(lambda f: f[0] == SETTINGS and f[1] & ACK)

    def new_stream(self):
        stream = self._next_stream
        self._next_stream += 2
        return stream

    def open(self, path, end=False, extra=()):
        """HEADERS of a gRPC request on a new stream; its number."""
        stream = self.new_stream()
        self.send(frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, request(path, *extra)))
        return stream

    def _take_frames(self):
        while len(self._in) >= 9:
            length = int.from_bytes(self._in[:3], "big")
            if len(self._in) < 9 + length:
                return
            kind, flags, stream = struct.unpack(">BBI", self._in[3:9])
            self.frames.append((kind, flags, stream & 0x7FFFFFFF, self._in[9:9 + length]))
            self._in = self._in[9 + length:]

    def receive(self):
        """Read once. False: the end (a reset counts as one)."""
        try:
            piece = self.socket.recv(262144)
            while piece and harness.IS_TLS and self.name and self.socket.pending():  # select(2) does not see that
                self._in += piece
                piece = self.socket.recv(262144)
        except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
            return False
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        self._in += piece
        self._take_frames()
        return bool(piece)

    def wait(self, predicate):
        """The first frame, of those that came and those to come, that @predicate holds for."""
        seen = 0
        while True:
            for f in self.frames[seen:]:
                if predicate(f):
                    return f
            seen = len(self.frames)
            if not self.receive():
                raise AssertionError(f"the connection ended; frames: {self.summary()}")

    def wait_reset(self, stream):
        """The error code of the RST_STREAM for @stream."""
        return struct.unpack(">I", self.wait(lambda f: f[0] == RST_STREAM and f[2] == stream)[3])[0]

    def wait_end(self):
        """Read until the server has closed the connection, and close our end too (the server waits for that)."""
        self.socket.settimeout(harness.DEADLINE)
        while self.receive():
            pass
        self.socket.close()

    def goaway(self):
        """The error code of the last GOAWAY, None when there was none."""
        codes = [struct.unpack(">I", f[3][4:8])[0] for f in self.frames if f[0] == GOAWAY]
        return codes[-1] if codes else None

    def _send_some(self, data):
        try:
            return self.socket.send(data)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return 0

    def flood(self, make, limit_bytes=64 << 20):
        """Send what @make() gives, again and again, reading on the side, until the server ends the connection.
        AssertionError when it has taken limit_bytes and still lives."""
        sent, waiting, end = 0, b"", time.monotonic() + harness.DEADLINE
        self.socket.setblocking(False)
        try:
            while sent < limit_bytes:
                if not waiting:
                    waiting = make()
                readable, writable, _ = select.select([self.socket], [self.socket], [], end - time.monotonic())
                if not readable and not writable:
                    break
                if readable and not self.receive():
                    self.socket.close()
                    return
                if writable:
                    n = self._send_some(waiting)
                    sent += n
                    waiting = waiting[n:]
        except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
            self.wait_end()  # what it said before it went
            return
        raise AssertionError(f"the server took {sent} bytes of this; frames: {self.summary()}")

    def summary(self):
        counts = {}
        for kind, _, _, payload in self.frames:
            key = (kind, payload.hex() if kind in (RST_STREAM, GOAWAY) else "")
            counts[key] = counts.get(key, 0) + 1
        return counts
