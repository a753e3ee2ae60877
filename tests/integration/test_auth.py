#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Principals: every right against every method, whose futures are whose, and what shows who calls: tokens, certificates,
users of a Unix socket. Run again under TLS with FUTURED_TEST_TLS=1, and about futures on disk with FUTURED_TEST_STORE=sqlite."""
import hashlib
import os
import pwd
import subprocess
import unittest

import certs
import futures_support
import harness
from futures_support import *  # noqa: F403: the words of the contract

from futured.v1 import system_pb2, system_pb2_grpc, workers_pb2
from google.longrunning import operations_pb2, operations_pb2_grpc
from google.rpc import error_details_pb2, status_pb2
from grpc.health.v1 import health_pb2, health_pb2_grpc
from grpc.reflection.v1 import reflection_pb2
from grpc.reflection.v1alpha import reflection_pb2 as alpha_pb2
from server import DIE_WITH_PARENT

NOT_FOUND, DENIED = grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED
UNKNOWN = grpc.StatusCode.UNAUTHENTICATED
SERVICES = [*futures_pb2.DESCRIPTOR.services_by_name.values(), *functions_pb2.DESCRIPTOR.services_by_name.values(),
            *workers_pb2.DESCRIPTOR.services_by_name.values(), *system_pb2.DESCRIPTOR.services_by_name.values(),
            *operations_pb2.DESCRIPTOR.services_by_name.values(), *reflection_pb2.DESCRIPTOR.services_by_name.values(),
            *alpha_pb2.DESCRIPTOR.services_by_name.values()]

# What each method asks for. docs/security.md has the same table for people.
NEEDS = {
    "Futures": {"submit": {"Submit", "SubmitStream", "Run", "RunStream", "Retry", "RetryMany"},
                "read": {"Get", "Wait", "AsCompleted", "Watch", "List", "Count", "Explain"},
                "annotate": {"Annotate", "Reschedule"}, "cancel": {"Cancel", "CancelMany", "Delete", "DeleteMany"}},
    "Operations": {"read": {"ListOperations", "GetOperation", "WaitOperation"},
                   "cancel": {"CancelOperation", "DeleteOperation"}},
    "Functions": {None: {"ListFunctions", "GetFunction"}, "admin": {"PauseFunction", "ResumeFunction", "SetFunctionLimits"}},
    "Workers": {"worker": {"Attach", "Claim", "Renew", "Finish"}, "admin": {"ListWorkers", "DrainWorker", "KillWorker"}},
    "ServerReflection": {None: {"ServerReflectionInfo"}},
    "System": {None: {"GetInfo"}, "read-all": {"GetStats"}, "admin": {"Drain", "Resume", "Reload"}},
}
GIVES = {"read-all": {"read-all", "read"}, "admin": {"submit", "read", "read-all", "annotate", "cancel", "worker", "admin"}}
RIGHTS = ("submit", "read", "read-all", "annotate", "cancel", "worker", "admin")


def token_of(name):
    return hashlib.md5(name.encode()).hexdigest()  # any text will do; the daemon knows its hash


def token_hash(name):
    return hashlib.sha256(token_of(name).encode()).hexdigest()


def bearer(name):
    return (("authorization", f"Bearer {token_of(name)}"),)


class As:
    """A stub whose calls are those of a principal."""

    def __init__(self, stub, name):
        self._stub, self._metadata = stub, bearer(name)

    def __getattr__(self, name):
        method = getattr(self._stub, name)
        return lambda *a, **k: method(*a, **{"timeout": DEADLINE, "metadata": self._metadata, **k})


def options(**fields):
    return future_pb2.TaskOptions(**fields)


class AuthCase(FuturesCase):
    principals = {}
    store = {"cache": "0"}  # what has ended is read from disk each time

    def start(self, **options):
        more = options.pop("more", {})
        if futures_support.STORE != "none":
            more["store"] = self.store
        for name, keys in self.principals.items():
            more[f"principal.{name}"] = {"token_hash": token_hash(name), **keys}
        return super().start(more=more, **options)

    def setUp(self):
        super().setUp()
        self.raw_channel = self.channel()
        self.futures = None  # every call is somebody's

    def of(self, name, stub=futures_pb2_grpc.FuturesStub):
        return As(stub(self.raw_channel), name)

    def reason(self, error):
        """The reason of the ErrorInfo in a refusal."""
        details = status_pb2.Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
        info = error_details_pb2.ErrorInfo()
        next(d for d in details.details if d.Is(info.DESCRIPTOR)).Unpack(info)
        return info.reason

    def done(self, name, *arguments, **fields):
        return self.of(name).Run(run(*arguments, **fields))


class Rights(AuthCase):
    principals = {right: {"rights": right, **({"certificate": f"dns:{right}.example"} if harness.IS_TLS else {})} for right in RIGHTS}

    def call(self, method, metadata=(), channel=None):
        """The status of the method with an empty request."""
        path = f"/{method.containing_service.full_name}/{method.name}"
        kind = ("stream" if method.client_streaming else "unary") + "_" + ("stream" if method.server_streaming else "unary")
        call = getattr(channel or self.raw_channel, kind)(path)
        try:
            answer = call(iter([b""]) if method.client_streaming else b"", metadata=metadata, timeout=DEADLINE)
            if method.server_streaming:
                list(answer)
        except grpc.RpcError as error:
            return error.code(), error
        return grpc.StatusCode.OK, None

    def check_all(self, shown):
        """Every right, as @shown has it for call(), and every method."""
        for service in SERVICES:
            needs = {m: right for right, methods in NEEDS[service.name].items() for m in methods}
            self.assertEqual(set(needs), {m.name for m in service.methods}, service.name)
            for method in service.methods:
                need = needs[method.name]
                for right in RIGHTS:
                    may = need is None or need in GIVES.get(right, {right})
                    code, error = self.call(method, **shown[right])
                    with self.subTest(method=method.full_name, right=right):
                        self.assertNotEqual(code, UNKNOWN)
                        self.assertEqual(code == DENIED, not may, code)
                        if not may:
                            self.assertEqual(self.reason(error), "PERMISSION_DENIED")
                            self.assertIn(f'"{need}"', error.details())

    def test_every_right_and_every_method(self):
        self.check_all({right: {"metadata": bearer(right)} for right in RIGHTS})

    @unittest.skipUnless(harness.IS_TLS, "certificates are of TLS")
    def test_every_right_and_every_method_by_certificate(self):
        shown = {}
        for right in RIGHTS:
            certs.make_client(right)
            channel = grpc.secure_channel(self.server.address, harness.credentials(right))
            self.addCleanup(channel.close)
            shown[right] = {"channel": channel}
        self.check_all(shown)

    def test_nobody(self):
        for metadata, reason in (((), "NO_CREDENTIALS"), ((("authorization", "Bearer no-such-token"),), "BAD_CREDENTIALS"),
                                 ((("authorization", "Basic YTpi"),), "BAD_CREDENTIALS"),
                                 ((("authorization", "Bearer"),), "BAD_CREDENTIALS"),
                                 ((("authorization", f"Bearer {token_hash('admin')}"),), "BAD_CREDENTIALS")):
            for service in SERVICES:
                for method in service.methods:
                    code, error = self.call(method, metadata)
                    self.assertEqual(code, UNKNOWN, (method.full_name, metadata))
                    self.assertEqual(self.reason(error), reason)
        self.assert_serves()

    def assert_serves(self, address=None, **options):
        """Health is for all."""
        health, request = health_pb2_grpc.HealthStub(self.raw_channel), health_pb2.HealthCheckRequest()
        self.assertEqual(health.Check(request, timeout=DEADLINE).status, health_pb2.HealthCheckResponse.SERVING)
        watch = health.Watch(request, timeout=DEADLINE)
        self.assertEqual(next(watch).status, health_pb2.HealthCheckResponse.SERVING)
        watch.cancel()


class SomeFunctions(AuthCase):
    principals = {"some": {"rights": "submit:echo submit:ga* read-all"}, "all": {"rights": "submit:echo submit read"}}

    def test_submit_some_functions(self):
        self.assertEqual(self.done("some", "echo", b"x").result.data, b"x")
        self.assert_fails(grpc.StatusCode.FAILED_PRECONDITION, self.of("some").Submit, submit("gamma", b""))  # there is none
        for function in ("sha256", "ech", "echo2", "g"):
            error = self.assert_fails(DENIED, self.of("some").Submit, submit(function, b"x"))
            self.assertIn(f'"{function}"', error.details())
            self.assert_fails(DENIED, self.of("some").Run, run(function, b"x"))
            for stream, request, answered in (("SubmitStream", submit(function, b"x", tag="t"), "status"),
                                              ("RunStream", run(function, b"x", tag="t"), "status")):
                answer, = list(getattr(self.of("some"), stream)(iter([request])))
                self.assertEqual(answer.status.code, code_pb2.PERMISSION_DENIED)
        self.assertEqual(self.done("all", "sha256", b"abc").state, SUCCEEDED)

    def test_retry_some_functions(self):
        failed = self.done("all", "fail", b"").id
        error = self.assert_fails(DENIED, self.of("some").Retry, futures_pb2.RetryRequest(id=failed))
        self.assertIn('"fail"', error.details())
        self.assert_fails(DENIED, self.of("some").RetryMany, futures_pb2.RetryManyRequest(selector=selector(failed)))
        self.assertEqual(self.of("all").Count(futures_pb2.CountRequest(selector=selector(filter="function = fail"))).count, 1)
        self.assertNotEqual(self.of("all").Retry(futures_pb2.RetryRequest(id=failed)).id, failed)


class Others(AuthCase):
    """Others' IDs are NOT_FOUND, in every method; what is not one's own is not there."""

    principals = {
        "alice": {"rights": "submit read annotate cancel"}, "bob": {"rights": "submit read annotate cancel"},
        "boss": {"rights": "read-all annotate cancel"}, "other": {"rights": "admin", "namespace": "elsewhere"},
    }

    def setUp(self):
        super().setUp()
        self.mine = self.done("alice", "echo", b"secret", group="g", options=options(idempotency_key="k"))
        self.failed = self.done("alice", "fail", b"", group="g")

    def asks(self, id_):
        """Each way to name one future: (name, what to call, with what)."""
        operation = f"futures/{id_}"
        yield "Get", "futures", get(id_)
        yield "Annotate", "futures", futures_pb2.AnnotateRequest(id=id_, set_labels={"a": "b"})
        yield "Reschedule", "futures", futures_pb2.RescheduleRequest(id=id_, retention=seconds(1))
        yield "Cancel", "futures", futures_pb2.CancelRequest(id=id_)
        yield "Delete", "futures", futures_pb2.DeleteRequest(id=id_)
        yield "Retry", "futures", futures_pb2.RetryRequest(id=id_)
        yield "Explain", "futures", futures_pb2.ExplainRequest(id=id_)
        yield "GetOperation", "operations", operations_pb2.GetOperationRequest(name=operation)
        yield "WaitOperation", "operations", operations_pb2.WaitOperationRequest(name=operation)
        yield "CancelOperation", "operations", operations_pb2.CancelOperationRequest(name=operation)
        yield "DeleteOperation", "operations", operations_pb2.DeleteOperationRequest(name=operation)

    def test_by_id(self):
        for who in ("bob", "other"):
            stubs = {"futures": self.of(who), "operations": self.of(who, operations_pb2_grpc.OperationsStub)}
            for id_ in (self.mine.id, self.failed.id):
                for name, stub, request in self.asks(id_):
                    with self.subTest(method=name, who=who):
                        theirs = self.assert_fails(NOT_FOUND, getattr(stubs[stub], name), request)
                        request = type(request).FromString(request.SerializeToString().replace(id_.encode(), NO_SUCH_ID.encode()))
                        nobodys = self.assert_fails(NOT_FOUND, getattr(stubs[stub], name), request)
                        self.assertEqual(theirs.details().replace(id_, NO_SUCH_ID), nobodys.details())
                answer = stubs["futures"].Wait(futures_pb2.WaitRequest(selector=selector(id_)))
                self.assertEqual((list(answer.missing), len(answer.done)), ([id_], 0))
                answer, = stubs["futures"].AsCompleted(iter([futures_pb2.AsCompletedRequest(ids=[id_])]))
                self.assertEqual(answer.missing, id_)
                self.assert_fails(NOT_FOUND, stubs["futures"].Watch, futures_pb2.WatchRequest(selector=selector(id_)))
        after = self.of("alice").Get(get(self.mine.id))
        self.assertEqual(after.revision, self.mine.revision)  # nobody has touched it
        self.assertEqual(self.of("boss").Get(get(self.mine.id)).result.data, b"secret")

    def test_by_selector(self):
        everything = [dict(filter="*"), dict(group="g"), dict(filter="group = g"), dict(filter="function = echo"),
                      dict(ids=[self.mine.id, self.failed.id]), dict(filter='principal = "alice"')]
        for which in everything:
            choice = future_pb2.Selector(**which)
            for who, n in (("alice", 2), ("boss", 2), ("bob", 0), ("other", 0)):
                if "function" in which.get("filter", ""):
                    n = min(n, 1)
                with self.subTest(selector=which, who=who):
                    stub = self.of(who)
                    self.assertEqual(len(stub.List(futures_pb2.ListRequest(selector=choice)).futures), n)
                    self.assertEqual(stub.Count(futures_pb2.CountRequest(selector=choice)).count, n)
                    if "ids" not in which:
                        self.assertEqual(len(stub.Wait(futures_pb2.WaitRequest(selector=choice)).done), n)
                    if who in ("bob", "other"):
                        for many in ("CancelMany", "DeleteMany", "RetryMany"):
                            request = getattr(futures_pb2, f"{many}Request")(selector=choice)
                            self.assertEqual(getattr(stub, many)(request).matched, 0)
        listed = self.of("bob", operations_pb2_grpc.OperationsStub).ListOperations(operations_pb2.ListOperationsRequest(name="futures"))
        self.assertEqual(len(listed.operations), 0)
        self.assertEqual(self.of("alice").Get(get(self.mine.id)).revision, self.mine.revision)

    def test_by_key(self):
        for who in ("bob", "other"):
            self.assert_fails(NOT_FOUND, self.of(who).Get, futures_pb2.GetRequest(idempotency_key="k"))
        for policy in (future_pb2.KEY_POLICY_JOIN, future_pb2.KEY_POLICY_REJECT, future_pb2.KEY_POLICY_JOIN_WHILE_ACTIVE):
            error = self.assert_fails(grpc.StatusCode.ALREADY_EXISTS, self.of("bob").Submit,
                                      submit("echo", b"secret", options=options(idempotency_key="k", key_policy=policy)))
            self.assertNotIn(self.mine.id, str(error))
            self.assertNotIn(self.mine.id.encode(), dict(error.trailing_metadata())["grpc-status-details-bin"])

    def test_a_dependency(self):
        for id_ in (self.mine.id, NO_SUCH_ID):
            self.assert_fails(NOT_FOUND, self.of("bob").Submit,
                              submit("echo", b"x", options=options(depends_on=[id_], pass_results=True)))

    def test_explain_names_nobody_else(self):
        gate = self.gate()
        first, second = (self.of(who).Submit(submit("gate", gate.argument, options=options(concurrency_key="c"))).future.id
                         for who in ("alice", "bob"))
        other = self.of("alice").Submit(submit("gate", gate.argument, options=options(concurrency_key="d"))).future.id
        self.assertEqual(set(gate.started(2)), {first, other})  # so a worker has been past bob's
        shown = self.of("bob").Explain(futures_pb2.ExplainRequest(id=second))
        self.assertEqual((shown.limit, list(shown.waits_for)), ("concurrency_key", []))
        self.assertNotIn(first, str(shown))
        self.assertEqual(list(self.of("boss").Explain(futures_pb2.ExplainRequest(id=second)).waits_for), [first])
        gate.open()

    def test_a_group_that_is_waited_for(self):
        """bob waits for two members of "w": what alice puts there is not his."""
        waiting = futures_pb2_grpc.FuturesStub(self.raw_channel).Wait.future(
            futures_pb2.WaitRequest(selector=selector(group="w"), expect=2), metadata=bearer("bob"), timeout=DEADLINE)
        alice = [self.done("alice", "echo", b"1", group="w").id for _ in range(3)]
        bob = [self.done("bob", "echo", b"2", group="w").id for _ in range(2)]
        answer = waiting.result()
        self.assertEqual({f.id for f in answer.done}, set(bob))
        self.assertFalse(set(alice) & {f.id for f in answer.done})

    def test_a_watch_of_all(self):
        watch = self.of("bob").Watch(futures_pb2.WatchRequest(selector=selector(filter="*")))
        self.done("alice", "echo", b"1")
        mine = self.done("bob", "echo", b"2").id
        seen = set()
        for event in watch:
            if event.id:
                seen.add(event.id)
            if event.WhichOneof("event") in ("state", "snapshot") and event.id == mine:
                break
        watch.cancel()
        self.assertEqual(seen, {mine})

    def test_submitter(self):
        self.assertEqual(self.mine.submitter.principal, "alice")
        self.assertEqual(self.done("other", "echo", b"x").namespace, "elsewhere")
        for who, namespace in (("other", "elsewhere"), ("alice", "")):
            info = self.of(who, system_pb2_grpc.SystemStub).GetInfo(system_pb2.GetInfoRequest())
            self.assertEqual((info.principal, info.namespace), (who, namespace))
        counted = self.of("boss").Count(futures_pb2.CountRequest(selector=selector(filter="*"), group_by="principal"))
        self.assertIn("alice", str(counted))
        self.assertNotIn("other", str(counted))


class Quotas(AuthCase):
    """A principal uses up its own share, and nobody else's."""

    principals = {"few": {"rights": "submit read cancel", "max_futures": 3}, "slow": {"rights": "submit read", "rate": 0.001},
                  "small": {"rights": "submit read", "max_memory": "16K"}, "free": {"rights": "submit read"}}
    store = {}

    def assert_refused(self, name, quota, *arguments, **fields):
        error = self.assert_fails(grpc.StatusCode.RESOURCE_EXHAUSTED, self.of(name).Submit, submit(*arguments, **fields))
        self.assertEqual(self.reason(error), "QUOTA")
        details = {d.type_url.rpartition(".")[2]: d for d in status_pb2.Status.FromString(
            dict(error.trailing_metadata())["grpc-status-details-bin"]).details}
        failure, again = error_details_pb2.QuotaFailure(), error_details_pb2.RetryInfo()
        details["QuotaFailure"].Unpack(failure)
        details["RetryInfo"].Unpack(again)
        self.assertEqual([(v.subject, v.description) for v in failure.violations], [(f"principal:{name}", quota)])
        self.assertGreater(again.retry_delay.ToNanoseconds(), 0)
        answer, = self.of(name).SubmitStream(iter([submit(*arguments, **fields)]))
        self.assertEqual(answer.status.code, code_pb2.RESOURCE_EXHAUSTED)
        self.assertEqual(self.done("free", "echo", b"x").state, SUCCEEDED)

    def test_futures(self):
        """What has ended does not count, though it is in memory."""
        for _ in range(5):
            self.assertEqual(self.done("few", "echo", b"x").state, SUCCEEDED)
        ids = [self.of("few").Submit(submit("echo", b"x", options=options(delay=seconds(3600)))).future.id for _ in range(3)]
        self.assert_refused("few", "max_futures", "echo", b"x")
        self.of("few").Cancel(futures_pb2.CancelRequest(id=ids[0]))
        self.of("few").Submit(submit("echo", b"x", options=options(delay=seconds(3600), idempotency_key="k")))
        self.assert_refused("few", "max_futures", "echo", b"x")
        again = self.of("few").Submit(submit("echo", b"x", options=options(delay=seconds(3600), idempotency_key="k")))
        self.assertTrue(again.joined)  # which is no new one

    def test_memory(self):
        self.of("small").Submit(submit("echo", b"x" * 20000, options=options(delay=seconds(3600))))
        self.assert_refused("small", "max_memory", "echo", b"x")

    def test_rate(self):
        self.assertEqual(self.done("slow", "echo", b"x").state, SUCCEEDED)
        self.assert_refused("slow", "rate", "echo", b"x")


