#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Functions from shared objects: the examples of client/examples, built as their comments say and run by the daemon; and
plugins that cannot be loaded, or that kill every worker that loads them."""
import os
import signal
import subprocess

import harness
import futures_support
from futures_support import *  # noqa: F403: the words of the contract

from grpc.health.v1 import health_pb2, health_pb2_grpc
from futured.v1 import workers_pb2, workers_pb2_grpc

EXAMPLES = harness.ROOT / "client/examples"
TEST_PLUGINS = harness.BIN.parent / "tests/unit/worker/plugins"
INVALID = code_pb2.INVALID_ARGUMENT

# A plugin of which WHERE kills the process.
DEADLY = """
#include <futured/plugin.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *where)
{
    if (strcmp(where, WHERE) == 0)
        abort();
}
__attribute__((constructor)) static void construct(void) { die("load"); }
static int init(const struct futured_host *host, void **state) { die("init"); return 0; }
static int run(const struct futured_host *host, struct futured_call *call, void *state) { return 0; }
static const struct futured_plugin_function functions[] = {{"deadly.run", NULL, NULL, init, run, NULL, NULL}};
const struct futured_plugin futured_plugin = {FUTURED_PLUGIN_ABI, sizeof(struct futured_plugin), "deadly", "1",
                                              functions, sizeof functions[0], 1};
"""


def build(source, out, *options):
    compiler = {".c": "cc", ".cpp": "c++"}[source.suffix]
    subprocess.run([compiler, "-Wall", "-Wextra", "-Werror", *options, "-shared", "-fPIC", "-I",
                    harness.ROOT / "client/include", "-o", out, source], check=True)
    return out


class PluginCase(FuturesCase):
    plugins = ()

    def start(self, **options):
        values = "\nplugin = ".join(str(p) for p in self.made())
        return super().start(pool={"plugin": values} if values else {}, **options)

    def made(self):
        return self.plugins

    def outcome(self, function, argument=b"", **fields):
        return self.futures.Run(run(function, argument, **fields))

    def info(self, function):
        return self.functions_of(self.server).GetFunction(functions_pb2.GetFunctionRequest(function=function))


class Examples(PluginCase):
    def made(self):
        return [build(EXAMPLES / "plugin-text.c", self.folder / "text.so"),
                build(EXAMPLES / "plugin-median.cpp", self.folder / "median.so")]

    def test_text(self):
        asked = task("text.count", b"one two\nthree\n")
        got = self.futures.Run(futures_pb2.RunRequest(submit=futures_pb2.SubmitRequest(task=asked)))
        self.assert_future(got, succeeded(asked, b'{"words": 3, "lines": 2}', "application/json"))
        info = self.info("text.count")
        self.assertEqual((info.spec.doc, list(info.kinds)),
                         ("Words and lines of the argument, as JSON.", [functions_pb2.FUNCTION_KIND_PLUGIN]))
        self.assertEqual((list(info.spec.content_types), info.spec.version), (["text/plain"], "1.0"))

    @staticmethod
    def after(ids):
        return future_pb2.TaskOptions(depends_on=ids, pass_results=True, depend_policy=future_pb2.DEPEND_POLICY_ON_FINISH)

    def test_upstreams(self):
        ids = [self.submit("echo", text) for text in (b"one", b"", b"three")]
        self.assertEqual(self.outcome("text.join", b", ", options=self.after(ids)).result.data, b"one, , three")
        got = self.outcome("text.join", b", ", options=self.after([*ids, self.submit("fail", b"no")]))
        self.assertEqual((got.error.type, got.error.message), ("UpstreamError", "one of the parts is missing"))

    def test_errors(self):
        got = self.outcome("primes.count", b"ten")
        self.assertEqual(got.error, future_pb2.Error(
            code=INVALID, reason="FUNCTION_ERROR", type="ValueError", function_reason="NOT_A_NUMBER", retryable=False,
            message="the argument is no decimal number of at most 10 digits", traceback="plugin-text.c: parse"))
        self.assertEqual(len(got.attempts), 1, "it said that another attempt would fail as well")
        got = self.outcome("primes.count", b"100")
        self.assertEqual(got.result.data, b"25")
        options = got.effective_options  # as the plugin says
        self.assertEqual((options.attempt_timeout, options.retry.max_attempts, options.retry.initial_backoff),
                         (seconds(60), 3, seconds(0.1)))
        self.assertEqual(list(options.retry.non_retryable_types), ["UpstreamError"])

    def test_cooperative_cancel(self):
        """It asks now and then whether it should end, and ends: its worker goes on."""
        before = self.pool_pids()
        id_ = self.submit("primes.count", b"4000000000")
        self.until(id_, lambda f: f.state == RUNNING)
        self.futures.Cancel(futures_pb2.CancelRequest(id=id_, reason="enough"))
        got = self.finished(id_)
        self.assertEqual((got.state, got.attempts[0].error.reason), (CANCELLED, "CANCELLED"))
        self.assertEqual((got.attempts[0].error.type, got.attempts[0].error.message), ("Stopped", "the attempt was cancelled; it was told to end"))
        self.assertEqual(self.worker_pids(), before)

    def test_cpp(self):
        self.assertEqual(self.outcome("median", b"3 1 2").result.data, b"2")
        got = self.outcome("median", b"1 x")
        self.assertEqual(got.error, future_pb2.Error(code=INVALID, reason="FUNCTION_ERROR", type="std::invalid_argument",
                                                     message='"x" is no number', retryable=False))
        self.assertRegex(self.outcome("median.calls").result.data, b"^[01]$")


# All that futured_options has, by place: what is added to it is a warning here, and so an error.
EVERY_OPTION = """
#include <futured/plugin.h>

