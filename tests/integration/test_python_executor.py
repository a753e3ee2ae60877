#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""futured.Executor under the real daemon: what its futures say, what asyncio makes of it, and what becomes of them when the
daemon is killed, is never there, or says no."""
import asyncio
import concurrent.futures as cf
import gc
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import unittest.mock
import weakref

import certs
from python_support import *  # noqa: F403: the words of the contract
from python_support import PACKAGE, PythonCase, PythonDurableCase, futured, harness

import futured.aio  # noqa: E402
import futured.worker  # noqa: E402
from futured.v1 import system_pb2, system_pb2_grpc


class Futures(PythonCase):
    def test_a_future_knows_its_task(self):
        with self.executor() as executor:
            future = executor.submit("echo", "text", labels={"customer": "42"}, group="nightly")
            self.assertIsInstance(future, cf.Future)
            self.assertEqual(future.result(DEADLINE), "text")
        self.assertRegex(future.id, UUID7)
        self.assertEqual(future.task, futured.Task("echo", b"text", "text/plain; charset=utf-8", {"customer": "42"}, group="nightly"))
        self.assertEqual((future.task.argument, str(future.task)), ("text", "echo('text')"))
        [attempt] = future.attempts
        self.assertEqual((attempt.number, attempt.error, attempt.exit_code), (1, None, None))
        self.assertLessEqual(attempt.start_time, attempt.end_time)
        record = future.record()
        self.assertEqual((record.state, record.value(), record.task, record.error),
                         (futured.State.SUCCEEDED, "text", future.task, None))
        self.assertLessEqual(record.submit_time, record.start_time)
        self.assertIn(future.id, repr(future))

    def test_labels_are_changed_afterwards(self):
        executor = self.executor()
        future = executor.submit("echo", b"x", labels={"a": "1", "b": "2"})
        future.result(DEADLINE)
        record = future.annotate({"a": "one", "c": "3"}, remove=["b"])
        self.assertEqual(record.labels, {"a": "one", "c": "3"})
        self.assertEqual(future.labels, record.labels)
        self.assertEqual(future.task.labels, {"a": "1", "b": "2"})

    def test_arguments(self):
        executor = self.executor()
        for arguments, data, content_type in (
                ((), b"", ""), ((b"\0\xff",), b"\0\xff", ""), (("\u00e4",), "\u00e4".encode(), "text/plain; charset=utf-8"),
                (([1, "a"],), b'[1,"a"]', "application/json"), (({"a": None},), b'{"a":null}', "application/json"),
                ((5,), b"5", "application/json"), ((1, "a"), b'[1,"a"]', "application/json"),
                ((futured.Encoded(b"<x/>", "text/xml"),), b"<x/>", "text/xml")):
            with self.subTest(arguments=arguments):
                future = executor.submit("echo", *arguments)
                future.result(DEADLINE)
                task = future.record().task
                self.assertEqual((task.data, task.content_type), (data, content_type))
                self.assertEqual(task, future.task)
        for wrong in ((object(),), (float("nan"),), (b"a", b"b"), ({1, 2},)):
            with self.assertRaises(TypeError):
                executor.submit("echo", *wrong)
        with self.assertRaisesRegex(TypeError, "by name"):
            executor.submit(print, 1)

    def test_pickle_only_where_asked_for(self):
        executor = self.executor()
        future = executor.submit("echo", futured.pickled({1, 2}))
        self.assertIsInstance(future.result(DEADLINE), bytes)
        self.assertIsInstance(future.task.argument, bytes)
        self.assertIsInstance(executor.get(future.id).value(), bytes)
        trusting = self.executor(pickle=True)
        self.assertEqual(trusting.submit("echo", futured.pickled({1, 2})).result(DEADLINE), {1, 2})
        self.assertEqual(trusting.attach(future.id).result(DEADLINE), {1, 2})
        self.assertEqual(trusting.get(future.id).value(), {1, 2})

    def test_errors_are_told_whole(self):
        executor = self.executor()
        future = executor.submit("fail", "no luck")
        error = future.exception(DEADLINE)
        self.assertIsInstance(error, futured.TaskError)
        self.assertEqual((error.id, error.reason, error.type, error.message, error.retryable),
                         (future.id, "FUNCTION_ERROR", "FAIL", "no luck", True))
        self.assertEqual(error.task, future.task)
        self.assertEqual(str(error), f"fail: FAIL: no luck (future {future.id})")
        with self.assertRaises(futured.TaskError):
            future.result()
        with self.assertRaises(futured.TaskError):
            executor.get(future.id).value()
        self.assertEqual(future.attempts[0].error.message, "no luck")

    def test_results_that_are_not_what_they_say(self):
        executor = self.executor()
        future = executor.submit("echo", futured.Encoded(b"{", "application/json"))
        error = future.exception(DEADLINE)
        self.assertIsInstance(error, futured.DecodeError)
        self.assertEqual((error.data, error.content_type), (b"{", "application/json"))

    def test_options(self):
        executor = self.executor()
        first = executor.submit("echo", "1")
        future = executor.submit("fail", "x", options=futured.Options(
            priority=3, retry=futured.Retry(2, initial_backoff=0, jitter=0), depends_on=[first], depend_policy="on_finish",
            attempt_timeout=7.5, retention=60))
        self.assertIsInstance(future.exception(DEADLINE), futured.TaskError)
        self.assertEqual(len(future.attempts), 2)
        options = future.record().message.task.options
        self.assertEqual((options.priority, list(options.depends_on), options.depend_policy, options.attempt_timeout, options.retention),
                         (3, [first.id], future_pb2.DEPEND_POLICY_ON_FINISH, seconds(7.5), seconds(60)))
        for wrong in (dict(durability="sometimes"), dict(on_lost=3)):
            with self.assertRaises(ValueError):
                executor.submit("echo", options=futured.Options(**wrong))

    def test_key_joins(self):
        executor = self.executor()
        options = futured.Options(idempotency_key="only-once")
        self.assertEqual(executor.submit("echo", "x", options=options).id, executor.submit("echo", "x", options=options).id)
        refused = executor.submit("echo", "another", options=options).exception(DEADLINE)
        self.assertEqual((refused.code, refused.reason), ("ALREADY_EXISTS", "KEY_OF_ANOTHER_TASK"))

    def test_running_and_cancel_are_true(self):
        executor = self.executor()
        gate = self.gate()
        runs = executor.submit("gate", gate.argument)
        self.assertEqual(gate.started(), [runs.id])
        self.until(runs.id, lambda f: f.state == RUNNING)
        self.assertTrue(runs.running())
        occupied = [executor.submit("gate", gate.argument) for _ in range(self.workers - 1)]
        gate.started(self.workers)
        waits = executor.submit("gate", gate.argument)
        self.assertIs(executor.get(waits.id).state, futured.State.PENDING)
        self.assertFalse(waits.running())
        self.assertTrue(waits.cancel("not needed"))
        self.assertTrue(waits.cancelled() and waits.done())
        record = executor.get(waits.id)
        self.assertEqual((record.state, record.message.cancel_requested.reason), (futured.State.CANCELLED, "not needed"))
        self.assertFalse(runs.cancel())  # it is told
        with self.assertRaises(cf.CancelledError):
            runs.result(DEADLINE)
        self.assertTrue(runs.cancelled())
        gate.open(b"x")
        for future in occupied:
            self.assertEqual(future.result(DEADLINE), b"x")
            self.assertFalse(future.cancel())

    def test_wait_and_as_completed(self):
        executor = self.executor()
        gate = self.gate()
        held = executor.submit("gate", gate.argument)
        quick = executor.submit("echo", b"1")
        done, not_done = cf.wait([held, quick], DEADLINE, cf.FIRST_COMPLETED)
        self.assertEqual((done, not_done), ({quick}, {held}))
        each = cf.as_completed([held, quick], DEADLINE)
        self.assertIs(next(each), quick)
        gate.open(b"2")
        self.assertIs(next(each), held)
        self.assertEqual(cf.wait([held, quick], DEADLINE).not_done, set())

    def test_map(self):
        executor = self.executor()
        self.assertEqual(list(executor.map("echo", ["a", "b"], timeout=DEADLINE)), ["a", "b"])
        self.assertEqual(list(executor.map("echo", [1, 2, 3], "xy")), [[1, "x"], [2, "y"]])
        gate = self.gate()
        failing = executor.map("gate", [gate.argument] * 3, timeout=0)
        with self.assertRaises(TimeoutError):
            next(failing)
        executor.shutdown()  # what was left is cancelled, before it was sent or afterwards
        self.assertEqual({record.state for record in executor.find("function = gate")} - {futured.State.CANCELLED}, set())

    def test_functions_are_callables(self):
        executor = self.executor()
        echo = executor.function("echo", labels={"by": "function"}, group="g")
        self.assertEqual(echo("x"), "x")
        self.assertEqual(list(map(echo, ["a", "b"])), ["a", "b"])
        future = executor.submit(echo, "y", labels={"more": "1"})
        self.assertEqual((future.result(DEADLINE), future.task.labels, future.task.group), ("y", {"by": "function", "more": "1"}, "g"))
        with cf.ThreadPoolExecutor(1) as pool:
            self.assertEqual(pool.submit(echo, "z").result(DEADLINE), "z")
        describing = executor.function(echo, completed=True)
        got = describing("x")
        self.assertEqual((got.value, got.task.function, got.task.argument), ("x", "echo", "x"))
        value, task, id_ = got
        self.assertEqual((value, executor.get(id_).task), ("x", task))

    def test_run_in_executor(self):
        executor = self.executor()
        echo = executor.function("echo", completed=True)

        async def main():
            loop = asyncio.get_running_loop()
            calls = [loop.run_in_executor(executor, echo, n) for n in range(20)]
            got = await asyncio.gather(*calls)
            self.assertEqual([(c.value, c.task.argument) for c in got], [(n, n) for n in range(20)])
            gate = self.gate()
            call = loop.run_in_executor(executor, "gate", gate.argument)
            id_, = await loop.run_in_executor(None, gate.started)
            call.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await call
            return id_
        id_ = asyncio.run(main())
        self.assertEqual(self.finished(id_).state, CANCELLED)

    def test_attach(self):
        executor = self.executor()
        gate = self.gate()
        id_ = self.submit("gate", gate.argument, labels={"a": "b"}, group="elsewhere")
        futures = [executor.attach(id_) for _ in range(3)] + [executor.future(id_, completed=True)]
        gate.open(b"done")
        self.assertEqual([f.result(DEADLINE) for f in futures[:3]], [b"done"] * 3)
        self.assertEqual((futures[0].task.data, futures[0].task.labels), (gate.argument, {"a": "b"}))
        self.assertEqual(futures[3].result(DEADLINE), futured.Completed(b"done", futures[0].task, id_))
        self.assertEqual(executor.attach(id_).result(DEADLINE), b"done")  # again, after its end
        self.assertEqual([r.id for r in executor.find(group="elsewhere")], [id_])
        unknown = executor.attach(NO_SUCH_ID)
        self.assertIsInstance(unknown.exception(DEADLINE), futured.UnknownFuture)
        with self.assertRaises(LookupError):
            executor.get(NO_SUCH_ID)

    def test_many(self):
        executor = self.executor(max_waiting=10)
        futures = [executor.submit("echo", n) for n in range(3000)]
        self.assertEqual([f.result(DEADLINE) for f in futures], list(range(3000)))
        self.assertEqual(len({f.id for f in futures}), 3000)

    def test_submit_from_a_callback(self):
        """The thread that brings the answers does not wait for room."""
        executor = self.executor(max_waiting=1)
        after = cf.Future()
        first = executor.submit("echo", 0)
        first.add_done_callback(lambda f: after.set_result([executor.submit("echo", n) for n in range(50)]))
        self.assertEqual([f.result(DEADLINE) for f in after.result(DEADLINE)], list(range(50)))

    def test_shutdown(self):
        executor = self.executor()
        gate = self.gate()
        held = [executor.submit("gate", gate.argument) for _ in range(self.workers + 2)]
        gate.started(self.workers)
        for future in held[:self.workers]:
            self.until(future.id, lambda f: f.state == RUNNING)
        executor.shutdown(wait=False, cancel_futures=True)
        with self.assertRaisesRegex(RuntimeError, "after shutdown"):
            executor.submit("echo")
        self.assertEqual([f.cancelled() for f in held], [False] * self.workers + [True] * 2)
        gate.open(b"x")
        executor.shutdown()
        self.assertEqual([f.result(0) for f in held[:self.workers]], [b"x"] * self.workers)
        self.assertEqual(held[0].attempts[0].number, 1)

    def test_shutdown_of_more_than_one_call_can_name(self):
        """A selector has at most 10,000 IDs."""
        executor = self.executor()
        gate = self.gate()
        futures = [executor.submit("gate", gate.argument) for _ in range(10_001 + self.workers)]
        gate.started(self.workers)
        for future in futures[:self.workers]:
            self.until(future.id, lambda f: f.state == RUNNING)
        self.assertTrue(all(f.id for f in futures))  # accepted, not only queued here
        executor.shutdown(wait=False, cancel_futures=True)
        self.assertEqual({f.cancelled() for f in futures[self.workers:]}, {True})
        gate.open(b"x")
        executor.shutdown()
        self.assertEqual([f.result(0) for f in futures[:self.workers]], [b"x"] * self.workers)

    def test_shutdown_in_an_event_loop(self):
        """It waits there too, as CPython's does."""
        async def main():
            with self.executor() as executor:
                return executor.submit("echo", 1)
        self.assertTrue(asyncio.run(main()).done())

    def test_forgotten_executors(self):
        """One that nobody holds any more ends by itself; its futures do not."""
        for _ in range(3):
            executor = futured.Executor(self.server.address)
            executor.itself = executor  # only the collector of garbage gets it
            future = executor.submit("echo", 1)
            link = weakref.ref(executor._link)
            del executor
            gc.collect()
            self.assertEqual(future.result(DEADLINE), 1)
            self.assertTrue(link().is_closing)
            link().runs.join(DEADLINE)

    def test_tls(self):
        server = harness.ServerCase.start(self, program="futured", listen=("tls:127.0.0.1:0",), config={"tls": certs.section()},
                                          arguments=("--workers", "1"))
        executor = self.executor(address=f"tls:{server.address}", credentials=harness.credentials("alice", "ca"))
        self.assertEqual(executor.submit("echo", 1).result(DEADLINE), 1)
        stranger = self.executor(address=f"tls:{server.address}", patience=0.2)  # knows neither us nor our authority
        self.assertIsInstance(stranger.submit("echo", 1).exception(DEADLINE), futured.Unreachable)

    def test_files_of_certificates_and_tokens(self):
        """Given, or in the environment, to all three: executor, client for asyncio, worker."""
        token, wrong = self.folder / "token", self.folder / "wrong"
        token.write_text("0123456789abcdef\n", encoding="ascii")
        wrong.write_text("0123456789abcdee\n", encoding="ascii")
        server = harness.ServerCase.start(self, program="futured", listen=("tls:127.0.0.1:0",), arguments=("--workers", "1"), config={
            "tls": certs.section(),
            "principal.all": {"token_hash": hashlib.sha256(b"0123456789abcdef").hexdigest(), "rights": "submit read cancel worker"}})
        address = f"tls:{server.address}"
        who = {"tls_ca": certs.path("ca.crt"), "tls_cert": certs.path("alice.crt"), "tls_key": certs.path("alice.key")}
        environment = {f"FUTURED_{name.upper()}": str(path) for name, path in (*who.items(), ("token_file", token))}

        async def asked(**who):
            async with futured.aio.Client(address, **who) as client:
                return await client.submit("twice", 4)
        registry = futured.worker.Registry()
        registry.function(lambda n: 2 * n, name="twice")
        for given, variables in (({**who, "token_file": str(token)}, {}), ({}, environment)):
            with unittest.mock.patch.dict(os.environ, variables):
                executor = self.executor(address=address, **given)
                self.assertEqual(executor.submit("echo", 1).result(DEADLINE), 1)
                with self.assertRaises(futured.UnknownFuture):
                    executor.get(NO_SUCH_ID)
                worker = futured.worker.Worker(registry, address, slots=1, **given).start()
                while isinstance(error := (future := executor.submit("twice", 3)).exception(DEADLINE), futured.Refused):
                    self.assertEqual(error.reason, "NO_SUCH_FUNCTION")  # it has not come yet
                self.assertEqual((future.result(), asyncio.run(asked(**given))), (6, 8))
                worker.stop()
                worker.join(DEADLINE)
        refused = self.executor(address=address, **who, token_file=str(wrong)).submit("echo", 1).exception(DEADLINE)
        self.assertEqual(refused.code, "UNAUTHENTICATED")
        for wrong, why in (({"tls_cert": who["tls_cert"]}, "belong together"), ({"token_file": "/nowhere"}, "cannot read /nowhere: No such file"),
                           ({"token_file": who["tls_ca"]}, "is no token"), ({"tls_ca": "/nowhere"}, "cannot read /nowhere"),
                           ({**who, "credentials": harness.credentials()}, "one or the other")):
            with self.assertRaisesRegex(ValueError, why):
                futured.Executor(address, **wrong)
        with self.assertRaisesRegex(ValueError, "tls:HOST:PORT"):
            futured.Executor(self.server.address, **who)

    def test_token_of_a_socket(self):
        """There is no TLS, and the token is shown all the same."""
        (token := self.folder / "token").write_text("0123456789abcdef", encoding="ascii")
        server = self.start(more={"principal.all": {"token_hash": hashlib.sha256(b"0123456789abcdef").hexdigest(), "rights": "submit read"}})
        executor = self.executor(address=server.address, token_file=str(token))
        future = executor.submit("echo", 1)
        self.assertEqual(future.result(DEADLINE), 1)
        self.assertEqual(future.record().message.submitter.principal, "all")

    def test_a_process_ends_when_all_is_accepted(self):
        gate = self.gate()
        code = ("import futured, sys; e = futured.Executor(sys.argv[1]); "
                "[e.submit('gate', sys.argv[2], group='left') for _ in range(500)]")
        subprocess.run([sys.executable, "-c", code, self.server.address, gate.argument], check=True, timeout=DEADLINE,
                       env={**os.environ, "PYTHONPATH": str(PACKAGE)})
        self.assertEqual(len(list(self.executor().find(group="left"))), 500)


