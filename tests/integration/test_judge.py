#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""CPython as the judge: the same scripted scenarios go through concurrent.futures and asyncio, the real ones, and through
the daemon, and what came out is compared.

A scenario gets a world (Theirs, Ours) with tasks in its hand: submit() one, see that it has started, open() it with an
outcome. Nothing depends on time: a timeout is 0, where something is known not to have happened, or is never reached.

Where we differ we do so by design; the class Differences says in what, and asserts both sides.
"""
import asyncio
import concurrent.futures as cf
import pathlib
import tempfile
import threading
import unittest

import futures_support
from futures_support import *  # noqa: F403: the words of the contract

VALUE, ERROR = "value", "error"
MODES = {cf.ALL_COMPLETED: futures_pb2.RETURN_WHEN_ALL_COMPLETED,
         cf.FIRST_COMPLETED: futures_pb2.RETURN_WHEN_FIRST_COMPLETED,
         cf.FIRST_EXCEPTION: futures_pb2.RETURN_WHEN_FIRST_EXCEPTION}


class TaskFailed(Exception):
    pass


# --- the judge

class Theirs:
    """ThreadPoolExecutor, and the functions of concurrent.futures and asyncio as they are."""

    def __init__(self, case, workers):
        self.pool = cf.ThreadPoolExecutor(workers)
        self.gates = {}

    def submit(self, name):
        self.gates[name] = started, opened, outcome = threading.Event(), threading.Event(), []

        def body():
            started.set()
            opened.wait(DEADLINE)
            if outcome[0] == ERROR:
                raise TaskFailed
            return name.encode()

        return self.pool.submit(body)

    def started(self, name):
        assert self.gates[name][0].wait(DEADLINE)

    def open(self, name, outcome=VALUE):
        self.gates[name][2].append(outcome)
        self.gates[name][1].set()

    def settled(self, future):
        """Once it is done, by other means than those that are judged."""
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        assert done.wait(DEADLINE)

    wait = staticmethod(cf.wait)
    as_completed = staticmethod(cf.as_completed)

    @staticmethod
    def gather(futures, return_exceptions):
        async def main():
            return await asyncio.gather(*map(asyncio.wrap_future, futures), return_exceptions=return_exceptions)
        return asyncio.run(main())

    @staticmethod
    def wait_for(future, timeout):
        async def main():
            wrapped = asyncio.wrap_future(future)
            await asyncio.sleep(0)  # that of a future that is done is done a turn later
            return await asyncio.wait_for(wrapped, timeout)
        return asyncio.run(main())

    def close(self):
        for _, opened, outcome in self.gates.values():
            outcome.append(VALUE)
            opened.set()
        self.pool.shutdown()


# --- ours

class OurFuture:
    """What a client needs to write for the same: one call each."""

    def __init__(self, world, id_):
        self.world, self.id = world, id_

    def get(self):
        return self.world.futures.Get(get(self.id))

    def cancel(self):
        return self.world.futures.Cancel(futures_pb2.CancelRequest(id=self.id, grace=seconds(600))).state == CANCELLED

    def cancelled(self):
        return self.get().state == CANCELLED

    def running(self):
        return self.get().state == RUNNING

    def done(self):
        return self.get().state in TERMINAL

    def result(self, timeout=None):
        answer = self.world.wait_for_all([self], timeout)
        if answer.timed_out:
            raise TimeoutError
        return outcome_of(answer.done[0])

    def exception(self, timeout=None):
        try:
            self.result(timeout)
        except TaskFailed as error:
            return error
        return None


def outcome_of(f):
    if f.state == CANCELLED:
        raise cf.CancelledError
    if f.state == FAILED:
        raise TaskFailed
    return f.result.data


class Ours:
    """The daemon, through stock grpcio."""

    def __init__(self, case, workers, function="judged"):
        self.case, self.function = case, function
        self.server = case.start(workers=workers)
        self.futures = case.futures_of(self.server)
        self.gates = {}
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=case.folder))

    def submit(self, name):
        self.gates[name] = gate = futures_support.Gate(self.folder, name)
        self.case.addCleanup(gate.close)
        return OurFuture(self, self.futures.Submit(submit(self.function, gate.argument)).future.id)

    def started(self, name):
        [id_] = self.gates[name].started()
        # The daemon hears of it a moment later than we do.
        watch = self.futures.Watch(futures_pb2.WatchRequest(selector=selector(id_)))
        for event in watch:
            if getattr(event, event.WhichOneof("event")).state == RUNNING:
                watch.cancel()
                return

    def open(self, name, outcome=VALUE):
        pathlib.Path(f"{self.gates[name].path}.code").write_text("1" if outcome == ERROR else "0", encoding="ascii")
        self.gates[name].open(name.encode())

    def settled(self, future):
        for event in self.futures.Watch(futures_pb2.WatchRequest(selector=selector(future.id))):
            last = getattr(event, event.WhichOneof("event"))
        assert last.state in TERMINAL

    def wait_for_all(self, futures, timeout=None, return_when=cf.ALL_COMPLETED):
        request = futures_pb2.WaitRequest(selector=selector(*[f.id for f in futures]), return_when=MODES[return_when],
                                          view=FULL)
        if timeout is not None:
            request.timeout.CopyFrom(seconds(timeout))
        return self.futures.Wait(request)

    def wait(self, futures, timeout=None, return_when=cf.ALL_COMPLETED):
        answer = self.wait_for_all(futures, timeout, return_when)
        by_id = {f.id: f for f in futures}
        return {by_id[f.id] for f in answer.done}, {by_id[id_] for id_ in answer.not_done}

    def as_completed(self, futures):
        by_id = {f.id: f for f in futures}
        request = futures_pb2.AsCompletedRequest(ids=[f.id for f in futures])
        for reply in self.futures.AsCompleted(iter([request])):
            yield by_id[reply.future.id]

    def gather(self, futures, return_exceptions):
        mode = cf.ALL_COMPLETED if return_exceptions else cf.FIRST_EXCEPTION
        done = {f.id: f for f in self.wait_for_all(futures, None, mode).done}
        results = []
        for future in futures:
            try:
                results.append(outcome_of(done[future.id]) if future.id in done else None)
            except (TaskFailed, cf.CancelledError) as error:
                if not return_exceptions:
                    raise
                results.append(error)
        return results

    def wait_for(self, future, timeout):
        try:
            return future.result(timeout)
        except TimeoutError:
            future.cancel()
            raise

    def close(self):
        pass


# --- scenarios: what happens, as plain values

def said(call, *arguments, **options):
    """What it returned, or the kind of what it raised."""
    try:
        got = call(*arguments, **options)
    except BaseException as error:  # asyncio.CancelledError is none of Exception
        got = error
    return plain(got)


def plain(got):
    if isinstance(got, (cf.CancelledError, asyncio.CancelledError)):
        return "cancelled"
    if isinstance(got, (TimeoutError, cf.TimeoutError)):
        return "timed out"
    if isinstance(got, TaskFailed):
        return "failed"
    if isinstance(got, BaseException):
        return repr(got)
    if isinstance(got, list):
        return [plain(g) for g in got]
    return got


def state(f):
    return {"cancelled": f.cancelled(), "running": f.running(), "done": f.done()}


class Tasks:
    """a, b, c ... by their names; what a call returns in names."""

    def __init__(self, world, *names):
        self.world = world
        self.by_name = {name: world.submit(name) for name in names}

    def __getitem__(self, name):
        return self.by_name[name]

    def of(self, names):
        return [self.by_name[name] for name in names]

    def names(self, futures):
        return sorted(name for f in futures for name, g in self.by_name.items() if g is f)

    def end(self, name, outcome=VALUE):
        self.world.open(name, outcome)
        self.world.settled(self[name])

    def wait(self, names, **options):
        done, not_done = self.world.wait(self.of(names), **options)
        return self.names(done), self.names(not_done)


def in_background(call):
    """Begin @call beside what follows; the function that gives its answer."""
    answer = []
    thread = threading.Thread(target=lambda: answer.append(said(call)), daemon=True)
    thread.start()

    def join():
        thread.join(DEADLINE)
        return answer[0]
    return join


def states_of_one(world):
    """One worker: a runs, b waits."""
    t = Tasks(world, "a", "b")
    world.started("a")
    yield "a runs", state(t["a"])
    yield "b waits", state(t["b"])
    yield "result of what runs", said(t["a"].result, 0)
    yield "exception of what waits", said(t["b"].exception, 0)
    t.end("a")
    yield "a ended", state(t["a"]), said(t["a"].result), said(t["a"].exception), said(t["a"].result, 0)
    yield "cancel what ended", t["a"].cancel(), state(t["a"])
    t.end("b", ERROR)
    yield "b failed", state(t["b"]), said(t["b"].result), said(t["b"].exception)
    yield "cancel what failed", t["b"].cancel(), state(t["b"])


def cancel_what_waits(world):
    t = Tasks(world, "a", "b", "c")
    world.started("a")
    yield "cancel", t["b"].cancel(), state(t["b"])
    yield "again", t["b"].cancel(), state(t["b"])
    yield "result", said(t["b"].result), said(t["b"].result, 0)
    yield "exception", said(t["b"].exception)
    t.end("a")
    world.started("c")  # b was passed over
    yield "the others", state(t["a"]), state(t["b"]), state(t["c"])
    world.open("c")
    yield "c", said(t["c"].result)


def blocked_result(world):
    """result() waits for what comes."""
    t = Tasks(world, "a", "b", "c")
    answers = [in_background(t[name].result) for name in "abc"] + [in_background(t["b"].exception)]
    world.started("a")
    t["c"].cancel()
    world.open("a")
    world.open("b", ERROR)
    yield [join() for join in answers]


def wait_modes(world):
    """Three at a time; a ends, b fails, c goes on."""
    t = Tasks(world, "a", "b", "c")
    modes = (cf.ALL_COMPLETED, cf.FIRST_COMPLETED, cf.FIRST_EXCEPTION)
    yield "nothing yet", [t.wait("abc", timeout=0, return_when=mode) for mode in modes]
    first = in_background(lambda: t.wait("abc", return_when=cf.FIRST_COMPLETED))
    t.end("a")
    yield "first completed", first(), t.wait("abc", return_when=cf.FIRST_COMPLETED)
    yield "one ended", [t.wait("abc", timeout=0, return_when=mode) for mode in modes]
    failing = in_background(lambda: t.wait("abc", return_when=cf.FIRST_EXCEPTION))
    t.end("b", ERROR)
    yield "first exception", failing(), t.wait("bca", return_when=cf.FIRST_EXCEPTION)
    everything = in_background(lambda: t.wait("abc"))
    t.end("c")
    yield "all", everything(), [t.wait("abc", return_when=mode) for mode in modes]


def wait_without_exception(world):
    """FIRST_EXCEPTION where there is none is ALL_COMPLETED; a cancelled one is done, and no exception."""
    t = Tasks(world, "a", "b", "c", "d")
    world.started("a")
    yield t["b"].cancel()
    t.end("a")
    world.started("c")  # b was passed over
    yield "two of four", t.wait("abcd", timeout=0, return_when=cf.FIRST_EXCEPTION)
    yield "first completed", t.wait("cdb", return_when=cf.FIRST_COMPLETED)
    waiting = in_background(lambda: t.wait("abcd", return_when=cf.FIRST_EXCEPTION))
    t.end("c")
    t.end("d")
    yield "all", waiting()
    yield "cancelled alone", t.wait("b"), t.wait("b", return_when=cf.FIRST_EXCEPTION)


def wait_for_duplicates(world):
    t = Tasks(world, "a", "b")
    t.end("a")
    yield t.wait("aab", timeout=0), t.wait("aa"), t.wait("abab", return_when=cf.FIRST_COMPLETED)
    t.end("b")
    yield t.wait("abab")


def in_completion_order(world):
    t = Tasks(world, "a", "b", "c", "d")
    t.end("c")
    each = world.as_completed(t.of("abcda"))
    yield "ended before", t.names([next(each)])
    for name, outcome in (("b", VALUE), ("d", ERROR), ("a", VALUE)):
        world.open(name, outcome)
        yield "next", t.names([next(each)])
    yield "no more", [f for f in each]
    yield "again", sorted(t.names(world.as_completed(t.of("abcd"))))


def as_completed_with_cancelled(world):
    t = Tasks(world, "a", "b", "c")
    world.started("a")
    t["b"].cancel()
    each = world.as_completed(t.of("abc"))
    world.open("a")
    world.open("c")
    order = [t.names([f])[0] for f in each]
    yield sorted(order), order.index("a") < order.index("c"), [said(f.result) for f in t.of("abc")]


def gather_everything(world):
    t = Tasks(world, "a", "b", "c", "d")
    world.started("a")
    t["c"].cancel()
    gathered = in_background(lambda: world.gather(t.of("abcd"), return_exceptions=True))
    world.open("a")
    world.open("b", ERROR)
    world.open("d")
    yield "in the order of asking", gathered()
    yield "when all is over", said(world.gather, t.of("dcba"), return_exceptions=True)
    yield "twice", said(world.gather, t.of("aba"), return_exceptions=True)
    yield "nothing went wrong", said(world.gather, t.of("ad"), return_exceptions=False)


def gather_until_it_fails(world):
    t = Tasks(world, "a", "b")
    gathered = in_background(lambda: world.gather(t.of("ab"), return_exceptions=False))
    world.started("a")
    world.open("b", ERROR)
    yield "failed", gathered()
    yield "the other goes on", state(t["a"])
    world.open("a")
    yield "and ends", said(t["a"].result)


def waiting_for_one(world):
    t = Tasks(world, "a", "b", "c", "d")
    world.started("a")
    yield "what waits, no time", said(world.wait_for, t["b"], 0), state(t["b"])
    t.end("a")
    yield "what ended", said(world.wait_for, t["a"], 0), said(world.wait_for, t["a"], None)
    t.end("c", ERROR)
    yield "what failed", said(world.wait_for, t["c"], DEADLINE)
    yield "what was cancelled", said(world.wait_for, t["b"], DEADLINE)
    waiting = in_background(lambda: world.wait_for(t["d"], DEADLINE))
    world.open("d")
    yield "what ends in time", waiting()


SCENARIOS = {  # and with how many workers
    states_of_one: 1, cancel_what_waits: 1, blocked_result: 1, wait_modes: 3, wait_without_exception: 1,
    wait_for_duplicates: 2, in_completion_order: 4, as_completed_with_cancelled: 1, gather_everything: 1,
    gather_until_it_fails: 2, waiting_for_one: 1,
}


# --- the court

class JudgeCase(FuturesCase):  # noqa: F405
    body = 'f=$(cat); echo "$FUTURED_ID" >"$f.started"; cat "$f"; cat "$f.result"; exit "$(cat "$f.code")"'
    functions = {"judged": {"shell": "yes", "command": body},
                 "stubborn": {"shell": "yes", "command": f"trap '' TERM; {body}"}}
    workers = 1

    def play(self, scenario, kind, workers, **options):
        world = kind(self, workers, **options)
        try:
            return list(scenario(world))
        finally:
            world.close()


class Judged(JudgeCase):
    """One test for each scenario."""


def _add(scenario, workers):
    def test(self):
        theirs = self.play(scenario, Theirs, workers)
        ours = self.play(scenario, Ours, workers)
        self.assertTrue(theirs)
        for their, our in zip(theirs, ours):
            self.assertEqual(our, their)
        self.assertEqual(len(ours), len(theirs))
    test.__doc__ = scenario.__doc__
    setattr(Judged, f"test_{scenario.__name__}", test)


for _scenario, _workers in SCENARIOS.items():
    _add(_scenario, _workers)


class Differences(JudgeCase):
    """What is not as in CPython, and why."""

    def both(self, scenario, workers=1):
        return self.play(scenario, Theirs, workers)[-1], self.play(scenario, Ours, workers)[-1]

    def test_cancelled_is_done_at_once(self):
        """There a cancelled future is done for wait() only when a thread of the pool has passed over it; here a terminal
        state is terminal for everybody from the moment it is shown."""
        def scenario(world):
            t = Tasks(world, "a", "b")
            world.started("a")
            t["b"].cancel()
            yield t["b"].done(), t.wait("b", timeout=0)
        theirs, ours = self.both(scenario)
        self.assertEqual(theirs, (True, ([], ["b"])))
        self.assertEqual(ours, (True, (["b"], [])))

    def test_cancel_of_what_runs(self):
        """There cancel() of a running future is refused. Here it is recorded and the attempt is told; the answer is False as
        well, since nothing is decided yet. What really happens then is the outcome: an attempt that heeds it ends the
        future CANCELLED, one that finishes all the same leaves its result."""
        def scenario(world):
            t = Tasks(world, "a")
            world.started("a")
            yield t["a"].cancel()
            if isinstance(world, Theirs) or world.function == "stubborn":
                yield state(t["a"])
                world.open("a")
            world.settled(t["a"])
            yield state(t["a"]), said(t["a"].result), said(t["a"].exception), t["a"].cancel()
            if isinstance(world, Ours):
                yield t["a"].get().HasField("cancel_requested")

        runs = {"cancelled": False, "running": True, "done": False}
        ended = {"cancelled": False, "running": False, "done": True}
        gone = {"cancelled": True, "running": False, "done": True}
        self.assertEqual(self.play(scenario, Theirs, 1), [False, runs, (ended, b"a", None, False)])
        self.assertEqual(self.play(scenario, Ours, 1, function="stubborn"), [False, runs, (ended, b"a", None, False), True])
        self.assertEqual(self.play(scenario, Ours, 1), [False, (gone, "cancelled", "cancelled", True), True])

    def test_gather_with_a_cancelled_one(self):
        """There the cancelled child ends gather(return_exceptions=False) as an exception would; here FIRST_EXCEPTION is
        that of concurrent.futures.wait: a cancelled one is none. A client that wants asyncio's way asks for
        FIRST_COMPLETED until it sees one."""
        def scenario(world):
            t = Tasks(world, "a", "b", "c")
            world.started("a")
            t["b"].cancel()
            t.end("a")
            world.started("c")
            gathered = in_background(lambda: world.gather(t.of("bc"), return_exceptions=False))
            if isinstance(world, Theirs):
                yield gathered(), t["c"].done()
                return
            yield t.wait("bc", timeout=0, return_when=cf.FIRST_EXCEPTION)
            t.end("c")
            gathered()
        theirs = self.play(scenario, Theirs, 1)
        ours = self.play(scenario, Ours, 1)
        self.assertEqual(theirs, [("cancelled", False)])
        self.assertEqual(ours, [(["b"], ["c"])])


if __name__ == "__main__":
    unittest.main(verbosity=2)
