#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reloading: what changes takes effect, what is wrong changes nothing, and nothing is lost or refused meanwhile."""
import hashlib
import itertools
import signal
import threading

import harness
import futures_support
from futures_support import *  # noqa: F403: the words of the contract

from futured.v1 import system_pb2, system_pb2_grpc, workers_pb2, workers_pb2_grpc
from test_plugins import build

# A plugin that tells which file it came from: of one version a file is made for any other by other digits.
VERSIONED = """
#include <futured/plugin.h>
#define VERSION "@@@@@@@@"

static int run(const struct futured_host *host, struct futured_call *call, void *state)
{
    (void)state;
    return host->set_result(call, VERSION, sizeof VERSION - 1);
}
static const struct futured_plugin_function functions[] = {{"versioned", "Version " VERSION ".", NULL, NULL, run, NULL, NULL}};
const struct futured_plugin futured_plugin = {FUTURED_PLUGIN_ABI, sizeof(struct futured_plugin), "versioned", VERSION,
                                              functions, sizeof functions[0], 1};
"""
ROUNDS = 10 if harness.IS_SANITIZED else 100


class ReloadCase(FuturesCase):
    def setUp(self):
        super().setUp()
        self.system = harness.Stub(system_pb2_grpc.SystemStub(self.channel()))
        self.attached = harness.Stub(workers_pb2_grpc.WorkersStub(self.channel()))
        self.functions = self.functions_of(self.server)
        self.poll(lambda: len(self.pids()) == 2, "the pool is there")

    def start(self, pool=None, functions=None):
        """As the others do, but nothing that is to change stands in the command line, which wins over the file."""
        sections = {"pool": {"workers": 2, **(pool or {})}, "timeouts": self.timeouts, "function.gate": Gate.COMMAND,
                    **{f"function.{name}": keys for name, keys in (functions or {}).items()}}
        return harness.ServerCase.start(self, program="futured", config=sections, store=STORE)

    @property
    def file(self):
        return self.server.directory / "futured.conf"

    def change(self, old, new):
        """In the configuration."""
        text = self.file.read_text(encoding="utf-8")
        self.assertIn(old, text)
        self.file.write_text(text.replace(old, new, 1), encoding="utf-8")

    def add(self, text):
        with open(self.file, "a", encoding="utf-8") as file:
            file.write(text)

    def reload(self, **fields):
        return self.system.Reload(system_pb2.ReloadRequest(**fields))

    def outcome(self, function, argument=b""):
        return self.futures.Run(run(function, argument))

    def info(self, function):
        return self.functions.GetFunction(functions_pb2.GetFunctionRequest(function=function))

    def pids(self):
        return sorted(w.pid for w in self.attached.ListWorkers(workers_pb2.ListWorkersRequest()).workers
                      if w.state == workers_pb2.WORKER_STATE_READY)

    def plugin(self, version):
        """Put it there as an installer would: beside, and renamed."""
        made = self.folder / "made.so"
        if not made.exists():
            source = self.folder / "versioned.c"
            source.write_text(VERSIONED, encoding="ascii")
            build(source, made)
        beside = self.folder / "beside"
        beside.write_bytes(made.read_bytes().replace(b"@@@@@@@@", b"%08d" % version))
        return beside.rename(self.folder / "versioned.so")