class Ctl(AuthCase):
    """futurectl, and so libfutured, as a principal; under TLS with FUTURED_TEST_TLS=1."""

    principals = {"alice": {"rights": "submit read"}, "hands": {"rights": "worker"}}

    def command(self, *words, token="alice", who="alice", ca="ca", address=None):
        file = self.folder / f"{token}.token"
        file.write_text(f"{token_of(token)}\n", encoding="ascii")
        shown = ["--tls-ca", certs.path(f"{ca}.crt"), "--tls-cert", certs.path(f"{who}.crt"), "--tls-key",
                 certs.path(f"{who}.key")] if harness.IS_TLS else []
        return [harness.BIN / "futurectl", "--address", address or ("tls:" if harness.IS_TLS else "") + self.server.address,
                *shown, "--token-file", file, *words]

    def ctl(self, *words, **who):
        return subprocess.run(self.command("--timeout", "60s", *words, **who), capture_output=True, encoding="utf-8",
                              timeout=DEADLINE, check=False)

    def assert_ends(self, done, status, said=""):
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertIn(said, done.stderr)

    def test_token(self):
        done = self.ctl("run", "echo", "hello")
        self.assertEqual((done.stdout, done.returncode), ("hello", 0), done.stderr)
        self.assertIn("by ", self.ctl("get", self.ctl("submit", "echo", "x").stdout.strip()).stdout)
        self.assert_ends(self.ctl("run", "echo", "x", token="bob"), 1, "no principal has this token")
        self.assert_ends(self.ctl("pause", "echo", "--reason", "x"), 1, "does not have the right")

    def test_completion(self):
        """What completes a line asks as the line does."""
        program, *line = self.command("run", "ech")
        done = subprocess.run([program, "completion", "words", "--", *line], capture_output=True, encoding="utf-8", timeout=DEADLINE,
                              check=True)
        self.assertEqual(done.stdout.partition("\t")[0], "echo", done.stderr)
        big = self.folder / "big"
        big.write_bytes(os.urandom(3 << 20))
        self.assertEqual(self.ctl("run", "sha256", f"@{big}").stdout, hashlib.sha256(big.read_bytes()).hexdigest())

    def test_worker(self):
        """A worker of the library, which has its client's certificates and token (futured_worker_new_as)."""
        worker = subprocess.Popen([*DIE_WITH_PARENT, *self.command("worker", "--function", "rev", "rev", token="hands", who="worker")],
                                  stderr=subprocess.PIPE, encoding="utf-8")
        self.addCleanup(worker.stderr.close)
        self.addCleanup(worker.wait)
        self.addCleanup(worker.kill)
        self.assertRegex(worker.stderr.readline(), r"serving as w-\d+")
        self.assertEqual(self.ctl("run", "rev", "hello").stdout.strip(), "olleh")
        worker.terminate()
        self.assertEqual(worker.wait(DEADLINE), 0)
        for token, said in (("alice", "does not have the right"), ("bob", "no principal has this token")):
            done = subprocess.run(self.command("worker", "--function", "rev", "rev", token=token), capture_output=True,
                                  encoding="utf-8", timeout=DEADLINE, check=False)
            self.assert_ends(done, 1, said)

    @unittest.skipUnless(harness.IS_TLS, "certificates are of TLS")
    def test_certificates(self):
        self.assert_ends(self.ctl("run", "echo", "x", ca="other"), 69, "certificate")
        self.assert_ends(self.ctl("run", "echo", "x", who="expired"), 69, "no TLS with")
        port = self.server.address.rpartition(":")[2]
        self.assertEqual(self.ctl("run", "echo", "x", address=f"tls:localhost:{port}").stdout, "x")
        self.assert_ends(self.ctl("run", "echo", "x", address=f"tls:127.0.0.2:{port}"), 69)
        self.assert_ends(self.ctl("run", "echo", "x", address=f"127.0.0.1:{port}"), 69)