class Hostile(PythonCase):
    def test_refused(self):
        executor = self.executor()
        future = executor.submit("nothing", "x")
        error = future.exception(DEADLINE)
        self.assertIsInstance(error, futured.Refused)
        self.assertEqual((error.code, error.reason, error.metadata), ("FAILED_PRECONDITION", "NO_SUCH_FUNCTION", {"function": "nothing"}))
        with self.assertRaises(futured.Refused):
            future.id
        self.assertFalse(future.cancel() or future.running())
        self.assertEqual(executor.submit("echo", "x").result(DEADLINE), "x")  # the others do not notice

    def test_too_large(self):
        executor = self.executor()
        futures = [executor.submit("echo", b"x" * n) for n in (10, 5 << 20, 3 << 20)]
        error = futures[1].exception(DEADLINE)
        self.assertIsInstance(error, futured.TooLarge)
        self.assertIn("4194304", str(error))
        self.assertEqual([len(f.result(DEADLINE)) for f in futures[::2]], [10, 3 << 20])

    def test_a_queue_that_is_full_is_waited_for(self):
        functions = self.functions_of(self.server)
        functions.SetFunctionLimits(functions_pb2.SetFunctionLimitsRequest(function="gate", max_pending=2))
        executor = self.executor()
        gate = self.gate()
        futures = [executor.submit("gate", gate.argument) for _ in range(self.workers + 6)]
        gate.started(self.workers)
        gate.open(b"x")
        self.assertEqual([f.result(DEADLINE) for f in futures], [b"x"] * len(futures))

    def test_never_there(self):
        executor = self.executor(address=f"unix:{self.folder}/nobody", patience=0.3, call_timeout=0.3)
        future = executor.submit("echo", "x")
        error = future.exception(DEADLINE)
        self.assertIsInstance(error, futured.Unreachable)
        self.assertIsInstance(error, ConnectionError)
        self.assertIn("nobody", str(error))
        attached = executor.attach(NO_SUCH_ID)
        self.assertIsInstance(attached.exception(DEADLINE), futured.Unreachable)
        self.assertEqual(attached.exception().id, NO_SUCH_ID)
        with self.assertRaises(futured.Unreachable):
            executor.get(NO_SUCH_ID)
        executor.shutdown()

    def test_cancelled_before_it_was_sent(self):
        executor = self.executor(address=f"unix:{self.folder}/nobody")
        future = executor.submit("echo", "x")
        self.assertTrue(future.cancel())
        with self.assertRaises(cf.CancelledError):
            future.id
        executor.shutdown()

    def test_there_later(self):
        path = self.folder / "later"
        executor = self.executor(address=f"unix:{path}")
        futures = [executor.submit("echo", n) for n in range(10)]
        self.start(listen=(f"unix:{path}",))
        self.assertEqual([f.result(DEADLINE) for f in futures], list(range(10)))

    def test_who_answers_is_no_daemon(self):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.folder / "stranger"))
            listener.listen()

            def serve():
                try:
                    while True:
                        connection = listener.accept()[0]
                        connection.sendall(b"220 mail.example ESMTP\r\n")
                        connection.close()
                except OSError:
                    return
            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            executor = self.executor(address=f"unix:{self.folder}/stranger", patience=0.3)
            self.assertIsInstance(executor.submit("echo").exception(DEADLINE), futured.Unreachable)
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(DEADLINE)

    def test_lost_with_the_daemon(self):
        """Futures in memory: who waited is told that they are gone."""
        path = self.folder / "memory"
        server = self.start(listen=(f"unix:{path}",))
        executor = self.executor(address=server.address)
        gate = self.gate()
        future = executor.submit("gate", gate.argument)
        self.assertEqual(gate.started(), [future.id])
        server.signal(signal.SIGTERM)
        server.wait()
        self.start(listen=(f"unix:{path}",))
        self.assertIsInstance(future.exception(DEADLINE), futured.UnknownFuture)