class Settings(ReloadCase):
    def start(self):
        return super().start(functions={"word": {"command": "printf one"}})

    def test_nothing(self):
        before = self.pids()
        self.assertEqual(self.reload(), system_pb2.ReloadResponse())
        self.assertEqual(self.pids(), before)

    def test_functions(self):
        self.assertEqual(self.outcome("word").result.data, b"one")
        before = self.pids()
        self.change("printf one", "printf two")
        self.add("[function.more]\ncommand = printf more\ndoc = More.\n")
        self.assertEqual(list(self.reload(dry_run=True).changed), ["function.more", "function.word.command"])
        self.assertEqual((self.pids(), self.outcome("word").result.data), (before, b"one"))
        self.assertEqual(list(self.reload().changed), ["function.more", "function.word.command"])
        for _ in range(8):
            self.assertEqual(self.outcome("word").result.data, b"two")
            self.assertEqual(self.outcome("more").result.data, b"more")
        self.assertEqual(len(self.pids()), 2)
        self.assertFalse(set(self.pids()) & set(before))
        self.assertEqual((self.info("more").spec.doc, list(self.info("more").kinds)),
                         ("More.", [functions_pb2.FUNCTION_KIND_COMMAND]))

        self.change("[function.more]\ncommand = printf more\ndoc = More.\n", "")
        self.assertEqual(list(self.reload().changed), ["function.more"])
        info = self.info("more")
        self.assertEqual((info.worker_count, list(info.kinds)), (0, []))
        waiting = self.submit("more")
        got = self.futures.Get(get(waiting))
        self.assertEqual((got.state, got.pending_reason), (PENDING, future_pb2.PENDING_REASON_NO_WORKER))
        self.add("[function.more]\ncommand = printf again\n")
        self.reload()
        self.assertEqual(self.finished(waiting).result.data, b"again")

    def test_limits_and_defaults(self):
        before = self.pids()
        self.add("[function.echo]\nmax_pending = 1\npriority = 7\nmax_attempts = 3\n")
        self.assertEqual(list(self.reload().changed), ["function.echo"])
        self.assertEqual(self.pids(), before, "workers need not know")
        info = self.info("echo")
        self.assertEqual((info.limits.max_pending, info.spec.default_options.priority,
                          info.spec.default_options.retry.max_attempts), (1, 7, 3))
        self.assertEqual(self.outcome("echo", b"x").result.data, b"x")
        self.change("max_pending = 1\npriority = 7\nmax_attempts = 3\n", "priority = 8\n")
        self.assertEqual(list(self.reload().changed),
                         ["function.echo.max_pending", "function.echo.priority", "function.echo.max_attempts"])
        info = self.info("echo")
        self.assertEqual((info.limits.max_pending, info.spec.default_options),
                         (0, future_pb2.TaskOptions(priority=8)))
        self.change("[function.echo]\npriority = 8\n", "")
        self.reload()
        self.assertFalse(self.info("echo").spec.HasField("default_options"))

    def test_workers(self):
        before = self.pids()
        self.change("workers = 2", "workers = 4")
        self.assertEqual(list(self.reload().changed), ["pool.workers"])
        self.assertEqual(len(self.pids()), 4)
        self.assertLessEqual(set(before), set(self.pids()))
        self.change("workers = 4", "workers = 1")
        self.reload()
        self.assertEqual(len(self.pids()), 1)
        self.poll(lambda: len(self.worker_pids()) == 1, "the others end")
        self.change("workers = 1", "workers = 0")
        self.reload()
        self.assertEqual(self.pids(), [])
        waiting = self.submit("echo", b"x")
        self.change("workers = 0", "workers = 2")
        self.reload()
        self.assertEqual(self.finished(waiting).result.data, b"x")

    def test_needs_restart(self):
        self.add("[limits]\nwatch_events = 7\nscan = 1000\n[store]\ncache = 1M\n")
        for _ in range(2):  # as long as it differs
            got = self.reload()
            self.assertEqual(list(got.needs_restart), ["limits.watch_events", "store.cache"])
        self.assertEqual(self.system.GetInfo(system_pb2.GetInfoRequest()).limits.scan_limit, 1000)
        self.server.log.wait("warning needs_restart setting=store.cache")

    def test_log_level(self):
        self.add("[futured]\nlog_level = error\n")
        self.reload()
        self.assertFalse(self.server.log.find("notice reloaded"))

    def test_wrong(self):
        before, text = self.pids(), self.file.read_text(encoding="utf-8")
        self.change("printf one", "printf two")
        self.add("[pool]\nthread = 1\n")
        line = self.file.read_text(encoding="utf-8").splitlines().index("thread = 1") + 1
        for dry in (False, True):
            with self.assertRaises(grpc.RpcError) as caught:
                self.reload(dry_run=dry)
            self.assert_refused(caught.exception, grpc.StatusCode.FAILED_PRECONDITION, "INVALID_CONFIGURATION")
            self.assertIn(f"{self.file}:{line}: [pool] thread: there is no such key", caught.exception.details())
        self.assertEqual((self.pids(), self.outcome("word").result.data), (before, b"one"))
        self.server.signal(signal.SIGHUP)
        self.server.log.wait("error not_reloaded", 3)
        self.server.log.wait(f"error configuration_wrong text=.*{self.file}:{line}:", 3)
        self.assertEqual((self.pids(), self.outcome("word").result.data), (before, b"one"))
        self.file.write_text(text.replace("one", "two"), encoding="utf-8")
        self.server.signal(signal.SIGHUP)
        self.server.log.wait("notice reloaded principal=SIGHUP")
        self.poll(lambda: self.outcome("word").result.data == b"two", "the new command")
        said = self.server.take_notified()
        self.assertRegex(said, r"RELOADING=1\nMONOTONIC_USEC=\d+\n")
        self.poll(lambda: self.server.take_notified().endswith(f"READY=1\nSTATUS=Serving on {self.server.address}"), "READY=1")

    def test_while_draining(self):
        self.system.Drain(system_pb2.DrainRequest(stop_dispatch=True))
        self.change("printf one", "printf two")
        self.assertEqual(list(self.reload().changed), ["function.word.command"])
        waiting = self.submit("word")
        self.system.Resume(system_pb2.ResumeRequest())
        self.assertEqual(self.finished(waiting).result.data, b"two")


    def test_what_is_told_while_drained(self):
        """A reload changes nothing of what the service manager shows."""
        told = lambda last: self.poll(lambda: self.server.take_notified().endswith(last), last)  # noqa: E731
        self.system.Drain(system_pb2.DrainRequest(stop_accept=True))
        told("\nSTATUS=Drained: nothing is accepted")
        self.reload()
        told("\nREADY=1\nSTATUS=Drained: nothing is accepted")
        self.system.Resume(system_pb2.ResumeRequest())
        told(f"\nSTATUS=Serving on {self.server.address}")