static int run(const struct futured_host *host, struct futured_call *call, void *state) { (void)host, (void)call, (void)state; return 0; }
static const char *const types[] = {"Final", NULL};
static const struct futured_options options = {sizeof(struct futured_options), FUTURED_EPHEMERAL, 7, 1500, 2500,
                                               FUTURED_ON_LOST_FAIL, 4, 500, 3500, 1.5, 0.5, types};
static const struct futured_plugin_function functions[] = {{"every.option", NULL, NULL, NULL, run, NULL, &options}};
const struct futured_plugin futured_plugin = {FUTURED_PLUGIN_ABI, sizeof(struct futured_plugin), "every", "1",
                                              functions, sizeof functions[0], 1};
"""


class Options(PluginCase):
    def made(self):
        source = self.folder / "every.c"
        source.write_text(EVERY_OPTION, encoding="ascii")
        return [build(source, self.folder / "every.so")]

    def test_every_option(self):
        """What the header offers the daemon takes: the pool serves, and tasks have them."""
        wanted = future_pb2.TaskOptions(
            durability=future_pb2.DURABILITY_EPHEMERAL, priority=7, attempt_timeout=seconds(1.5), retention=seconds(2.5),
            on_lost=future_pb2.ON_LOST_FAIL, retry=future_pb2.RetryPolicy(
                max_attempts=4, initial_backoff=seconds(0.5), max_backoff=seconds(3.5), multiplier=1.5, jitter=0.5,
                non_retryable_types=["Final"]))
        got = self.outcome("every.option")
        self.assertEqual((got.state, got.effective_options), (SUCCEEDED, wanted))
        self.assertEqual(self.info("every.option").spec.default_options, wanted)


class Unusable(PluginCase):
    plugins = [TEST_PLUGINS / "variant-UNDEFINED_SYMBOL.so", TEST_PLUGINS / "variant-WRONG_ABI.so",
               TEST_PLUGINS / "life.so", "/no/such/plugin.so"]
    workers = 1

    def test_said_and_the_rest_served(self):
        """The file and the symbol are named in the log and by ListWorkers; all else is served."""
        said = "\n".join(self.server.log.wait("worker_function_unusable", 4))
        self.assertIn("variant-UNDEFINED_SYMBOL.so: undefined symbol: futured_no_such_symbol", said)
        self.assertIn("variant-WRONG_ABI.so: futured_plugin has ABI 2, this worker has 1", said)
        self.assertIn("/no/such/plugin.so: cannot open shared object file", said)
        self.assertIn("life: init of function failing failed (42)", said)
        self.assertEqual(self.outcome("second").result.data, b"second")
        workers = workers_pb2_grpc.WorkersStub(self.channel(self.server.address)).ListWorkers(
            workers_pb2.ListWorkersRequest(), timeout=harness.DEADLINE)
        for problem in ("variant-UNDEFINED_SYMBOL.so", "variant-WRONG_ABI.so", "/no/such/plugin.so", "init of function failing"):
            self.assertIn(problem, workers.workers[0].labels["load_error"])
        self.assert_serves()


class Deadly(PluginCase):
    """One that kills each worker at its start: it is named, the daemon gets ready, and does not spin. Until then the service
    manager is asked for the time of each start."""
    where = "load"
    workers = 1

    def made(self):
        source = self.folder / "deadly.c"
        source.write_text(DEADLY, encoding="ascii")
        return [build(source, self.folder / "deadly.so", f'-DWHERE="{self.where}"', "-Wno-unused-parameter")]

    def check(self, what):
        line, = self.server.log.wait("workers_die_at_start")
        self.assertIn("signal=6", line)
        self.assertRegex(line, "retry_in_ms=[0-9]+")
        self.assertIn(f"{self.folder}/deadly.so{what}", line)
        self.assertGreaterEqual(len(self.server.log.find(f"worker_died_loading.*{self.folder}/deadly.so{what}")), 5)
        starting = [said for said in self.server.notified if "STATUS=Starting workers" in said]
        self.assertEqual(starting, ["EXTEND_TIMEOUT_USEC=45000000\nSTATUS=Starting workers"] * 5)  # start_timeout and 15 s
        id_ = self.submit("echo", b"later")
        got = self.futures.Get(get(id_))
        self.assertEqual((got.state, got.pending_reason), (PENDING, future_pb2.PENDING_REASON_NO_WORKER))
        info = self.info("echo")
        self.assertEqual((info.failure.code, info.failure.reason), (code_pb2.UNAVAILABLE, "CRASHED"))
        self.assertRegex(info.failure.message, f"^{self.folder}/deadly.so{what}: the worker that was loading it was killed by "
                         "signal 6 .SIGABRT.(; [0-9]+ have died at their start in a row, and the next one is tried in [0-9]+ ms)?$")
        self.assertGreaterEqual(nanoseconds(info.failure_time), nanoseconds(info.failure_begin_time))
        self.assertGreater(nanoseconds(info.failure_begin_time), 0)
        page = self.functions_of(self.server).ListFunctions(functions_pb2.ListFunctionsRequest())
        self.assertIn("deadly.so", next(f for f in page.functions if f.spec.name == "echo").failure.message)
        for ask in (futures_pb2.ExplainRequest(id=id_), futures_pb2.ExplainRequest(function="echo")):
            self.assertIn(f"no worker serves the function: {self.folder}/deadly.so{what}: ", self.futures.Explain(ask).text)
        health = harness.Stub(health_pb2_grpc.HealthStub(self.channel(self.server.address)))
        pool = health_pb2.HealthCheckRequest(service="futured.pool")
        self.assertEqual(health.Check(pool).status, health_pb2.HealthCheckResponse.NOT_SERVING)
        self.assertEqual(health.Check(health_pb2.HealthCheckRequest()).status, health_pb2.HealthCheckResponse.SERVING)
        self.mend()
        self.assertEqual(self.finished(id_).result.data, b"later")
        self.poll(lambda: not self.info("echo").HasField("failure"), "it is well again")
        self.assertEqual(health.Check(pool).status, health_pb2.HealthCheckResponse.SERVING)
        self.assertEqual(self.outcome("deadly.run").state, SUCCEEDED)

    def mend(self):
        """A good file in its place, and a reload."""
        source = self.folder / "good.c"
        source.write_text(DEADLY.replace("die(\"load\");", "").replace("die(\"init\");", ""), encoding="ascii")
        build(source, self.folder / "good.so", '-DWHERE=""', "-Wno-unused-parameter", "-Wno-unused-function")
        (self.folder / "good.so").rename(self.folder / "deadly.so")
        self.server.signal(signal.SIGHUP)

    def test_while_it_is_loaded(self):
        self.check("")


class DeadlyInit(Deadly):
    where = "init"

    def test_while_it_is_loaded(self):
        self.check(", function deadly.run")


if __name__ == "__main__":
    futures_support.main()
