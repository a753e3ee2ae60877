#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a principal may use at a time: connections, calls, and what it keeps; who is at the limit harms nobody else. Run again
under TLS with FUTURED_TEST_TLS=1, and about futures on disk with FUTURED_TEST_STORE=sqlite."""
import shutil
import unittest

import harness
import futures_support
import openmetrics
from futures_support import *  # noqa: F403: the words of the contract
from test_auth import AuthCase, bearer, options, token_hash

from futured.v1 import system_pb2, system_pb2_grpc
from google.rpc import error_details_pb2, status_pb2

FULL_UP = grpc.StatusCode.RESOURCE_EXHAUSTED
KEPT = dict(options=options(delay=seconds(3600)))


class QuotaCase(AuthCase):
    def setUp(self):
        super().setUp()
        self.boss = self.of("boss", system_pb2_grpc.SystemStub)

    def assert_quota(self, error, name, quota):
        """What a refusal says: of whom, and of what there is no more."""
        self.assertEqual(error.code(), FULL_UP)
        self.assertEqual(self.reason(error), "QUOTA")
        self.assertIn(f'"{name}" has used up its {quota}', error.details())
        details = {d.type_url.rpartition(".")[2]: d for d in status_pb2.Status.FromString(
            dict(error.trailing_metadata())["grpc-status-details-bin"]).details}
        failure, again = error_details_pb2.QuotaFailure(), error_details_pb2.RetryInfo()
        details["QuotaFailure"].Unpack(failure)
        details["RetryInfo"].Unpack(again)
        self.assertEqual([(v.subject, v.description) for v in failure.violations], [(f"principal:{name}", quota)])
        self.assertGreater(again.retry_delay.ToNanoseconds(), 0)

    def on(self, channel, name):
        """One short call of @name on that channel; None, or the error."""
        stub = futures_pb2_grpc.FuturesStub(channel)
        try:
            stub.Count(futures_pb2.CountRequest(selector=selector(filter="*")), metadata=bearer(name), timeout=DEADLINE)
        except grpc.RpcError as error:
            return error
        return None

    def value(self, name, suffix="", **labels):
        text = self.boss.GetStats(system_pb2.GetStatsRequest(openmetrics=True, prefix="principal_")).openmetrics
        return openmetrics.parse(text)[f"futured_{name}"].value(suffix, namespace="", **labels)

    def refused(self, who, quota):
        return self.value("principal_refusals", "_total", principal=who, quota=quota)

    def change(self, old, new):
        """In the configuration, and reload it."""
        file = self.server.directory / "futured.conf"
        text = file.read_text(encoding="utf-8")
        self.assertIn(old, text)
        file.write_text(text.replace(old, new, 1), encoding="utf-8")
        self.boss.Reload(system_pb2.ReloadRequest())


class Open(QuotaCase):
    principals = {"few": {"rights": "submit read", "max_connections": 2, "max_calls": 3}, "boss": {"rights": "admin"},
                  "free": {"rights": "submit read"}}

    def test_connections(self):
        first, second, third = self.channel(), self.channel(), self.channel()
        for channel in (first, second, first, second):
            self.assertIsNone(self.on(channel, "few"))
        self.assertEqual(self.value("principal_connections", principal="few"), 2)
        self.assert_quota(self.on(third, "few"), "few", "max_connections")
        for channel in (first, second):  # who is there already goes on, and so does everybody else
            self.assertIsNone(self.on(channel, "few"))
        self.assertIsNone(self.on(self.channel(), "free"))
        self.assertEqual(self.refused("few", "max_connections"), 1)
        self.assertEqual(self.refused("free", "max_connections"), 0)
        second.close()
        self.poll(lambda: self.value("principal_connections", principal="few") == 1, "one is gone")
        self.assertIsNone(self.on(self.channel(), "few"))
        self.change("max_connections = 2", "max_connections = 3")
        self.assertIsNone(self.on(self.channel(), "few"))
        self.assert_quota(self.on(self.channel(), "few"), "few", "max_connections")
        self.change("max_connections = 3", "max_connections = 1")  # those that are open stay
        self.assertIsNone(self.on(first, "few"))
        self.assertEqual(self.value("principal_connections", principal="few"), 3)

    def test_calls(self):
        futures = futures_pb2_grpc.FuturesStub(self.raw_channel)
        ids = [self.of("few").Submit(submit("echo", b"x", **KEPT)).future.id for _ in range(3)]
        waiting = [futures.Wait.future(futures_pb2.WaitRequest(selector=selector(id_)), metadata=bearer("few"), timeout=DEADLINE)
                   for id_ in ids]
        self.poll(lambda: self.value("principal_calls", principal="few") == 3, "three wait")
        self.assert_quota(self.on(self.raw_channel, "few"), "few", "max_calls")
        self.assert_quota(self.on(self.channel(), "few"), "few", "max_calls")  # by whichever connection
        for _ in range(10):
            self.assertIsNone(self.on(self.raw_channel, "free"))
        self.assertEqual(self.refused("few", "max_calls"), 2)
        waiting[0].cancel()
        self.poll(lambda: self.value("principal_calls", principal="few") == 2, "one is over")
        self.assertIsNone(self.on(self.raw_channel, "few"))
        self.change("max_calls = 3", "max_calls = 2")
        self.assert_quota(self.on(self.raw_channel, "few"), "few", "max_calls")
        self.change("max_calls = 2", "max_calls = 0")
        self.assertIsNone(self.on(self.raw_channel, "few"))
        for call in waiting:
            call.cancel()
        self.poll(lambda: self.value("principal_calls", principal="few") == 0, "none is left")

    def test_a_flood_of_one(self):
        """While one has all that it may have, and asks for more, another is served."""
        id_ = self.of("few").Submit(submit("echo", b"x", **KEPT)).future.id
        futures = futures_pb2_grpc.FuturesStub(self.raw_channel)
        flood = [futures.Wait.future(futures_pb2.WaitRequest(selector=selector(id_)), metadata=bearer("few"), timeout=DEADLINE)
                 for _ in range(200)]
        for _ in range(20):
            self.assertEqual(self.done("free", "echo", b"y").state, SUCCEEDED)
        self.poll(lambda: sum(call.done() for call in flood) == 197, "all but three were refused")
        self.assertEqual({call.code() for call in flood if call.done()}, {FULL_UP})
        for call in flood:
            call.cancel()

    def test_what_is_told_to_whom(self):
        """Names of principals are told to those of their namespace."""
        server = self.start(more={**{f"principal.{name}": keys for name, keys in self.sections().items()},
                                  "principal.elsewhere": {"token_hash": token_hash("elsewhere"), "namespace": "else", "rights": "admin"}})
        channel = self.channel(server.address)
        told = {}
        for who in ("boss", "elsewhere"):
            stats = system_pb2_grpc.SystemStub(channel).GetStats(system_pb2.GetStatsRequest(prefix="principal_"),
                                                                 metadata=bearer(who), timeout=DEADLINE).stats
            told[who] = {s.labels["principal"] for s in stats}
        self.assertEqual(told, {"boss": {"few", "boss", "free"}, "elsewhere": {"elsewhere"}})

    def sections(self):
        return {name: {"token_hash": token_hash(name), **keys} for name, keys in self.principals.items()}


class Shown(QuotaCase):
    """Who is known by its connection has none too many from the start."""

    principals = {"boss": {"rights": "admin"}}

    def start(self, **options):
        return super().start(more={"principal.cert": {"certificate": "dns:bob.example", "rights": "submit read", "max_connections": 1}},
                             **options)

    @unittest.skipUnless(harness.IS_TLS, "certificates are of TLS")
    def test_certificates(self):
        def as_bob():
            channel = grpc.secure_channel(self.server.address, harness.credentials("bob"),
                                          options=[("grpc.use_local_subchannel_pool", 1)])
            self.addCleanup(channel.close)
            return channel

        def count(channel):
            return futures_pb2_grpc.FuturesStub(channel).Count(futures_pb2.CountRequest(selector=selector(filter="*")), timeout=DEADLINE)

        first = as_bob()
        count(first)
        self.assert_fails(grpc.StatusCode.UNAVAILABLE, count, as_bob())
        self.assertRegex(self.server.log.wait("connection_refused")[0], 'principal=cert .*quota=max_connections')
        count(first)
        self.assertIsNone(self.on(self.channel(), "boss"))
        self.assertGreaterEqual(self.refused("cert", "max_connections"), 1)
        self.assertEqual(self.value("principal_connections", principal="cert"), 1)


@unittest.skipUnless(futures_support.STORE == "sqlite", "nothing is kept without a store")
class Stored(QuotaCase):
    """What one keeps in the store; it is still there after a restart."""

    principals = {"few": {"rights": "submit read annotate cancel", "max_stored": "100K"}, "boss": {"rights": "admin"},
                  "free": {"rights": "submit read"}}

    def start(self, **fields):
        server = super().start(**fields)
        self.addCleanup(server.kill)
        return server

    def stored(self, who="few"):
        return self.value("principal_stored_bytes", principal=who)

    def full(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.of("few").Submit(submit("echo", b"y"))
        self.assert_quota(caught.exception, "few", "max_stored")

    def test_it(self):
        self.assertEqual(self.stored(), 0)
        first, second = (self.done("few", "echo", b"x" * 30000).id for _ in range(2))
        self.assertGreater(self.stored(), 120000)  # arguments and results
        self.full()
        self.assertEqual(self.done("free", "echo", b"x" * 30000).state, SUCCEEDED)
        self.assertEqual(self.refused("few", "max_stored"), 1)
        before = self.stored()
        self.of("few").Annotate(futures_pb2.AnnotateRequest(id=first, set_labels={"a": "b" * 1000}))
        self.assertGreaterEqual(self.stored(), before + 1000)
        self.of("few").Delete(futures_pb2.DeleteRequest(id=first))
        self.assertLess(self.stored(), before - 60000)
        third = self.done("few", "echo", b"x" * 30000).id
        self.full()
        self.change("max_stored = 100K", "max_stored = 1M")
        self.assertEqual(self.done("few", "echo", b"y").state, SUCCEEDED)
        self.change("max_stored = 1M", "max_stored = 100K")
        self.full()
        self.again(self.stored())
        for id_ in (second, third):
            self.of("few").Delete(futures_pb2.DeleteRequest(id=id_))
        self.assertEqual(self.done("few", "echo", b"y").state, SUCCEEDED)

    def again(self, before):
        """After a restart it is as it was."""
        state = self.server.directory / "state"
        kept = self.folder / "kept"
        self.server.signal()
        self.assertEqual(self.server.wait(), 0)
        shutil.copytree(state, kept)
        self.server = harness.ServerCase.start(self, program="futured", store="sqlite",
                                               arguments=("--workers", "1", "--state-directory", str(kept)), config={
                                                   f"principal.{name}": {"token_hash": token_hash(name), **keys}
                                                   for name, keys in self.principals.items()})
        self.raw_channel = self.channel()
        self.boss = self.of("boss", system_pb2_grpc.SystemStub)
        self.assertEqual(self.stored(), before)
        self.full()


if __name__ == "__main__":
    futures_support.main()
