#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""CPython as the judge of the Python package: the scenarios of test_judge.py, and those of CPython's documentation of Executor,
Future, wait() and as_completed(), go through ThreadPoolExecutor and through futured.Executor. Both worlds are used by the same
calls, those of the standard library, and what came out is compared."""
import asyncio
import concurrent.futures as cf
import pathlib
import tempfile
import unittest

import python_support
from python_support import DEADLINE, Gate, PythonMixin, futured

import test_judge
from test_judge import ERROR, VALUE, Tasks, Theirs, in_background, said, state


class Ours(Theirs):
    """futured.Executor, with the functions of concurrent.futures and asyncio as they are."""

    def __init__(self, case, workers, function="judged"):
        self.case, self.function = case, function
        server = case.start(workers=workers)
        self.pool = futured.Executor(server.address)
        self.gates = {}
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=case.folder))

    def submit(self, name):
        self.gates[name] = gate = Gate(self.folder, name)
        self.case.addCleanup(gate.close)
        future = self.pool.submit(self.function, gate.argument)
        assert future.id  # accepted: the order of the queue is that of the calls
        return future

    def started(self, name):
        [id_] = self.gates[name].started()
        self.case.poll(lambda: self.pool.get(id_).state is futured.State.RUNNING, "the daemon hears of it")

    def open(self, name, outcome=VALUE):
        pathlib.Path(f"{self.gates[name].path}.code").write_text("1" if outcome == ERROR else "0", encoding="ascii")
        self.gates[name].open(name.encode())

    @staticmethod
    def wait_for(future, timeout):
        try:
            return Theirs.wait_for(future, timeout)
        finally:
            cf.wait([future], DEADLINE)  # see Differences.test_cancel_in_an_event_loop

    def close(self):
        self.pool.shutdown(wait=False)


def plain(got):
    return "failed" if isinstance(got, futured.TaskError) else _plain(got)


_plain, test_judge.plain = test_judge.plain, plain  # said() calls it by this name


# --- what the documentation of Executor and Future tells, beside the scenarios of test_judge

def map_in_order(world):
    """The results of map() come in the order of the arguments, whichever ended first."""
    names = ["a", "b", "c"]
    t = Tasks(world, *names)
    for name in ("c", "a", "b"):
        t.end(name)
    yield [f.result() for f in t.of(names)]


def callbacks(world):
    """Called once, with the future, in the order they were added; at once where it is done; for cancelled ones too."""
    t = Tasks(world, "a", "b", "c")
    told = []

    def tell(word):
        return lambda f: told.append((word, t.names([f]), f.done(), f.cancelled()))
    world.started("a")
    t["a"].add_done_callback(tell(1))
    t["a"].add_done_callback(tell(2))
    t["b"].add_done_callback(tell(3))
    t["b"].cancel()
    yield list(told)
    t.end("a")
    yield list(told)
    t["a"].add_done_callback(tell(4))
    yield list(told)
    world.open("c")
    yield said(t["c"].result)


def a_callback_that_fails(world):
    t = Tasks(world, "a")

    def fail(future):
        raise ValueError("logged, not raised")
    reached = []
    t["a"].add_done_callback(fail)
    t["a"].add_done_callback(lambda f: reached.append(f.result()))
    t.end("a")
    yield reached, said(t["a"].result)


def exceptions_of_what_is_over(world):
    t = Tasks(world, "a", "b")
    world.started("a")
    t["b"].cancel()
    yield said(t["b"].result), said(t["b"].exception)
    t.end("a", ERROR)
    yield said(t["a"].result), said(t["a"].exception), said(t["a"].exception) == said(t["a"].exception)


def timeouts_of_the_module(world):
    """wait() answers what it has; as_completed() and result() raise TimeoutError."""
    t = Tasks(world, "a", "b")
    t.end("a")
    yield t.wait("ab", timeout=0)

    def all_of():
        return len(list(cf.as_completed(t.of("ab"), timeout=0)))
    yield said(all_of).split("(")[0], said(t["b"].result, 0), said(t["b"].exception, 0)
    t.end("b")
    yield said(all_of)


def mixed_with_another_executor(world):
    """wait() and as_completed() take futures of several executors."""
    t = Tasks(world, "a")
    with cf.ThreadPoolExecutor(1) as pool:
        other = pool.submit(str, 5)
        yield other.result()
        done, not_done = cf.wait([other, t["a"]], return_when=cf.FIRST_COMPLETED)
        yield other in done, t["a"] in not_done
        t.end("a")
        yield len(list(cf.as_completed([other, t["a"]])))


def shutdown_waits(world):
    t = Tasks(world, "a", "b")
    world.started("a")
    waiting = in_background(lambda: world.pool.shutdown(wait=True))
    world.open("a")
    world.open("b")
    waiting()
    yield state(t["a"]), state(t["b"]), said(t["a"].result), said(t["b"].result)
    yield said(world.pool.submit, print).split("(")[0]


def shutdown_cancels_what_waits(world):
    t = Tasks(world, "a", "b", "c")
    world.started("a")
    world.pool.shutdown(wait=False, cancel_futures=True)
    yield t["a"].cancelled(), t["b"].cancelled(), t["c"].cancelled()
    world.open("a")
    yield said(t["a"].result), said(t["b"].result)
    world.pool.shutdown()
    yield state(t["a"]), state(t["b"]), state(t["c"])


def as_a_context(world):
    with world.pool as pool:
        yield pool is world.pool
        t = Tasks(world, "a")
        world.open("a")
    yield state(t["a"]), said(t["a"].result)


def in_an_event_loop(world):
    """wrap_future(): awaiting, shielding, as_completed and wait of asyncio."""
    t = Tasks(world, "a", "b", "c")
    world.started("a")
    t["b"].cancel()

    async def main():
        a, b, c = map(asyncio.wrap_future, t.of("abc"))
        world.open("a")
        first = await a
        done, _ = await asyncio.wait([a, b])
        world.open("c", ERROR)
        rest = await asyncio.gather(asyncio.shield(c), b, return_exceptions=True)
        return first, len(done), [plain(x) for x in rest]
    yield said(asyncio.run, main())


SCENARIOS = {
    **test_judge.SCENARIOS, map_in_order: 3, callbacks: 1, a_callback_that_fails: 1, exceptions_of_what_is_over: 1,
    timeouts_of_the_module: 2, mixed_with_another_executor: 1, shutdown_waits: 1, shutdown_cancels_what_waits: 1, as_a_context: 1,
    in_an_event_loop: 1,
}


class JudgeCase(PythonMixin, test_judge.JudgeCase):
    pass


class Judged(JudgeCase):
    """One test for each scenario."""


def _add(scenario, workers):
    def test(self):
        theirs = self.play(scenario, Theirs, workers)
        ours = self.play(scenario, Ours, workers)
        self.assertTrue(theirs)
        self.assertEqual(ours, theirs)
    test.__doc__ = scenario.__doc__
    setattr(Judged, f"test_{scenario.__name__}", test)


for _scenario, _workers in SCENARIOS.items():
    _add(_scenario, _workers)


class Differences(JudgeCase):
    """What is not as in CPython; docs/python.md says why."""

    def test_cancelled_is_done_at_once(self):
        def scenario(world):
            t = Tasks(world, "a", "b")
            world.started("a")
            t["b"].cancel()
            yield t["b"].done(), t.wait("b", timeout=0)
        self.assertEqual(self.play(scenario, Theirs, 1), [(True, ([], ["b"]))])
        self.assertEqual(self.play(scenario, Ours, 1), [(True, (["b"], []))])

    def test_cancel_of_what_runs(self):
        """Both refuse; ours has told the attempt, which then ends the future CANCELLED if it heeds that."""
        def scenario(world):
            t = Tasks(world, "a")
            world.started("a")
            yield t["a"].cancel()
            if isinstance(world, Ours) and world.function == "judged":
                world.settled(t["a"])
            else:
                yield state(t["a"])
                t.end("a")
            yield t["a"].cancelled(), said(t["a"].result)
        runs = {"cancelled": False, "running": True, "done": False}
        self.assertEqual(self.play(scenario, Theirs, 1), [False, runs, (False, b"a")])
        self.assertEqual(self.play(scenario, Ours, 1), [False, (True, "cancelled")])

    def test_cancel_in_an_event_loop(self):
        """There the daemon is asked, and its answer is not waited for: the loop goes on meanwhile."""
        def scenario(world):
            t = Tasks(world, "a", "b")
            world.started("a")

            async def main():
                return t["b"].cancel()
            yield asyncio.run(main())
            cf.wait([t["b"]], DEADLINE if isinstance(world, Ours) else 0)
            yield state(t["b"])
        gone = {"cancelled": True, "running": False, "done": True}
        self.assertEqual(self.play(scenario, Theirs, 1), [True, gone])
        self.assertEqual(self.play(scenario, Ours, 1), [False, gone])

    def test_functions_have_names(self):
        """A callable of this process cannot be sent to another one; pickle would run code of whoever submits."""
        pool = futured.Executor(self.server.address)
        self.addCleanup(pool.shutdown)
        with self.assertRaises(TypeError):
            pool.submit(str, 5)
        self.assertEqual(pool.submit("echo", 5).result(DEADLINE), 5)


if __name__ == "__main__":
    assert python_support
    unittest.main(verbosity=2)
