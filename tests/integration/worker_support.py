# SPDX-License-Identifier: Apache-2.0
"""Workers in Python, from nothing but the contract: one on a stream (Attach), one that asks (Claim, Renew, Finish). For the
tests; docs/workers.md tells the same in words."""
import queue
import threading

from futures_support import DEADLINE, grpc

from futured.v1 import functions_pb2, workers_pb2, workers_pb2_grpc

w = workers_pb2


def spec(name, **fields):
    return functions_pb2.FunctionSpec(name=name, **fields)


def hello(token, *names, slots=1, **fields):
    return w.Hello(name="py", session_token=token, slots=slots, functions=[spec(n) for n in names], **fields)


def _bytes_of(request):
    return request if isinstance(request, bytes) else request.SerializeToString()


class Stream:
    """One Attach stream in the test's hand: say() a request, next() is the next message of the daemon, with payloads put
    together by take()."""

    def __init__(self, channel):
        self._said = queue.SimpleQueue()
        self.is_closed = False
        self.call = channel.stream_stream("/futured.v1.Workers/Attach", request_serializer=_bytes_of,
                                          response_deserializer=w.AttachResponse.FromString)(self._requests())
        self._pieces, self._items = {}, []
        self.largest_piece = 0  # that has come
        self.told = []  # messages that were no tasks
        self.welcome = None

    def _requests(self):
        """What is said; a heartbeat where nothing is."""
        while True:
            try:
                request = self._said.get(timeout=2)
            except queue.Empty:
                request = w.AttachRequest(heartbeat=w.Heartbeat())
            if request is None or self.is_closed:
                return
            yield request

    def say(self, **fields):
        self._said.put(w.AttachRequest(**fields))

    def say_bytes(self, data):
        """What may be no request at all."""
        self._said.put(data)

    def attach(self, *arguments, credit=1, **fields):
        self.say(hello=hello(*arguments, **fields), ready=w.Ready(credit=credit))
        self.welcome = self.next().welcome
        return self

    def half_close(self):
        self._said.put(None)

    def next(self):
        return next(self.call)

    def _key(self, lease):
        return lease.id, lease.attempt, lease.epoch

    def take(self):
        """The next task; what is no task is put aside."""
        while not self._items:
            m = self.next()
            for p in m.payload:
                key = (*self._key(p.lease), p.part)
                self.largest_piece = max(self.largest_piece, len(p.data))
                got = self._pieces.setdefault(key, bytearray())
                assert p.offset == len(got), "a gap"
                got += p.data
            for item in m.assign.items:
                if item.task_chunked:
                    item.task.ParseFromString(bytes(self._pieces.pop((*self._key(item.lease), 0))))
                for part, upstream in enumerate(item.upstream, 1):
                    if upstream.chunked:
                        upstream.result.data = bytes(self._pieces.pop((*self._key(item.lease), part)))
                self._items.append(item)
            if not m.assign.items and not m.payload:
                self.told.append(m)
        return self._items.pop(0)

    def until(self, predicate):
        """The first message for which it holds, of those put aside and those to come."""
        for m in self.told:
            if predicate(m):
                return m
        while True:
            m = self.next()
            self.told.append(m)
            if predicate(m):
                return m

    def start(self, item):
        self.say(started=[w.Started(lease=item.lease)])

    def finish(self, item, data=b"", more=1):
        """A result, in pieces where it is large; and room for @more."""
        result = w.Finish(lease=item.lease, chunked=len(data) > 65536)
        result.result.size_bytes = len(data)
        if result.chunked:
            for at in range(0, len(data), 65536):
                self.say(payload=[w.PayloadChunk(lease=item.lease, offset=at, data=data[at:at + 65536])])
        else:
            result.result.data = data
        self.say(finish=[result], ready=w.Ready(credit=more))

    def close(self):
        """As if the connection had been lost."""
        self.is_closed = True
        self._said.put(None)
        self.call.cancel()


class Serving(threading.Thread):
    """A whole worker on a stream: functions by name, each from bytes to bytes; an exception is the task's error. Comes again when
    its stream is lost."""

    def __init__(self, address, token, functions, slots=1):
        super().__init__(daemon=True)
        self.address, self.token, self.functions, self.slots = address, token, functions, slots
        self.n_run, self.is_over = 0, False
        self.start()

    def run(self):
        while not self.is_over:
            with grpc.insecure_channel(self.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
                try:
                    self.serve(Stream(channel))
                    return  # the daemon has let it go
                except (grpc.RpcError, StopIteration):
                    continue

    def serve(self, stream):
        stream.attach(self.token, *self.functions, slots=self.slots, credit=self.slots)
        while True:
            try:
                item = stream.take()
            except StopIteration:
                return
            stream.start(item)
            try:
                stream.finish(item, self.functions[item.task.function](item.task.argument))
            except Exception as error:  # whatever a function does is told
                finish = w.Finish(lease=item.lease)
                finish.error.message, finish.error.type = str(error), type(error).__name__
                stream.say(finish=[finish], ready=w.Ready(credit=1))
            self.n_run += 1


class Claiming:
    """A worker that asks, in the test's hand."""

    def __init__(self, channel, token, *names):
        self.stub, self.token, self.names = workers_pb2_grpc.WorkersStub(channel), token, names

    def claim(self, **fields):
        return self.stub.Claim(w.ClaimRequest(hello=hello(self.token, *self.names, slots=0), **fields), timeout=DEADLINE)

    def renew(self, *leases, **fields):
        return self.stub.Renew(w.RenewRequest(session_token=self.token, leases=leases, **fields), timeout=DEADLINE)

    def finish(self, *outcomes, **fields):
        return self.stub.Finish(w.FinishRequest(session_token=self.token, finish=outcomes, **fields), timeout=DEADLINE)

    def done(self, item, data=b""):
        outcome = w.Finish(lease=item.lease)
        outcome.result.data = data
        outcome.result.size_bytes = len(data)
        return outcome