class Shown(AuthCase):
    """By what a principal is known."""

    principals = {"token": {"rights": "submit read"}}

    def start(self, **options):
        more = {"principal.cert": {"certificate": "dns:bob.example", "rights": "submit read"}}
        if options.pop("me", True):
            more["principal.me"] = {"user": pwd.getpwuid(os.getuid()).pw_name, "rights": "submit read"}
        return super().start(listen=("127.0.0.1:0", "unix:@s"), more=more, **options)

    def who(self, channel, metadata=()):
        stub = futures_pb2_grpc.FuturesStub(channel)
        return stub.Run(run("echo", b"x"), metadata=metadata, timeout=DEADLINE).submitter.principal

    def test_users(self):
        unix = self.channel(self.server.addresses[1])
        self.assertEqual(self.who(unix), "me")
        self.assertEqual(self.who(unix, bearer("token")), "token")  # a token says more
        with self.assertRaises(grpc.RpcError) as caught:
            self.who(unix, bearer("wrong"))
        self.assertEqual(caught.exception.code(), UNKNOWN)

    def test_the_owner(self):
        """Nobody is said to be this user, which runs the daemon: it may all."""
        server = self.start(me=False)
        unix = self.channel(server.addresses[1])
        self.assertEqual(self.who(unix), "")
        stub = functions_pb2_grpc.FunctionsStub(unix)
        stub.PauseFunction(functions_pb2.PauseFunctionRequest(function="echo", reason="because"), timeout=DEADLINE)

    def test_certificates(self):
        if not harness.IS_TLS:
            self.skipTest("there are none without TLS")
        address = self.server.addresses[0]
        for who, name in (("bob", "cert"), ("alice", None)):
            with grpc.secure_channel(address, harness.credentials(who)) as channel:
                if name:
                    self.assertEqual(self.who(channel), name)
                else:
                    with self.assertRaises(grpc.RpcError) as caught:
                        self.who(channel)
                    self.assertEqual(caught.exception.code(), UNKNOWN)
                    self.assertEqual(self.who(channel, bearer("token")), "token")


if __name__ == "__main__":
    futures_support.main()