class Plugins(ReloadCase):
    def start(self):
        return super().start(pool={"plugin": self.plugin(1)})

    def test_changed_file(self):
        self.assertEqual(int(self.outcome("versioned").result.data), 1)
        self.assertEqual(self.info("versioned").spec.doc, "Version 00000001.")
        for version in (2, 3):
            path = self.plugin(version)
            self.assertEqual(self.reload(dry_run=True), system_pb2.ReloadResponse(plugins=[str(path)]))
            self.assertEqual(self.reload(), system_pb2.ReloadResponse(plugins=[str(path)]))
            self.assertEqual(int(self.outcome("versioned").result.data), version)
            self.assertEqual(self.info("versioned").spec.doc, f"Version {version:08}.")
        self.assertEqual(self.reload(), system_pb2.ReloadResponse())

    def test_gone(self):
        self.change(f"plugin = {self.folder}/versioned.so", "")
        self.assertEqual(list(self.reload().changed), ["pool.plugin"])
        info = self.info("versioned")
        self.assertEqual((info.worker_count, list(info.kinds)), (0, []))
        self.assertEqual(list(self.info("echo").kinds), [functions_pb2.FUNCTION_KIND_PLUGIN])
        got = self.futures.Get(get(self.submit("versioned")))
        self.assertEqual((got.state, got.pending_reason), (PENDING, future_pb2.PENDING_REASON_NO_WORKER))

    def test_busy_workers(self):
        """What runs ends where it began; what waits behind it runs on new workers, which do not wait for that."""
        gates = [self.gate("a"), self.gate("b")]
        ids = [self.submit("gate", g.argument) for g in gates]
        for g in gates:
            g.started()
        before = self.pids()
        self.plugin(2)
        self.reload()
        self.assertFalse(set(self.pids()) & set(before))
        self.assertEqual(len(self.worker_pids()), 4)
        self.assertEqual(int(self.outcome("versioned").result.data), 2)
        for g in gates:
            g.open(b"done")
        for id_ in ids:
            got = self.finished(id_)
            self.assertEqual((got.state, got.result.data, len(got.attempts)), (SUCCEEDED, b"done", 1))
        self.poll(lambda: len(self.worker_pids()) == 2, "the old workers end")


