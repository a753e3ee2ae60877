# SPDX-License-Identifier: Apache-2.0
"""Certificates for the tests, made by openssl(1) when they are first asked for: an authority, and what it has signed.

    certs.path("alice.crt"), certs.read("ca.crt")

| name | whose |
| --- | --- |
| ca, other | authorities; nobody trusts the second |
| server | the daemon, as localhost and 127.0.0.1; wrong: as another host; old: expired; next: as server, made anew |
| alice, bob, worker | clients, CN and DNS name; expired; mallory: signed by other |
"""
import atexit
import os
import pathlib
import shutil
import subprocess
import tempfile

_directory = None
_SERVER = "DNS:localhost,IP:127.0.0.1,IP:::1"
_LEAVES = {  # name: (authority, common name, alternative names, days)
    "server": ("ca", "server", _SERVER, 30), "next": ("ca", "server", _SERVER, 30), "old": ("ca", "server", _SERVER, -1),
    "wrong": ("ca", "server", "DNS:elsewhere.example", 30), "alice": ("ca", "alice", "DNS:alice.example", 30),
    "bob": ("ca", "bob", "DNS:bob.example,URI:spiffe://example/bob", 30), "worker": ("ca", "worker", "DNS:worker.example", 30),
    "expired": ("ca", "alice", "DNS:alice.example", -1), "mallory": ("other", "alice", "DNS:alice.example", 30),
}


def _openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=_directory)


def _key(name):
    return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key"]


def _sign(name, authority, common, names, days):
    (_directory / f"{name}.ext").write_text(f"basicConstraints=CA:FALSE\nsubjectAltName={names}\n", encoding="ascii")
    _openssl("req", *_key(name), "-out", f"{name}.csr", "-subj", f"/CN={common}")
    _openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.crt", "-CAkey", f"{authority}.key",
             "-CAcreateserial", "-days", str(days), "-extfile", f"{name}.ext", "-out", f"{name}.crt")


def _make():
    for name in ("ca", "other"):
        _openssl("req", "-x509", *_key(name), "-out", f"{name}.crt", "-days", "30", "-subj", f"/CN={name}")
    for name, leaf in _LEAVES.items():
        _sign(name, *leaf)


def directory():
    global _directory
    if not _directory and "FUTURED_CERTS" in os.environ:  # those of who has started this
        _directory = pathlib.Path(os.environ["FUTURED_CERTS"])
    if not _directory:
        _directory = pathlib.Path(tempfile.mkdtemp(prefix="futured-certs-"))
        atexit.register(shutil.rmtree, _directory, ignore_errors=True)
        _make()
    return _directory


def make_client(name):
    """One more client, with CN and DNS name as alice's."""
    directory()
    _sign(name, "ca", name, f"DNS:{name}.example", 30)


def path(name):
    return directory() / name


def read(name):
    return path(name).read_bytes()


def section(**keys):
    """The [tls] section of a daemon that asks its clients for certificates."""
    return {"certificate": path("server.crt"), "key": path("server.key"), "client_ca": path("ca.crt"), **keys}
