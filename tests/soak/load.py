# SPDX-License-Identifier: Apache-2.0
"""The load of a soak: clients of every kind, each a thread with a connection of its own that does its act again and again, and
what goes wrong beside them. What a fault may bring is counted; anything else is a finding, and the soak is red."""
import collections
import os
import pathlib
import random
import signal
import threading

import harness  # noqa: F401: brings the stubs
import rawh2
import worker_support
from futures_support import *  # noqa: F403: the words of the contract

from futured.v1 import workers_pb2, workers_pb2_grpc

KEPT_S = 3  # retention of all futures
# What a client may see where its connection, its worker or the daemon has gone, or its own faults met each other.
TO_BE_EXPECTED = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ABORTED,
                  grpc.StatusCode.FAILED_PRECONDITION}
KEPT = seconds(KEPT_S)


def options(**fields):
    return future_pb2.TaskOptions(retention=KEPT, **fields)


def asked(function, argument=b"", **fields):
    group = fields.pop("group", "")
    return submit(function, argument, group=group, options=options(**fields))


class Load:
    """@address: of the daemon; @pid(): its process now."""

    def __init__(self, address, pid):
        self.address, self.pid = address, pid
        self.is_over, self.is_alone = threading.Event(), threading.Event()  # alone: the worker, when all clients have ended
        self.done, self.codes, self.findings = collections.Counter(), collections.Counter(), collections.Counter()
        self.pool_kills = self.lost_clients = 0
        self.serving = None
        acts = (self.submit_and_wait, self.run, self.run_stream, self.submit_stream, self.watch, self.cancel, self.delete,
                self.retry, self.progress, self.remote, self.search, self.gone_in_the_middle)
        self.threads = [threading.Thread(target=self.again, args=(act, i), name=act.__name__) for i, act in enumerate(acts)]
        self.worker = threading.Thread(target=self.serve, name="serve")

    def start(self):
        for t in (*self.threads, self.worker):
            t.start()

    def stop(self):
        self.is_over.set()
        for t in self.threads:
            t.join()
        self.is_alone.set()
        if self.serving:
            self.serving.close()
        self.worker.join()

    def channel(self):
        return grpc.insecure_channel(self.address, [("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 500)])

    def again(self, act, seed):
        dice = random.Random(seed)
        with self.channel() as channel:
            futures = harness.Stub(futures_pb2_grpc.FuturesStub(channel))
            while not self.is_over.is_set():
                try:
                    act(futures, dice)
                    self.done[act.__name__] += 1
                except grpc.RpcError as error:
                    self.codes[f"{act.__name__} {error.code().name}"] += 1
                    if error.code() not in TO_BE_EXPECTED:
                        self.note(f"{act.__name__}: {error.code().name}: {error.details()}")
                    self.is_over.wait(0.05)  # the daemon may be starting again
                except Exception as error:  # a thread that ends unseen would make the soak say nothing
                    self.note(f"{act.__name__}: {error!r}")
                    return

    def note(self, finding):
        self.findings[finding] += 1

    def expect(self, what, *facts):
        if not what:
            self.note(f"{threading.current_thread().name}: {facts}")

    # --- the acts

    def submit_and_wait(self, futures, dice):
        ids = [futures.Submit(asked("echo", b"x" * dice.randrange(2000))).future.id for _ in range(3)]
        reply = futures.Wait(futures_pb2.WaitRequest(selector=selector(*ids), timeout=seconds(30)))
        self.expect(all(f.state in TERMINAL for f in reply.done), reply)

    def run(self, futures, dice):
        data = dice.randbytes(dice.choice((0, 10, 1000, 100000)))
        got = futures.Run(futures_pb2.RunRequest(submit=asked("echo", data, retry=future_pb2.RetryPolicy(max_attempts=5))))
        self.expect(got.state in (SUCCEEDED, FAILED) and (got.state == FAILED or got.result.data == data), got.state)

    def run_stream(self, futures, dice):
        requests = [futures_pb2.RunRequest(submit=asked(dice.choice(("echo", "sha256", "fail", "cat")), b"%d" % i)) for i in range(30)]
        self.expect(len(list(futures.RunStream(iter(requests)))) == len(requests))

    def submit_stream(self, futures, dice):
        group = f"g{dice.randrange(10**9)}"
        ids = [r.future.id for r in futures.SubmitStream(iter([asked("echo", b"x", group=group) for _ in range(50)]))]
        futures.Wait(futures_pb2.WaitRequest(selector=selector(group=group), timeout=seconds(30)))
        futures.Annotate(futures_pb2.AnnotateRequest(id=ids[0], set_labels={"seen": "yes"}))
        futures.DeleteMany(futures_pb2.DeleteManyRequest(selector=selector(group=group)))

    def watch(self, futures, dice):
        id_ = futures.Submit(asked("pause", b"0.02")).future.id
        chosen = selector(id_) if dice.random() < 0.5 else selector(filter="*")
        call = futures.Watch(futures_pb2.WatchRequest(selector=chosen), timeout=10)
        try:
            for i, _ in enumerate(call):
                if i == dice.randrange(1, 5):
                    call.cancel()  # in the middle
                    break
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.DEADLINE_EXCEEDED:  # of a filter, where nothing happens any more
                raise

    def cancel(self, futures, dice):
        id_ = futures.Submit(asked("pause", b"100")).future.id
        if dice.random() < 0.5:
            self.is_over.wait(0.05)  # so that some have begun; nothing hangs on it
        futures.Cancel(futures_pb2.CancelRequest(id=id_, grace=seconds(0.1)))
        futures.Wait(futures_pb2.WaitRequest(selector=selector(id_), timeout=seconds(30)))

    def delete(self, futures, dice):
        got = futures.Run(futures_pb2.RunRequest(submit=asked("sha256", b"x")))
        futures.Delete(futures_pb2.DeleteRequest(id=got.id))

    def retry(self, futures, dice):
        policy = future_pb2.RetryPolicy(max_attempts=3, initial_backoff=seconds(0.01))
        got = futures.Run(futures_pb2.RunRequest(submit=asked("fail", b"again", retry=policy)))
        self.expect(got.state == FAILED)
        futures.Retry(futures_pb2.RetryRequest(id=got.id))
        futures.Wait(futures_pb2.WaitRequest(selector=selector(got.id), timeout=seconds(30)))

    def progress(self, futures, dice):
        id_ = futures.Submit(asked("chatty")).future.id
        for event in futures.Watch(futures_pb2.WatchRequest(selector=selector(id_))):
            if self.is_over.is_set():
                break

    def remote(self, futures, dice):
        futures.Run(futures_pb2.RunRequest(submit=asked("double", b"%d" % dice.randrange(100))))

    def search(self, futures, dice):
        futures.Count(futures_pb2.CountRequest(selector=selector(filter="state = FAILED")))
        futures.List(futures_pb2.ListRequest(selector=selector(filter="*"), page_size=20))
        futures.CancelMany(futures_pb2.CancelManyRequest(selector=selector(filter='function = "pause" AND state = PENDING')))

    def gone_in_the_middle(self, futures, dice):
        """A client that goes with calls open and half a message said."""
        request = futures_pb2.RunRequest(submit=asked("pause", b"0.02"), cancel_on_disconnect=dice.random() < 0.5).SerializeToString()
        try:
            with rawh2.Connection(self.address) as raw:
                raw.hello()
                for _ in range(5):
                    raw.send(rawh2.frame(rawh2.DATA, rawh2.END_STREAM, raw.open("/futured.v1.Futures/Run"),
                                         b"\0" + len(request).to_bytes(4, "big") + request))
                raw.send(rawh2.frame(rawh2.DATA, 0, raw.open("/futured.v1.Futures/SubmitStream"), b"\0\0\0\1\0half"))
                raw.send(rawh2.frame(rawh2.DATA, 0, raw.open("/futured.v1.Futures/Submit"), b"\0\0")[:10])
        except (OSError, AssertionError):
            self.codes["gone_in_the_middle OSError"] += 1
            self.is_over.wait(0.05)
        self.is_over.wait(0.5)
        self.lost_clients += 1

    # --- the worker from elsewhere

    def serve(self):
        while not self.is_alone.is_set():
            with self.channel() as channel:
                self.serving = stream = worker_support.Stream(channel)
                try:
                    stream.attach("a-token-of-the-soak", "double", slots=2, credit=2)
                    while not self.is_alone.is_set():  # set before the stream that is there is closed
                        item = stream.take()
                        stream.start(item)
                        progress = workers_pb2.AttemptProgress(lease=item.lease)
                        progress.progress.message = "half"
                        stream.say(progress=[progress])
                        stream.finish(item, item.task.argument * 2)
                        self.done["served"] += 1
                except (grpc.RpcError, StopIteration):
                    self.is_alone.wait(0.05)
                finally:
                    stream.close()

    # --- what goes wrong

    def kill_a_worker(self):
        pids = [p for p in children(self.pid()) if name_of(p) == "futured-worker"]
        if pids:
            os.kill(random.choice(pids), signal.SIGKILL)
            self.pool_kills += 1

    def lose_the_stream(self):
        if self.serving:
            self.serving.close()

    def reload(self):
        os.kill(self.pid(), signal.SIGHUP)

    def fault(self):
        try:
            random.choice((self.kill_a_worker, self.lose_the_stream, self.reload))()
        except (ProcessLookupError, FileNotFoundError):  # the daemon has just been killed
            pass


def family(pid):
    """Every process below @pid, and it."""
    found = [pid]
    for p in found:
        try:
            found += children(p)
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def wal_bytes(state):
    return sum(p.stat().st_size for p in pathlib.Path(state).glob("*-wal"))