class Restarts(PythonDurableCase):
    workers = 4

    def count(self, group):
        return self.futures.Count(futures_pb2.CountRequest(selector=future_pb2.Selector(group=group))).count

    def test_shutdown_while_it_is_away(self):
        """Nobody says what could be cancelled: that is told, and the executor is closed all the same."""
        executor = self.executor()
        gate = self.gate()
        future = executor.submit("gate", gate.argument)
        self.assertEqual(gate.started(), [future.id])
        self.kill()
        executor._link.call_timeout = 0.1
        with self.assertRaises(futured.Unreachable):
            executor.shutdown(cancel_futures=True, wait=False)
        with self.assertRaisesRegex(RuntimeError, "after shutdown"):
            executor.submit("echo")
        self.server = self.start()
        gate.open(b"x")
        self.assertEqual(future.result(DEADLINE), b"x")

    def test_killed_in_the_middle(self):
        """Nothing is lost, nothing is there twice, and every future knows the ID that it had."""
        with self.executor() as executor:
            gate = self.gate()
            held = [executor.submit("gate", gate.argument, group="g") for _ in range(6)]
            ids = [f.id for f in held]
            gate.started(4)
            attached = executor.attach(ids[0])
            self.restart()
            queued = [executor.submit("echo", n, group="g") for n in range(10)]
            gate.open(b"x")
            self.assertEqual([f.result(DEADLINE) for f in [*held, attached]], [b"x"] * 7)
            self.assertEqual([f.result(DEADLINE) for f in queued], list(range(10)))
            self.assertEqual([f.id for f in held], ids)
            self.assertEqual(self.count("g"), 16)

    def test_killed_under_load(self):
        """Many are on their way when it is killed, three times: each is accepted once."""
        with self.executor(max_waiting=5000) as executor:
            futures = []
            for _ in range(3):
                futures += [executor.submit("echo", n, group="load") for n in range(len(futures), len(futures) + 300)]
                futures[-250].id  # some are accepted
                self.restart()
            self.assertEqual([f.result(DEADLINE) for f in futures], list(range(900)))
        self.assertEqual(len({f.id for f in futures}), 900)
        self.assertEqual(self.count("load"), 900)

    def test_cancel_while_it_is_away(self):
        with self.executor(call_timeout=0.2) as executor:
            gate = self.gate()
            occupied = [executor.submit("gate", gate.argument) for _ in range(4)]
            gate.started(4)
            waiting = executor.submit("gate", gate.argument)
            waiting.id
            self.kill()
            self.assertFalse(waiting.cancel())
            self.assertFalse(waiting.running())
            self.server = self.start()
            with self.assertRaises(cf.CancelledError):  # it was asked again
                waiting.result(DEADLINE)
            gate.open(b"x")
            self.assertEqual([f.result(DEADLINE) for f in occupied], [b"x"] * 4)

    def test_drained(self):
        """What a draining daemon refuses is sent again to the next one."""
        with self.executor() as executor:
            self.assertEqual(executor.submit("echo", 1).result(DEADLINE), 1)
            self.system = harness.Stub(system_pb2_grpc.SystemStub(self.channel()))
            self.system.Drain(system_pb2.DrainRequest(stop_accept=True))
            future = executor.submit("echo", 2)
            self.restart(is_clean=True)
            self.assertEqual(future.result(DEADLINE), 2)

if __name__ == "__main__":
    main()
