#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""TLS from outside: who gets in and who does not (grpcio, openssl s_client), what is refused at the start, handshakes that
never end or come in floods, connections that resume. What runs over the connection is tested by the others, which are run
again with FUTURED_TEST_TLS=1."""
import grp
import os
import re
import socket
import ssl
import subprocess
import time
import unittest

import certs
import grpc
import harness
import rawh2
from harness import echo_pb2, echo_pb2_grpc

TLS = ("tls:127.0.0.1:0",)


class TlsCase(harness.ServerCase):
    listen = TLS
    config = {"tls": certs.section()}

    def secure(self, address=None, who="alice", ca="ca", **options):
        channel = grpc.secure_channel(address or self.server.address, harness.credentials(who, ca),
                                      options=[("grpc.use_local_subchannel_pool", 1), *options.items()])
        self.addCleanup(channel.close)
        return self.echo(channel)

    def assert_serves(self, address=None, **options):
        self.assertEqual(self.secure(address, **options).Unary(echo_pb2.EchoRequest(payload=b"x")).payload, b"x")

    def assert_refuses(self, why, **options):
        """No connection comes about, and the log says why; a channel that was refused before may try again meanwhile."""
        n = len(self.server.log.find("tls_handshake_failed"))
        self.assert_fails(grpc.StatusCode.UNAVAILABLE, self.secure(**options).Unary, echo_pb2.EchoRequest())
        while not re.search(why, self.server.log.wait("tls_handshake_failed", n + 1)[n]):
            n += 1

    def s_client(self, *arguments, address=None):
        """What openssl's client says of the connection."""
        return subprocess.run(["openssl", "s_client", "-connect", address or self.server.address, "-servername", "localhost",
                               "-CAfile", certs.path("ca.crt"), *arguments], input="", capture_output=True, encoding="utf-8",
                              errors="replace", timeout=harness.DEADLINE, check=False)

    def shown(self, who="alice"):
        return ["-cert", certs.path(f"{who}.crt"), "-key", certs.path(f"{who}.key")]


class Who(TlsCase):
    def test_client_certificates(self):
        self.assert_serves()
        self.assert_serves(who="bob")
        self.assert_refuses("did not return a certificate", who=None)
        self.assert_refuses("expired", who="expired")
        self.assert_refuses("issuer", who="mallory")
        self.assert_serves()

    def test_a_client_that_trusts_somebody_else(self):
        self.assert_fails(grpc.StatusCode.UNAVAILABLE, self.secure(ca="other").Unary, echo_pb2.EchoRequest())
        self.assert_serves()

    def test_a_server_of_another_name(self):
        server = self.start(listen=TLS, config={"tls": certs.section(certificate=certs.path("wrong.crt"),
                                                                     key=certs.path("wrong.key"))})
        self.assert_fails(grpc.StatusCode.UNAVAILABLE, self.secure(server.address).Unary, echo_pb2.EchoRequest())
        self.assert_serves(server.address, **{"grpc.ssl_target_name_override": "elsewhere.example"})

    def test_an_expired_server(self):
        server = self.start(listen=TLS, config={"tls": certs.section(certificate=certs.path("old.crt"),
                                                                     key=certs.path("old.key"))})
        server.log.wait("certificate_ends")
        self.assert_fails(grpc.StatusCode.UNAVAILABLE, self.secure(server.address).Unary, echo_pb2.EchoRequest())

    def test_optional(self):
        server = self.start(listen=TLS, config={"tls": certs.section(client_certificate="optional")})
        self.assert_serves(server.address, who=None)
        self.assert_serves(server.address)
        self.assert_fails(grpc.StatusCode.UNAVAILABLE, self.secure(server.address, "mallory").Unary, echo_pb2.EchoRequest())

    def test_beside_plain_and_unix(self):
        server = self.start(listen=("tls:127.0.0.1:0", "127.0.0.1:0", "unix:@s", "tls:[::1]:0"), config=self.config)
        kinds = [line.split()[0] for line in (server.directory / "ports").read_text(encoding="utf-8").splitlines()]
        self.assertEqual(kinds, ["tls", "tcp", "unix", "tls"])
        self.assert_serves(server.addresses[0])
        self.assert_serves(server.addresses[3])
        for address in server.addresses[1:3]:
            with grpc.insecure_channel(address) as channel:
                self.assertEqual(self.echo(channel).Unary(echo_pb2.EchoRequest(payload=b"y")).payload, b"y")
        self.assert_fails(grpc.StatusCode.UNAVAILABLE, self.secure(server.addresses[1]).Unary, echo_pb2.EchoRequest())

    def test_large_messages_both_ways(self):
        echo = self.secure(**{"grpc.max_receive_message_length": 64 << 20})
        payload = os.urandom(3 << 20)
        self.assertEqual(echo.Unary(echo_pb2.EchoRequest(payload=payload)).payload, payload)


