#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A client beside one that floods: between its request and its reply the daemon handles no more of the other's messages than
[limits] messages_per_turn allows. The daemon counts them; while it is stopped both put what they have into their sockets,
so that all of the flood is there before the request is."""
import os
import pathlib
import signal

import futures_support
import rawh2
from futures_support import *  # noqa: F403: the words of the contract

from futured.v1 import system_pb2

GET_STATS = "/futured.v1.System/GetStats"
N_FLOODS, N_UNARY, N_STREAMS, N_STREAMED = 3, 300, 20, 30  # of each flooding connection
N_MESSAGES = N_FLOODS * (N_UNARY + N_STREAMS * N_STREAMED)
TURNS = 2  # that of the request, and one that had begun before it


def framed(message):
    data = message.SerializeToString()
    return b"\0" + len(data).to_bytes(4, "big") + data


class Neighbour(FuturesCase):
    workers = 1

    def connection(self):
        raw = rawh2.Connection(self.server.address)
        self.addCleanup(raw.socket.close)
        raw.hello([(rawh2.INITIAL_WINDOW_SIZE, 1 << 20)])
        raw.send(rawh2.window_update(0, 1 << 28))
        return raw

    def ask(self, raw):
        """Send a GetStats for the counter."""
        stream, call = self.call(raw, GET_STATS, framed(system_pb2.GetStatsRequest(prefix="messages_handled")))
        raw.send(call)
        return stream

    @staticmethod
    def call(raw, path, data):
        """A whole request in one piece: nothing of it waits in the kernel for an acknowledgement."""
        stream = raw.new_stream()
        return stream, (rawh2.frame(rawh2.HEADERS, rawh2.END_HEADERS, stream, rawh2.request(path)) +
                        rawh2.frame(rawh2.DATA, rawh2.END_STREAM, stream, data))

    def answer(self, raw, stream):
        raw.wait(lambda f: f[2] == stream and f[1] & rawh2.END_STREAM)
        data = b"".join(f[3] for f in raw.frames if f[0] == rawh2.DATA and f[2] == stream)
        stat, = system_pb2.GetStatsResponse.FromString(data[5:]).stats
        return int(stat.value)

    def counted(self, raw):
        return self.answer(raw, self.ask(raw))

    def flood(self, raw):
        """Many calls on many streams: unary ones, and streams of submissions that are refused."""
        get_ = framed(get(NO_SUCH_ID, BASIC))
        bad = framed(submit("nothing")) * N_STREAMED
        raw.send(*(self.call(raw, "/futured.v1.Futures/Get", get_)[1] for _ in range(N_UNARY)),
                 *(self.call(raw, "/futured.v1.Futures/SubmitStream", bad)[1] for _ in range(N_STREAMS)))

    def state(self):
        return pathlib.Path(f"/proc/{self.server.process.pid}/stat").read_text(encoding="ascii").rpartition(") ")[2][0]

    def between(self, messages_per_turn):
        """How many messages of the flood were handled before the victim's reply, and until all was over."""
        self.server = self.start(limits={"messages_per_turn": str(messages_per_turn)})
        floods, victim = [self.connection() for _ in range(N_FLOODS)], self.connection()
        self.poll(lambda: self.counted(victim) == self.counted(victim) - 1, "nobody else says anything")
        before = self.counted(victim)
        self.poll(lambda: self.state() == "S", "it sleeps: the kernel forgets who was ready last")
        os.kill(self.server.process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.server.process.pid, os.WSTOPPED | os.WNOWAIT)
        for raw in floods:
            self.flood(raw)
        stream = self.ask(victim)
        os.kill(self.server.process.pid, signal.SIGCONT)
        handled = self.answer(victim, stream) - before - 1
        for raw in floods:
            for last in range(1, raw.new_stream(), 2):
                raw.wait(lambda f, last=last: f[2] == last and f[1] & rawh2.END_STREAM)
        total = self.counted(victim) - before - 2
        self.assertGreaterEqual(total, N_MESSAGES)
        return handled

    def test_at_most_so_many(self):
        for limit in (32, 4):
            handled = self.between(limit)
            self.assertLessEqual(handled, TURNS * limit * N_FLOODS)

    def test_without_a_limit(self):
        """That the others show something: it is the limit that lets the victim through."""
        self.assertGreater(self.between(1000000), TURNS * 32 * N_FLOODS)


if __name__ == "__main__":
    futures_support.main()
