#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Calls as a stock Python client makes them: every kind, large messages, deadlines, cancels, errors, metadata."""
import queue

import grpc

import harness
from harness import echo_pb2

from google.rpc import error_details_pb2, status_pb2

MiB = 1 << 20


def pattern(n, seed=0):
    """@n bytes that are not all alike."""
    return bytes((i * 7 + i // 251 + seed) % 256 for i in range(min(n, 65537))) * (n // 65537 + 1) if n > 65537 else \
        bytes((i * 7 + i // 251 + seed) % 256 for i in range(n))


class Kinds(harness.ServerCase):
    def test_unary(self):
        echo = self.echo()
        for size in (0, 1, 2, 100, 127, 128, 16383, 16384, 65535, 65536, MiB):
            payload = pattern(size, size)[:size]
            self.assertEqual(echo.Unary(echo_pb2.EchoRequest(payload=payload)).payload, payload)

    def test_unary_many_at_once(self):
        echo = self.echo()
        payloads = [pattern(i % 500, i) for i in range(2000)]
        futures = [echo.Unary.future(echo_pb2.EchoRequest(payload=p)) for p in payloads]
        self.assertEqual([f.result().payload for f in futures], payloads)

    def test_client_stream(self):
        payloads = [pattern(i % 3000, i) for i in range(1000)]
        reply = self.echo().ClientStream(echo_pb2.EchoRequest(payload=p) for p in payloads)
        self.assertEqual((reply.count, reply.payload_bytes), (1000, sum(map(len, payloads))))

    def test_client_stream_empty(self):
        reply = self.echo().ClientStream(iter([]))
        self.assertEqual((reply.count, reply.payload_bytes), (0, 0))

    def test_server_stream(self):
        request = echo_pb2.ServerStreamRequest(count=3000, reply_bytes=1000)
        replies = [r.payload for r in self.echo().ServerStream(request)]
        self.assertEqual(replies, [b"x" * 1000] * 3000)

    def test_server_stream_empty(self):
        self.assertEqual(list(self.echo().ServerStream(echo_pb2.ServerStreamRequest(count=0))), [])

    def test_server_stream_fails_behind_replies(self):
        request = echo_pb2.ServerStreamRequest(count=5, reply_bytes=1, fail=echo_pb2.Failure(code=10, message="enough"))
        call, got = self.echo().ServerStream(request), []
        with self.assertRaises(grpc.RpcError) as caught:
            for reply in call:
                got.append(reply.payload)
        self.assertEqual(got, [b"x"] * 5)
        self.assertEqual((caught.exception.code(), caught.exception.details()), (grpc.StatusCode.ABORTED, "enough"))

    def test_bidi(self):
        payloads = [pattern(i % 2000, i) for i in range(2000)]
        replies = self.echo().Bidi(echo_pb2.EchoRequest(payload=p) for p in payloads)
        self.assertEqual([r.payload for r in replies], payloads)

    def test_bidi_in_turns(self):
        """One at a time: no answer waits for the next question."""
        questions = queue.SimpleQueue()
        replies = self.echo().Bidi(iter(questions.get, None))
        for i in range(100):
            questions.put(echo_pb2.EchoRequest(payload=b"%d" % i))
            self.assertEqual(next(replies).payload, b"%d" % i)
        questions.put(None)
        self.assertEqual(list(replies), [])

    def test_bidi_fails_in_the_middle(self):
        requests = [echo_pb2.EchoRequest(payload=b"1"), echo_pb2.EchoRequest(fail=echo_pb2.Failure(code=9)),
                    echo_pb2.EchoRequest(payload=b"3")]
        self.assert_fails(grpc.StatusCode.FAILED_PRECONDITION, self.echo().Bidi, iter(requests))
        self.assert_serves()


class Sizes(harness.ServerCase):
    def test_3_MB_both_ways(self):
        echo, payload = self.echo(), pattern(3 * MiB)
        self.assertEqual(echo.Unary(echo_pb2.EchoRequest(payload=payload)).payload, payload)
        replies = list(echo.Bidi(iter([echo_pb2.EchoRequest(payload=payload)] * 3)))
        self.assertEqual([r.payload for r in replies], [payload] * 3)

    def test_reply_larger_than_a_request_may_be(self):
        reply = self.echo().Unary(echo_pb2.EchoRequest(reply_bytes=20 * MiB))
        self.assertEqual(reply.payload, b"x" * (20 * MiB))

    def test_too_large(self):
        channel = self.channel()
        echo, huge = self.echo(channel), pattern(5 * MiB)
        for _ in range(3):
            self.assert_fails(grpc.StatusCode.RESOURCE_EXHAUSTED, echo.Unary, echo_pb2.EchoRequest(payload=huge))
            self.assertEqual(echo.Unary(echo_pb2.EchoRequest(payload=b"after")).payload, b"after")
        self.assert_fails(grpc.StatusCode.RESOURCE_EXHAUSTED, echo.Bidi,
                          iter([echo_pb2.EchoRequest(payload=b"1"), echo_pb2.EchoRequest(payload=huge)]))
        self.assert_fails(grpc.StatusCode.RESOURCE_EXHAUSTED, echo.ClientStream,
                          iter([echo_pb2.EchoRequest(payload=huge)]))
        self.assertEqual(echo.Unary(echo_pb2.EchoRequest(payload=b"after")).payload, b"after")
        self.assertEqual(self.server.log.find("connection_closed"), [], "the connection was kept")

    def test_limit_to_the_byte(self):
        """A message may be max_message long and not a byte more."""
        self.server = self.start(config={"futured": {"max_message": "64K"}})
        echo = self.echo()
        overhead = len(echo_pb2.EchoRequest(payload=b"x" * 65000).SerializeToString()) - 65000
        payload = b"y" * (65536 - overhead)
        self.assertEqual(echo.Unary(echo_pb2.EchoRequest(payload=payload)).payload, payload)
        self.assert_fails(grpc.StatusCode.RESOURCE_EXHAUSTED, echo.Unary, echo_pb2.EchoRequest(payload=payload + b"y"))


class Ends(harness.ServerCase):
    def test_deadline(self):
        echo = self.echo()
        self.assert_fails(grpc.StatusCode.DEADLINE_EXCEEDED, echo.Hang, echo_pb2.EchoRequest(), timeout=0.2)
        # Whichever side's clock is first: the server learns of it either way.
        self.wait_stats(echo, lambda s: s.open == 0 and s.cancelled + s.deadline_exceeded == 1)

    def test_deadline_of_a_delayed_answer(self):
        echo = self.echo()
        self.assert_fails(grpc.StatusCode.DEADLINE_EXCEEDED, echo.Unary, echo_pb2.EchoRequest(delay_ms=600000),
                          timeout=0.2)
        self.wait_stats(echo, lambda s: s.open == 0 and s.cancelled + s.deadline_exceeded == 1)

    def test_delayed_answer(self):
        reply = self.echo().Unary(echo_pb2.EchoRequest(payload=b"late", delay_ms=50))
        self.assertEqual(reply.payload, b"late")

    def test_cancel(self):
        echo = self.echo()
        calls = [echo.Hang.future(echo_pb2.EchoRequest()), echo.Bidi(iter(queue.SimpleQueue().get, None)),
                 echo.Unary.future(echo_pb2.EchoRequest(delay_ms=600000))]
        self.wait_stats(echo, lambda s: s.open == 3)
        for call in calls:
            call.cancel()
        self.wait_stats(echo, lambda s: s.open == 0 and s.cancelled == 3)
        self.assertEqual(echo.Unary(echo_pb2.EchoRequest(payload=b"after")).payload, b"after")

    def test_cancel_of_a_stream_under_way(self):
        echo = self.echo()
        call = echo.ServerStream(echo_pb2.ServerStreamRequest(count=10**6, reply_bytes=10000))
        for _ in range(100):
            self.assertEqual(len(next(call).payload), 10000)
        call.cancel()
        self.wait_stats(echo, lambda s: s.open == 0 and s.cancelled == 1)

    def test_1500_cancels_at_once(self):
        """Honest clients cancel in bursts; nobody else notices, and their connection goes on."""
        self.server = self.start(config={"limits": {"streams_per_connection": 2000}})
        channel, other = self.channel(), self.echo(self.channel())
        echo = self.echo(channel)
        hanging = [echo.Hang.future(echo_pb2.EchoRequest()) for _ in range(1500)]
        self.wait_stats(other, lambda s: s.open == 1500)
        bystanders = [other.Unary.future(echo_pb2.EchoRequest(payload=b"%d" % i, delay_ms=i % 50)) for i in range(500)]
        same_connection = [echo.Unary.future(echo_pb2.EchoRequest(payload=b"%d" % i, delay_ms=50)) for i in range(50)]
        for call in hanging:
            call.cancel()
        self.assertEqual([b.result().payload for b in bystanders], [b"%d" % i for i in range(500)])
        self.assertEqual([b.result().payload for b in same_connection], [b"%d" % i for i in range(50)])
        self.wait_stats(other, lambda s: s.open == 0 and s.cancelled == 1500)
        self.assertEqual(echo.Unary(echo_pb2.EchoRequest(payload=b"after")).payload, b"after")
        self.assertEqual(self.server.log.find("connection_closed"), [])


class Errors(harness.ServerCase):
    def test_unknown_method(self):
        channel = self.channel()
        for path in ("/futured.test.v1.Echo/Nothing", "/no.such.Service/Method", "/", "/x", "//", "/a/b/c"):
            self.assert_fails(grpc.StatusCode.UNIMPLEMENTED, channel.unary_unary(path), b"", timeout=harness.DEADLINE)
        self.assertEqual(self.echo(channel).Unary(echo_pb2.EchoRequest(payload=b"after")).payload, b"after")

    def test_compressed(self):
        """Nothing is negotiated but identity, so what comes compressed is refused, and the call alone."""
        channel = self.channel()
        echo = self.echo(channel)
        request = echo_pb2.EchoRequest(payload=b"a" * 10000)
        self.assert_fails(grpc.StatusCode.UNIMPLEMENTED, echo.Unary, request, compression=grpc.Compression.Gzip)
        self.assert_fails(grpc.StatusCode.UNIMPLEMENTED, echo.Bidi, iter([request] * 3),
                          compression=grpc.Compression.Deflate)
        self.assertEqual(echo.Unary(request).payload, request.payload)
        self.assertEqual(self.server.log.find("connection_closed"), [], "the connection was kept")

    def test_every_code(self):
        echo = self.echo()
        for code in grpc.StatusCode:
            if code is grpc.StatusCode.OK:
                continue
            fail = echo_pb2.Failure(code=code.value[0], message=f"as {code.name}")
            error = self.assert_fails(code, echo.Unary, echo_pb2.EchoRequest(fail=fail))
            self.assertEqual(error.details(), f"as {code.name}")

    def test_text_of_an_error(self):
        echo = self.echo()
        for text in ("", "100 % of it", "%41", "two\nlines\r\n", "Füße, 事件, \U0001F600", "\x01\x7f", "x" * 1024):
            fail = echo_pb2.Failure(code=5, message=text)
            error = self.assert_fails(grpc.StatusCode.NOT_FOUND, echo.Unary, echo_pb2.EchoRequest(fail=fail))
            self.assertEqual(error.details(), text)

    def test_details(self):
        fail = echo_pb2.Failure(code=3, message="no good", reason="BAD_SHAPE", field="task.labels", retry_delay_ms=1500)
        error = self.assert_fails(grpc.StatusCode.INVALID_ARGUMENT, self.echo().Unary, echo_pb2.EchoRequest(fail=fail))
        binary = dict(error.trailing_metadata())["grpc-status-details-bin"]
        status = status_pb2.Status.FromString(binary)
        self.assertEqual((status.code, status.message), (3, "no good"))
        info, bad, retry = (error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo())
        self.assertEqual(len(status.details), 3)
        for detail in status.details:
            self.assertTrue(any(detail.Unpack(d) for d in (info, bad, retry)), detail.type_url)
        self.assertEqual((info.reason, info.domain), ("BAD_SHAPE", "futured"))
        self.assertEqual([(v.field, v.description) for v in bad.field_violations], [("task.labels", "no good")])
        self.assertEqual(retry.retry_delay.ToMilliseconds(), 1500)


class Metadata(harness.ServerCase):
    def test_there_and_back(self):
        echo = self.echo()
        for binary in (b"", b"\x00", b"ab", bytes(range(256)), b"\xff" * 1000):
            _, call = echo.Unary.with_call(echo_pb2.EchoRequest(),
                                           metadata=(("x-echo", "some text; with = signs"), ("x-echo-bin", binary)))
            got = dict(call.initial_metadata())
            self.assertEqual(got["x-echo"], "some text; with = signs")
            self.assertEqual(got["x-echo-bin"], binary)

    def test_beside_an_error(self):
        """Metadata that was given before the status comes with it, also where there is no message."""
        fail = echo_pb2.Failure(code=5)
        error = self.assert_fails(grpc.StatusCode.NOT_FOUND, self.echo().Unary, echo_pb2.EchoRequest(fail=fail),
                                  metadata=(("x-echo", "still"),))
        self.assertIn(("x-echo", "still"), [*error.initial_metadata(), *error.trailing_metadata()])

    def test_before_the_answer(self):
        """Initial metadata arrives while the answer never comes."""
        # As a stream of replies, because for a single one this client reads all at once.
        hang = self.channel().unary_stream("/futured.test.v1.Echo/Hang",
                                           request_serializer=echo_pb2.EchoRequest.SerializeToString)
        call = hang(echo_pb2.EchoRequest(headers_first=True), timeout=harness.DEADLINE)
        self.assertIsNotNone(call.initial_metadata())
        self.assertTrue(call.is_active())
        call.cancel()

    def test_as_large_as_allowed(self):
        echo, big = self.echo(), "v" * 3000
        metadata = tuple((f"x-other-{i}", big) for i in range(4))
        self.assertEqual(echo.Unary(echo_pb2.EchoRequest(payload=b"1"), metadata=metadata).payload, b"1")
        metadata = tuple((f"x-other-{i}", big) for i in range(10))
        with self.assertRaises(grpc.RpcError):
            echo.Unary(echo_pb2.EchoRequest(payload=b"1"), metadata=metadata)
        self.assertEqual(echo.Unary(echo_pb2.EchoRequest(payload=b"2")).payload, b"2")


class Addresses(harness.ServerCase):
    listen = ("127.0.0.1:0", "[::1]:0", "unix:@s")

    def test_each(self):
        v4, v6, local = self.server.addresses
        self.assertRegex(v4, r"^127\.0\.0\.1:\d+$")
        self.assertRegex(v6, r"^\[::1\]:\d+$")
        self.assertEqual(local, f"unix:{self.server.unix_path}")
        for address in self.server.addresses:
            echo = self.echo(self.channel(address))
            payloads = [pattern(i * 100, i) for i in range(100)]
            self.assertEqual([r.payload for r in echo.Bidi(echo_pb2.EchoRequest(payload=p) for p in payloads)], payloads)

    def test_many_connections(self):
        channels = [self.channel(self.server.addresses[i % 3]) for i in range(60)]
        futures = [self.echo(c).Unary.future(echo_pb2.EchoRequest(payload=b"%d" % i)) for i, c in enumerate(channels)]
        self.assertEqual([f.result().payload for f in futures], [b"%d" % i for i in range(60)])


if __name__ == "__main__":
    harness.main()