class Protocol(TlsCase):
    def test_versions_and_ciphers(self):
        for arguments, version in (([], "TLSv1.3"), (["-tls1_2"], "TLSv1.2")):
            said = self.s_client("-alpn", "h2", *self.shown(), *arguments).stdout
            self.assertIn(f"{version}, Cipher is", said)
            self.assertIn("Verify return code: 0 (ok)", said)
            self.assertIn("ALPN protocol: h2", said)
            self.assertIn("Compression: NONE", said)
        for arguments in (["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], ["-tls1_2", "-cipher", "AES128-SHA"],
                          ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"]):
            self.assertNotEqual(self.s_client("-alpn", "h2", *self.shown(), *arguments).returncode, 0, arguments)
        self.assert_serves()

    def test_min_version(self):
        server = self.start(listen=TLS, config={"tls": certs.section(min_version="1.3")})
        self.assertNotEqual(self.s_client("-alpn", "h2", *self.shown(), "-tls1_2", address=server.address).returncode, 0)
        self.assertIn("TLSv1.3", self.s_client("-alpn", "h2", *self.shown(), address=server.address).stdout)

    def test_alpn(self):
        self.assertIn("No ALPN negotiated", self.s_client("-alpn", "http/1.1", *self.shown()).stdout)
        self.server.log.wait("tls_handshake_failed")
        self.s_client(*self.shown())
        self.assertRegex(self.server.log.wait("tls_handshake_failed", 2)[1], "ALPN h2")

    def test_resumption(self):
        """The second connection is short; after a daemon has begun anew it is not."""
        context = rawh2.tls_context()
        sessions = []
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context.minimum_version = context.maximum_version = version
            session = None
            for i in range(3):
                with socket.create_connection(("127.0.0.1", self.server.port), harness.DEADLINE) as plain:
                    with context.wrap_socket(plain, server_hostname="localhost", session=session) as secure:
                        self.assertEqual(secure.session_reused, i > 0, (version, i))
                        secure.sendall(rawh2.MAGIC + rawh2.settings(()))
                        self.assertTrue(secure.recv(1000))  # SETTINGS, and with 1.3 the ticket before it
                        session = secure.session
            sessions.append(session)
        self.assertEqual(len(sessions), 2)


class Abuse(TlsCase):
    """Half-open handshakes, floods of them, and what is no TLS at all; who is connected already does not notice."""

    def setUp(self):
        super().setUp()
        self.bystander = self.secure()
        self.bystander.Unary(echo_pb2.EchoRequest())

    def open(self, server=None):
        raw = socket.create_connection(("127.0.0.1", (server or self.server).port), harness.DEADLINE)
        self.addCleanup(raw.close)
        return raw

    @staticmethod
    def name(raw):
        return "%s:%d" % raw.getsockname()

    @staticmethod
    def hello():
        """The first bytes of an honest client."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = rawh2.tls_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return outgoing.read()

    def test_no_tls(self):
        for junk in (rawh2.MAGIC + rawh2.settings(()), b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 70000):
            raw = self.open()
            name = self.name(raw)
            raw.sendall(junk)
            try:
                while raw.recv(65536):
                    pass
            except ConnectionResetError:
                pass
            self.server.log.wait(f"tls_handshake_failed peer={name}")
            raw.close()
        self.assertEqual(self.bystander.Unary(echo_pb2.EchoRequest(payload=b"z")).payload, b"z")
        self.assert_serves()

    def test_half_open_has_an_end(self):
        server = self.start(listen=TLS, config={"tls": certs.section(), "timeouts": {"handshake": "200ms"}})
        silent, slow = self.open(server), self.open(server)
        slow.sendall(self.hello()[:50])
        for raw in (silent, slow):
            server.log.wait(f"connection_closed peer={self.name(raw)} reason=handshake_timeout")
            self.assertEqual(raw.recv(1), b"")
        self.assert_serves(server.address)

    def test_the_oldest_goes(self):
        """Silent connections do not keep anybody out: the one that has been silent for longest makes room."""
        server = self.start(listen=TLS, config={"tls": certs.section(), "limits": {"handshakes": 5}})
        silent = [self.open(server) for _ in range(15)]
        for raw in silent[:10]:
            server.log.wait(f"connection_closed peer={self.name(raw)} reason=too_many_handshakes")
        self.assert_serves(server.address)
        self.assertFalse([raw for raw in silent[11:] if server.log.find(f"peer={self.name(raw)} ")])

    def test_flood_of_hellos(self):
        """Each costs the daemon a signature; it serves who is there all the while, and leaks nothing."""
        n_fds = self.server.n_fds()
        hello = self.hello()
        for _ in range(10):
            flood = [self.open() for _ in range(50)]
            for raw in flood:
                raw.sendall(hello)
            self.assertEqual(self.bystander.Unary(echo_pb2.EchoRequest(payload=b"m")).payload, b"m")
            for raw in flood:
                raw.close()
        end = time.monotonic() + harness.DEADLINE
        while self.server.n_fds() > n_fds:
            self.assertLess(time.monotonic(), end, "descriptors stay")
            self.bystander.Unary(echo_pb2.EchoRequest())
        self.assert_serves()

    def test_bytes_one_by_one(self):
        """A client whose every byte is a packet of its own gets through the handshake."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = rawh2.tls_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        raw = self.open()
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                for byte in outgoing.read():
                    raw.sendall(bytes([byte]))
                incoming.write(raw.recv(65536))
        for byte in outgoing.read():
            raw.sendall(bytes([byte]))
        client.write(rawh2.MAGIC + rawh2.settings(()))
        for byte in outgoing.read():
            raw.sendall(bytes([byte]))
        while True:
            try:
                self.assertTrue(client.read(1000))
                break
            except ssl.SSLWantReadError:
                incoming.write(raw.recv(65536))

    def test_broken_record(self):
        """A byte that was changed on the way ends the connection, and only that."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = rawh2.tls_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        plain = self.open()
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                plain.sendall(outgoing.read())
                incoming.write(plain.recv(65536))
        plain.sendall(outgoing.read())
        client.write(rawh2.MAGIC + rawh2.settings(()))
        record = bytearray(outgoing.read())
        record[-1] ^= 1
        plain.sendall(record)
        self.server.log.wait(f"connection_closed peer={self.name(plain)} reason=tls_error")
        self.assert_serves()


class Start(unittest.TestCase):
    """What is refused before anything listens, each with a text that says what to do."""

    def check(self, listen, config="", env=None):
        directory = certs.directory()
        file = directory / "futured.conf"
        file.write_text(config, encoding="utf-8")
        said = subprocess.run([harness.BIN / "futured", "--check-config", "--config", file, "--store", "none",
                               *sum((["--listen", a] for a in listen), [])], capture_output=True, encoding="utf-8",
                              timeout=harness.DEADLINE, check=False, env={**os.environ, **(env or {})})
        return said.returncode, said.stdout + said.stderr

    def section(self, **keys):
        return "[tls]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items())

    def test_open_addresses(self):
        whole = self.section(**certs.section())
        no_client = self.section(certificate=certs.path("server.crt"), key=certs.path("server.key"))
        optional = whole + "client_certificate = optional\n"
        refused = (
            (["0.0.0.0:0"], "", "listen on tls:0.0.0.0:0, on 127.0.0.1"), (["[::]:0"], "", "listen on tls:"),
            (["127.0.0.1:0", "192.0.2.1:80"], "", "192.0.2.1:80: whoever reaches it"),
            (["tls:0.0.0.0:0"], no_client, "ask clients for certificates"), (["tls:0.0.0.0:0"], optional, "ask clients"),
            (["tls:127.0.0.1:0"], "", "needs [tls] certificate and key"),
            (["127.0.0.1:0"], self.section(key=certs.path("server.key")), "certificate: it is missing"),
            (["tls:127.0.0.1:0"], self.section(certificate="/absent", key=certs.path("server.key")), "No such file"),
            (["tls:127.0.0.1:0"], self.section(certificate=certs.path("server.crt"), key=certs.path("bob.key")), "mismatch"),
            (["127.0.0.1:0"], self.section(certificate="tls.crt"), "CREDENTIALS_DIRECTORY is not set"),
            (["tls:unix:/x"], "", "needs no TLS"),
            (["unix:/tmp/x"], "[futured]\nsocket_group = no-such-group\n", "there is no such group"),
        )
        for listen, config, why in refused:
            status, said = self.check(listen, config)
            self.assertNotEqual(status, 0, (listen, config, said))
            self.assertIn(why, said)
        allowed = (
            (["tls:0.0.0.0:0"], whole), (["127.0.0.1:0", "[::1]:0", "unix:/tmp/x"], ""), (["tls:127.0.0.1:0"], no_client),
            (["0.0.0.0:0"], "[futured]\ninsecure = yes\n"), (["tls:0.0.0.0:0"], "[futured]\ninsecure = yes\n" + no_client),
        )
        for listen, config in allowed:
            status, said = self.check(listen, config)
            self.assertEqual(status, 0, (listen, config, said))

    def test_credentials(self):
        """As systemd hands them over: names in a directory."""
        status, said = self.check(["tls:127.0.0.1:0"], self.section(certificate="server.crt", key="server.key", client_ca="ca.crt"),
                                  {"CREDENTIALS_DIRECTORY": str(certs.directory())})
        self.assertEqual(status, 0, said)


class UnixSocket(harness.ServerCase):
    listen = ("unix:@s",)

    def test_mode_and_group(self):
        self.assertEqual(self.server.unix_path.stat().st_mode & 0o7777, 0o660)
        try:  # futured, where there is that group and this user may give it
            group = grp.getgrnam("futured").gr_gid
            may = os.geteuid() == 0 or group in os.getgroups()
        except KeyError:
            may = False
        self.assertEqual(self.server.unix_path.stat().st_gid, group if may else os.getegid())


if __name__ == "__main__":
    harness.main()
