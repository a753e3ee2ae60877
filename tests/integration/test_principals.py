#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Principals and certificates that change by a reload: what was revoked does no more from then on, and who is not concerned
does not notice. Run again under TLS with FUTURED_TEST_TLS=1."""
import os
import queue
import signal
import socket
import ssl
import unittest

import certs
import futures_support
import harness
import rawh2
from futures_support import *  # noqa: F403: the words of the contract
from test_auth import NOT_FOUND, DENIED, UNKNOWN, AuthCase, bearer, options, token_hash

from futured.v1 import system_pb2, system_pb2_grpc, workers_pb2, workers_pb2_grpc

LATER = dict(options=options(delay=seconds(3600)))


class ChangeCase(AuthCase):
    @property
    def file(self):
        return self.server.directory / "futured.conf"

    def change(self, old, new):
        """In the configuration, and reload it by a signal."""
        text = self.file.read_text(encoding="utf-8")
        self.assertIn(old, text)
        self.file.write_text(text.replace(old, new, 1), encoding="utf-8")
        self.reload()

    def reload(self):
        n = len(self.server.log.find(" reloaded "))
        self.server.signal(signal.SIGHUP)
        self.server.log.wait(" reloaded ", n + 1)

    def assert_ends(self, call, code, reason):
        with self.assertRaises(grpc.RpcError) as caught:
            for _ in call:
                pass
        self.assertEqual((caught.exception.code(), self.reason(caught.exception)), (code, reason))

    def watch(self, who, id_):
        """A Watch that is under way: its snapshot has come."""
        watch = self.of(who).Watch(futures_pb2.WatchRequest(selector=selector(id_)))
        self.assertEqual(next(watch).id, id_)
        return watch


class Revoked(ChangeCase):
    principals = {"alice": {"rights": "submit read"}, "bob": {"rights": "submit read"}}

    def setUp(self):
        super().setUp()
        self.id = self.of("alice").Submit(submit("echo", b"x", **LATER)).future.id
        self.other = self.of("bob").Submit(submit("echo", b"x", **LATER)).future.id

    def test_a_token(self):
        """Its next call is nobody's, on the same connection; its open calls end; bob's on that connection go on."""
        mine, others = self.watch("alice", self.id), self.watch("bob", self.other)
        waiting = futures_pb2_grpc.FuturesStub(self.raw_channel).Wait.future(
            futures_pb2.WaitRequest(selector=selector(self.id)), metadata=bearer("alice"), timeout=DEADLINE)
        self.assertTrue(mine.is_active())
        self.change(f"token_hash = {token_hash('alice')}", f"token_hash = {token_hash('alice2')}")
        error = self.assert_fails(UNKNOWN, self.of("alice").Get, get(self.id))
        self.assertEqual(self.reason(error), "BAD_CREDENTIALS")
        self.assert_ends(mine, UNKNOWN, "REVOKED")
        self.assertIn(waiting.code(), (UNKNOWN,))
        self.assertEqual(self.of("alice2").Get(get(self.id)).id, self.id)  # it is the principal's, by whatever token
        self.assertTrue(others.is_active())
        self.of("bob").Get(get(self.other))
        others.cancel()

    def test_one_token_of_two(self):
        self.change(f"token_hash = {token_hash('alice')}", f"token_hash = {token_hash('alice')}\ntoken_hash = {token_hash('alice2')}")
        first, second = self.watch("alice", self.id), self.watch("alice2", self.id)
        self.change(f"token_hash = {token_hash('alice')}\n", "")
        self.assert_ends(first, UNKNOWN, "REVOKED")
        self.of("alice2").Get(get(self.id))
        self.assertTrue(second.is_active())
        second.cancel()

    def test_a_principal(self):
        """A stream of submissions does not outlive who submits."""
        watch = self.watch("alice", self.id)
        text = self.file.read_text(encoding="utf-8")
        begin = text.index("[principal.alice]")
        self.file.write_text(text[:begin] + text[text.index("[", begin + 1):], encoding="utf-8")
        self.reload()
        self.assert_ends(watch, UNKNOWN, "REVOKED")
        self.assert_fails(UNKNOWN, self.of("alice").Submit, submit("echo", b"x"))
        self.of("bob").Get(get(self.other))

    def test_all_of_them(self):
        """Where nobody is asked any more nobody has lost anything."""
        watch = self.watch("alice", self.id)
        text = self.file.read_text(encoding="utf-8")
        self.file.write_text(text[:text.index("[principal.")], encoding="utf-8")
        self.reload()
        futures_pb2_grpc.FuturesStub(self.raw_channel).Get(get(self.id), timeout=DEADLINE)
        self.assertTrue(watch.is_active())
        watch.cancel()

    def test_what_is_wrong_changes_nothing(self):
        text = self.file.read_text(encoding="utf-8")
        self.file.write_text(text.replace(f"token_hash = {token_hash('alice')}", "token_hash = secret", 1), encoding="utf-8")
        self.server.signal(signal.SIGHUP)
        said = self.server.log.wait("configuration_wrong")[0]
        self.assertNotIn("secret", said)
        self.of("alice").Get(get(self.id))


class Exposed(harness.ServerCase):
    """What a reload would leave open to everybody it does not: a listener stays until the next start, whatever `listen` says."""

    def setUp(self):
        tls = {"certificate": certs.path("server.crt"), "key": certs.path("server.key")}
        self.server = self.start(program="futured", listen=(), arguments=("--workers", "0"), config={
            "tls": tls, "futured": {"listen": "tls:0.0.0.0:0"},
            "principal.boss": {"token_hash": token_hash("boss"), "rights": "admin"}})
        channel = grpc.secure_channel(f"localhost:{self.server.port}", harness.credentials(None))
        self.addCleanup(channel.close)
        self.system = harness.Stub(system_pb2_grpc.SystemStub(channel))

    def test_no_principals_and_another_address(self):
        file = self.server.directory / "futured.conf"
        text = file.read_text(encoding="utf-8")
        guarded = text.replace("tls:0.0.0.0:0", f"unix:{self.server.unix_path}")
        file.write_text(guarded[:guarded.index("[principal.")], encoding="utf-8")
        for dry in (True, False):
            error = self.assert_fails(grpc.StatusCode.FAILED_PRECONDITION, self.system.Reload,
                                      system_pb2.ReloadRequest(dry_run=dry), metadata=bearer("boss"))
            self.assertIn(f"a socket stays open until the next start: tls:0.0.0.0:{self.server.port}: whoever reaches it",
                          error.details())
        self.assert_fails(UNKNOWN, self.system.GetStats, system_pb2.GetStatsRequest())
        file.write_text(guarded, encoding="utf-8")
        got = self.system.Reload(system_pb2.ReloadRequest(), metadata=bearer("boss"))
        self.assertEqual((list(got.changed), list(got.needs_restart)), ([], ["futured.listen"]))


    def test_certificates_instead_of_principals(self):
        """Who came without a certificate, while a token said who calls, does not stay when nobody is asked for one any more."""
        file = self.server.directory / "futured.conf"
        text = file.read_text(encoding="utf-8")
        self.assert_fails(UNKNOWN, self.system.GetStats, system_pb2.GetStatsRequest())
        tls = f"[tls]\nclient_ca = {certs.path('ca.crt')}\n"
        file.write_text(text[:text.index("[principal.")].replace("[tls]\n", tls), encoding="utf-8")
        self.server.signal(signal.SIGHUP)
        self.server.log.wait("reloaded")
        self.assert_fails(grpc.StatusCode.UNAVAILABLE, self.system.GetStats, system_pb2.GetStatsRequest())
        channel = grpc.secure_channel(f"localhost:{self.server.port}", harness.credentials("alice"))
        self.addCleanup(channel.close)
        harness.Stub(system_pb2_grpc.SystemStub(channel)).GetStats(system_pb2.GetStatsRequest())


class Rights(ChangeCase):
    principals = {"alice": {"rights": "submit read"}, "w": {"rights": "worker"}}

    def test_taken_and_given(self):
        id_ = self.of("alice").Submit(submit("echo", b"x", **LATER)).future.id
        watch = self.watch("alice", id_)
        self.change("rights = submit read", "rights = submit")
        self.assert_ends(watch, DENIED, "PERMISSION_DENIED")
        self.assert_fails(DENIED, self.of("alice").Get, get(id_))
        self.change("rights = submit", "rights = submit:sha256 read")
        self.of("alice").Get(get(id_))
        self.assert_fails(DENIED, self.of("alice").Submit, submit("echo", b"x"))
        self.assertEqual(self.done("alice", "sha256", b"x").state, SUCCEEDED)

    def test_a_stream_of_submissions(self):
        """Each submission on a stream that is open is by the rights that hold."""
        more = queue.Queue()
        answers = self.of("alice").SubmitStream(iter(more.get, None))
        more.put(submit("echo", b"x"))
        self.assertTrue(next(answers).future.id)
        self.change("rights = submit read", "rights = submit:sha256 read")
        more.put(submit("echo", b"x"))
        self.assertEqual(next(answers).status.code, code_pb2.PERMISSION_DENIED)
        self.change("rights = submit:sha256 read", "rights = read")
        self.assert_ends(answers, DENIED, "PERMISSION_DENIED")
        more.put(None)

    def test_namespace(self):
        """Another namespace is another world; what was open there ends."""
        id_ = self.of("alice").Submit(submit("echo", b"x", **LATER)).future.id
        watch = self.watch("alice", id_)
        self.change("rights = submit read", "rights = submit read\nnamespace = other")
        self.assert_ends(watch, UNKNOWN, "REVOKED")
        self.assert_fails(NOT_FOUND, self.of("alice").Get, get(id_))

    def test_a_worker(self):
        """One that may not run tasks any more is not a worker any more."""
        more = queue.Queue()
        stream = self.of("w", workers_pb2_grpc.WorkersStub).Attach(iter(more.get, None))
        more.put(workers_pb2.AttachRequest(hello=workers_pb2.Hello(name="w", session_token="t" * 16, slots=1, functions=[
            functions_pb2.FunctionSpec(name="remote")])))
        self.assertTrue(next(stream).HasField("welcome"))
        self.change("rights = worker", "rights = read")
        self.assert_ends(stream, DENIED, "PERMISSION_DENIED")
        more.put(None)


class Changes(AuthCase):
    """Who has changed something is told to all."""

    principals = {"boss": {"rights": "admin"}, "reader": {"rights": "read"}}

    def test_by_whom(self):
        functions, system = self.of("boss", functions_pb2_grpc.FunctionsStub), self.of("boss", system_pb2_grpc.SystemStub)
        functions.PauseFunction(functions_pb2.PauseFunctionRequest(function="echo"))
        functions.SetFunctionLimits(functions_pb2.SetFunctionLimitsRequest(function="echo", max_running=7))
        system.Drain(system_pb2.DrainRequest(stop_accept=True))
        info = self.of("reader", functions_pb2_grpc.FunctionsStub).GetFunction(functions_pb2.GetFunctionRequest(function="echo"))
        self.assertEqual((info.paused.principal, info.limits_set.principal), ("boss", "boss"))
        info = self.of("reader", system_pb2_grpc.SystemStub).GetInfo(system_pb2.GetInfoRequest())
        self.assertEqual((info.drain.principal, info.principal), ("boss", "reader"))


class TokenFile(ChangeCase):
    """Hashes of tokens in a file of their own, which is read again at a reload."""

    principals = {"bob": {"rights": "submit read"}}

    def start(self, **options):
        self.tokens = self.folder / "alice.tokens"
        self.write("# of alice", f"{token_hash('alice')}  alice's laptop", "", f"  {token_hash('alice2')}")
        return super().start(more={"principal.alice": {"token_file": self.tokens, "rights": "submit read"}}, **options)

    def write(self, *lines):
        self.tokens.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def test_it(self):
        for who in ("alice", "alice2"):
            self.assertEqual(self.done(who, "echo", b"x").submitter.principal, "alice")
        id_ = self.of("alice").Submit(submit("echo", b"x", **LATER)).future.id
        watch = self.watch("alice", id_)
        self.write(token_hash("alice2"), token_hash("alice3"))
        self.of("alice").Get(get(id_))  # nothing has been read yet
        self.assert_fails(UNKNOWN, self.of("alice3").Get, get(id_))
        self.reload()
        self.assert_ends(watch, UNKNOWN, "REVOKED")
        self.assert_fails(UNKNOWN, self.of("alice").Get, get(id_))
        for who in ("alice2", "alice3"):
            self.of(who).Get(get(id_))
        self.write()
        self.reload()
        self.assert_fails(UNKNOWN, self.of("alice2").Get, get(id_))
        self.assertEqual(self.done("bob", "echo", b"x").state, SUCCEEDED)

    def test_what_is_wrong_changes_nothing(self):
        self.write(token_hash("alice2"), "a secret that does not belong here")
        self.server.signal(signal.SIGHUP)
        said = self.server.log.wait("configuration_wrong")[0]
        self.assertIn("alice.tokens:2: a line begins with the SHA-256", said)
        self.assertNotIn("a secret", said)
        self.tokens.unlink()
        self.server.signal(signal.SIGHUP)
        self.assertIn("cannot be read", self.server.log.wait("configuration_wrong", 2)[1])
        self.assertEqual(self.done("alice", "echo", b"x").state, SUCCEEDED)


@unittest.skipUnless(os.geteuid() == 0, "only root can be other users")
class Groups(ChangeCase):
    """Who connects to the Unix socket, by the groups of its process; and the group of the socket itself."""

    USER, GROUP, OTHER = 61111, 62222, 63333
    principals = {"boss": {"rights": "admin"}, "team": {"group": GROUP, "rights": "submit read"}}

    def start(self, **options):
        return super().start(listen=("127.0.0.1:0", "unix:@s"), futured={"socket_group": self.GROUP}, **options)

    def setUp(self):
        super().setUp()
        self.server.directory.chmod(0o755)

    def connect(self, user, group, *groups):
        """As a process of that user and these groups; the kernel keeps what it was at this moment."""
        raw = socket.socket(socket.AF_UNIX)
        self.addCleanup(raw.close)
        before = os.getgroups()
        os.setgroups(groups)
        os.setegid(group)
        os.seteuid(user)
        try:
            raw.connect(str(self.server.unix_path))
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(before)
        return raw

    def n(self, who):
        stats = self.of("boss", system_pb2_grpc.SystemStub).GetStats(system_pb2.GetStatsRequest(prefix="principal_connections")).stats
        return sum(s.value for s in stats if s.labels["principal"] == who)

    def is_of(self, n, who):
        self.poll(lambda: self.n(who) == n, f"{n} connections are those of {who}")

    def test_groups(self):
        self.connect(self.USER, self.GROUP)
        self.is_of(1, "team")
        self.connect(self.USER, self.OTHER, self.GROUP)
        self.is_of(2, "team")
        self.connect(self.USER, self.OTHER, *range(70000, 70200), self.GROUP)
        self.is_of(3, "team")
        self.server.unix_path.chmod(0o666)
        self.connect(self.USER, self.OTHER, self.OTHER + 1)  # nobody
        self.connect(self.USER, self.GROUP)
        self.is_of(4, "team")
        self.connect(0, self.GROUP)  # root is the owner, in whatever group
        self.connect(self.USER, self.GROUP)
        self.is_of(5, "team")

    def test_a_user_before_a_group(self):
        self.file.write_text(self.file.read_text(encoding="utf-8") +
                             f"[principal.me]\nuser = {self.USER}\nrights = read\n", encoding="utf-8")
        self.reload()
        self.connect(self.USER, self.GROUP)
        self.is_of(1, "me")
        self.assertEqual(self.n("team"), 0)

    def test_socket(self):
        status = self.server.unix_path.stat()
        self.assertEqual((status.st_mode & 0o7777, status.st_gid), (0o660, self.GROUP))
        self.connect(self.USER, self.OTHER, self.GROUP)
        self.assertRaises(PermissionError, self.connect, self.USER, self.OTHER)
        self.assertRaises(PermissionError, self.connect, self.USER, self.OTHER, self.OTHER + 1)


@unittest.skipUnless(harness.IS_TLS, "certificates are of TLS")
class Certificates(ChangeCase):
    """What is shown after a reload, to whom."""

    principals = {"alice": {"rights": "submit read"}}

    def shown(self):
        """The certificate that a new connection is shown."""
        context = rawh2.tls_context()
        with socket.create_connection(("127.0.0.1", self.server.port), harness.DEADLINE) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as secure:
                return secure.getpeercert(binary_form=True)

    @staticmethod
    def der(name):
        return ssl.PEM_cert_to_DER_cert(certs.read(f"{name}.crt").decode())

    def write(self, kind):
        """The next certificate, or its key, in the place of the daemon's."""
        self.file.write_text(self.file.read_text(encoding="utf-8").replace(
            str(certs.path(f"server.{kind}")), str(certs.path(f"next.{kind}"))), encoding="utf-8")

    def test_a_new_one(self):
        """New connections are shown the new one; those that are open go on, with the streams on them."""
        id_ = self.of("alice").Submit(submit("echo", b"x", **LATER)).future.id
        watch = self.watch("alice", id_)
        self.assertEqual(self.shown(), self.der("server"))
        self.write("crt")
        self.write("key")
        self.reload()
        self.assertEqual(self.shown(), self.der("next"))
        self.assertTrue(watch.is_active())
        self.assertEqual(self.of("alice").Get(get(id_)).id, id_)
        self.assertFalse(self.server.log.find("connection_closed .*reason=(?!peer)"))
        watch.cancel()

    def test_one_that_is_of_no_use(self):
        """Nothing changes, and the log says why."""
        self.write("crt")
        self.server.signal(signal.SIGHUP)
        self.assertIn("mismatch", self.server.log.wait("configuration_wrong")[0])
        self.assertEqual(self.shown(), self.der("server"))

    def test_a_client_that_is_known_no_more(self):
        """A name in a certificate is taken from a principal: its open connection does no more."""
        text = self.file.read_text(encoding="utf-8")
        self.file.write_text(text + "[principal.cert]\ncertificate = dns:bob.example\nrights = submit read\n", encoding="utf-8")
        self.reload()
        channel = grpc.secure_channel(self.server.address, harness.credentials("bob"),
                                      options=[("grpc.use_local_subchannel_pool", 1)])
        self.addCleanup(channel.close)
        stub = harness.Stub(futures_pb2_grpc.FuturesStub(channel))
        id_ = stub.Submit(submit("echo", b"x", **LATER)).future.id
        watch = stub.Watch(futures_pb2.WatchRequest(selector=selector(id_)))
        next(watch)
        self.change("dns:bob.example", "dns:carol.example")
        self.assert_ends(watch, UNKNOWN, "REVOKED")
        self.assert_fails(UNKNOWN, stub.Get, get(id_))


if __name__ == "__main__":
    futures_support.main()
