#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The contract from other languages: C++ (libgrpc++) and Ruby. The clients in interop/ go through the same calls and print
what the generated code of their language has decoded, as JSON; here the whole of it is compared with what it must be.
(Node has tests of its own, test_futures_node.py.)"""
import fcntl
import hashlib
import os
import shutil
import subprocess
import time
import unittest

import futures_support
import harness
from futures_support import *  # noqa: F403: the words of the contract

from google.longrunning import operations_pb2  # noqa: F401: its types are looked up by name
from google.protobuf import json_format, symbol_database

INTEROP = harness.HERE / "interop"
STUBS = harness.BIN.parent / "tests/stubs"
PROTOS = ("futured/v1/future.proto", "futured/v1/futures.proto", "google/longrunning/operations.proto")
RPC = ("google/rpc/code.proto", "google/rpc/status.proto", "google/rpc/error_details.proto")


def generate(language, out, protos):
    plugin = shutil.which(f"grpc_{'cpp' if language == 'cpp' else language}_plugin")
    out.mkdir(parents=True, exist_ok=True)
    subprocess.run(["protoc", "-I", harness.ROOT / "proto", f"--{language}_out={out}", f"--plugin=protoc-gen-grpc={plugin}",
                    f"--grpc_out={out}", *protos], check=True)


def once(name, sources, make):
    """@make the folder @name of the build, unless it is there and newer than @sources."""
    out = STUBS / name
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = out / "stamp"
        if not stamp.exists() or any(s.stat().st_mtime > stamp.stat().st_mtime for s in sources):
            began = time.time()
            make(out)
            stamp.touch()
            os.utime(stamp, (began, began))
    return out


def sources(*more):
    return [harness.ROOT / "proto" / p for p in PROTOS + RPC] + [pathlib.Path(__file__), *more]


def make_cpp(out):
    """All in one translation unit: reading the headers is what takes the time. What each generated file has for itself gets a
    name for itself."""
    generate("cpp", out, PROTOS + RPC)
    parts = [p.replace(".proto", ".pb.cc") for p in RPC + PROTOS] + [p.replace(".proto", ".grpc.pb.cc") for p in PROTOS[1:]]
    unit = ""
    for i, part in enumerate(parts):
        own = ("schemas", "file_default_instances", "Futures_method_names", "Operations_method_names")
        unit += "".join(f"#define {name} {name}_{i}\n" for name in own)
        unit += f'#include "{part}"\n' + "".join(f"#undef {name}\n" for name in own)
    (out / "all.cc").write_text(unit + f'#include "{INTEROP / "client.cc"}"\n', encoding="ascii")
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "grpc++", "protobuf"], check=True, capture_output=True,
                           encoding="ascii").stdout.split()
    subprocess.run(["g++", "-std=c++17", "-O0", "-w", f"-I{out}", out / "all.cc", "-o", out / "client", *flags], check=True)


class InteropCase(FuturesCase):  # noqa: F405
    functions = {"narrow": {"command": "cat", "max_pending": "1"}}

    def said(self, command):
        """[(what, message)] of a client."""
        gate = self.gate()
        done = subprocess.run([*harness.DIE_WITH_PARENT, *map(str, command), self.server.address, gate.argument.decode()],
                              stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=3 * harness.DEADLINE,
                              check=False)
        gate.open()
        self.assertEqual(done.returncode, 0, done.stderr)
        types = symbol_database.Default()
        said = []
        for line in done.stdout.splitlines():
            what, name, text = line.split(" ", 2)
            said.append((what, json_format.Parse(text, types.GetSymbol(name)())))
        return said

    def judge(self, said):
        def take(what, kind):
            got_what, message = said.pop(0)
            self.assertEqual((got_what, message.DESCRIPTOR.name), (what, kind))
            return message

        asked = task("sha256", b"abc", labels={"k": "v"})
        done = succeeded(asked, data=hashlib.sha256(b"abc").hexdigest().encode(), group="g", tag="t")
        submitted = take("submit", "SubmitResponse")
        id_ = submitted.future.id
        self.assertEqual(submitted.tag, "t")
        self.assert_future(submitted.future, pending(asked, view=BASIC, group="g", tag="t"))
        waited = take("wait", "WaitResponse")
        self.assert_future(waited.done[0], done, id_)
        self.assertEqual((len(waited.done), list(waited.not_done), list(waited.missing), waited.timed_out), (1, [], [], False))
        self.assertEqual(waited.counts.succeeded, 1)
        self.assert_future(take("get", "Future"), done, id_)
        self.judge_operation(take("operation", "Operation"), id_, asked)
        no = function_error("no good", type_="FAIL")
        self.assert_future(take("run", "Future"), failed(task("fail", b"no good"), no))
        event = take("watch", "FutureEvent")
        self.assertEqual(event.id, id_)
        self.assert_future(event.snapshot, succeeded(asked, data=done.result.data, view=BASIC, group="g", tag="t"), id_)
        while said[0][0] == "watch":
            said.pop(0)
        self.judge_round(take)

        echo = pending(task("echo", b"x"), view=BASIC)
        self.assert_future(take("stream", "SubmitResponse").future, echo)
        refused = take("stream", "SubmitResponse")
        self.assertEqual(refused.status.code, code_pb2.FAILED_PRECONDITION)
        self.assert_info(take("stream", "ErrorInfo"), "NO_SUCH_FUNCTION", {"function": "nothing"})
        self.assert_precondition(take("stream", "PreconditionFailure"))
        self.assert_future(take("stream", "SubmitResponse").future, echo)

        malformed = take("malformed", "Status")
        self.assertEqual(malformed.code, code_pb2.INVALID_ARGUMENT)
        self.assertIn("id", malformed.message)
        self.assert_info(take("malformed", "ErrorInfo"), "INVALID_FIELD")
        self.assertEqual([v.field for v in take("malformed", "BadRequest").field_violations], ["id"])
        missing = take("missing", "Status")
        self.assertEqual(missing.code, code_pb2.NOT_FOUND)
        self.assertIn(NO_SUCH_ID, missing.message)
        self.assert_info(take("missing", "ErrorInfo"), "NO_SUCH_FUTURE")
        resource = take("missing", "ResourceInfo")
        self.assertEqual((resource.resource_type, resource.resource_name), ("futured.v1.Future", NO_SUCH_ID))
        self.assertEqual(take("unknown", "Status").code, code_pb2.FAILED_PRECONDITION)
        self.assert_info(take("unknown", "ErrorInfo"), "NO_SUCH_FUNCTION", {"function": "nothing"})
        self.assert_precondition(take("unknown", "PreconditionFailure"))
        self.assert_future(take("cancel", "Future"), cancelled(task("echo", b"x"), "no longer wanted", view=BASIC))
        self.assertEqual(take("full", "Status").code, code_pb2.RESOURCE_EXHAUSTED)
        self.assert_info(take("full", "ErrorInfo"), "FUNCTION_QUEUE_FULL", {"function": "narrow"})
        self.assertGreater(take("full", "RetryInfo").retry_delay.ToNanoseconds(), 0)
        self.assertEqual([v.subject for v in take("full", "QuotaFailure").violations], ["function.max_pending"])
        self.assertEqual(said, [])

    def judge_round(self, take):
        options = future_pb2.TaskOptions(idempotency_key="key")
        keyed = task("echo", b"x", labels={"of": "round"}, options=options)
        first = take("key", "Future")
        self.assert_future(first, succeeded(keyed, data=b"x", effective_options=options))
        joined = take("key", "SubmitResponse")
        self.assertTrue(joined.joined)
        shown = succeeded(keyed, data=b"x", view=BASIC, effective_options=options)
        self.assert_future(joined.future, shown, first.id)
        dependent = task("echo", b"y", labels={"of": "round"}, options=future_pb2.TaskOptions(depends_on=[first.id]))
        options = future_pb2.TaskOptions(depend_policy=future_pb2.DEPEND_POLICY_ON_SUCCESS)
        second = take("depends", "Future")
        self.assert_future(second, succeeded(dependent, data=b"y", effective_options=options))
        listed = take("list", "ListResponse")
        self.assertEqual((len(listed.futures), listed.next_page_token), (2, ""))
        self.assert_future(listed.futures[0], shown, first.id)
        self.assert_future(listed.futures[1], succeeded(dependent, data=b"y", view=BASIC, effective_options=options), second.id)
        counted = take("count", "CountResponse")
        self.assertEqual((counted.count, [(g.value, g.count) for g in counted.groups]), (2, [("echo", 2)]))
        retry = take("retry", "Future")
        self.assertRegex(retry.retry_of, UUID7)
        self.assert_future(retry, pending(task("fail", b"no"), view=BASIC, retry_of=retry.retry_of))

    def judge_operation(self, operation, id_, asked):
        self.assertEqual((operation.name, operation.done), (f"futures/{id_}", True))
        metadata, response = future_pb2.Future(), future_pb2.Result()
        self.assertTrue(operation.metadata.Unpack(metadata))
        self.assertTrue(operation.response.Unpack(response))
        data = hashlib.sha256(b"abc").hexdigest().encode()
        self.assert_future(metadata, succeeded(asked, data=data, view=BASIC, group="g", tag="t"), id_)
        self.assertEqual(response, future_pb2.Result(data=data, size_bytes=len(data)))

    def assert_info(self, info, reason, metadata=None):
        self.assertEqual((info.reason, info.domain, dict(info.metadata)), (reason, "futured", metadata or {}))

    def assert_precondition(self, failure):
        self.assertEqual([(v.type, v.subject) for v in failure.violations], [("FUNCTION", "nothing")])


class Cpp(InteropCase):
    def test_contract(self):
        out = once("interop-cpp", sources(INTEROP / "client.cc"), make_cpp)
        self.judge(self.said([out / "client"]))


class Ruby(InteropCase):
    def test_contract(self):
        out = once("interop-ruby", sources(), lambda out: generate("ruby", out, PROTOS))
        self.judge(self.said(["ruby", "-W0", f"-I{out}", INTEROP / "client.rb"]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