class UnderLoad(ReloadCase):
    """Reloaded again and again while clients work: plugin, command and limits change each time."""

    def start(self):
        return super().start(pool={"plugin": self.plugin(0)}, functions={"word": {"command": "printf 0"}})

    def requests(self, i):
        yield "sha256", str(i).encode()
        yield "versioned", b""
        yield "word", b""
        yield "echo", bytes(i % 70000)

    def judge(self, got, since):
        """That it is right, and not of a version that was gone when it was asked for."""
        self.assertEqual((got.state, len(got.attempts)), (SUCCEEDED, 1), got)
        function, data = got.task.function, got.result.data
        if function == "sha256":
            self.assertEqual(data.decode(), hashlib.sha256(got.task.argument).hexdigest())
        elif function == "echo":
            self.assertEqual(data, got.task.argument)
        else:
            self.assertLessEqual(since, int(data))
            self.assertLessEqual(int(data), self.version)

    def work(self, stub):
        try:
            for i in itertools.count():
                if self.is_over:
                    return
                since = self.reloaded
                asked = [run(function, argument) for function, argument in self.requests(i)]
                got = list(stub.RunStream(iter(asked)))
                self.assertEqual(len(got), len(asked))
                for g in got:
                    self.assertTrue(g.HasField("finished"), g)
                    self.judge(g.finished, since)
                self.n_done += len(got)
                self.has_worked.release()
        except BaseException as error:  # told by the test
            self.error = error
            self.has_worked.release()

    def test_nothing_is_lost_or_refused(self):
        self.version = self.reloaded = self.n_done = 0
        self.is_over, self.error, self.has_worked = False, None, threading.Semaphore(0)
        self.assertEqual(self.reload(), system_pb2.ReloadResponse())
        self.poll(lambda: len(self.worker_pids()) == 2, "the pool is there")
        stubs = [self.futures_of(self.server) for _ in range(3)]
        for stub in stubs:
            stub.Run(run("echo"))
        fds = self.server.n_fds()
        clients = [threading.Thread(target=self.work, args=[stub], daemon=True) for stub in stubs]
        for client in clients:
            client.start()
        for i in range(1, ROUNDS + 1):
            self.version = i
            path = self.plugin(i)
            self.change(f"printf {i - 1}", f"printf {i}")
            if i % 3 == 0:  # one of those that nobody waits for
                self.server.signal(signal.SIGHUP)
            got = self.reload()
            if i % 3:
                self.assertEqual(got, system_pb2.ReloadResponse(changed=["function.word.command"], plugins=[str(path)]))
            self.reloaded = i
            self.server.take_notified()  # which would fill up
            self.has_worked.acquire(timeout=DEADLINE)
            if self.error:
                raise self.error
        self.is_over = True
        for client in clients:
            client.join(DEADLINE)
        if self.error:
            raise self.error
        self.assertGreater(self.n_done, ROUNDS)
        self.poll(lambda: len(self.worker_pids()) == 2, "the old workers end")
        self.poll(lambda: self.server.n_fds() <= fds, "what belonged to them is closed")
        stats = self.system.GetStats(system_pb2.GetStatsRequest(prefix="workers_crashed")).stats
        self.assertEqual([s.value for s in stats], [0])


if __name__ == "__main__":
    futures_support.main()
