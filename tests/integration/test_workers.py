#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What workers run: the shipped functions with known answers, and commands of the configuration: their input, output,
exit codes, environment and words."""
import gzip
import hashlib
import json
import os

import futures_support
from futures_support import *  # noqa: F403: the words of the contract

INVALID = code_pb2.INVALID_ARGUMENT
EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
SIZES = (0, 1, 100, 4095, 65535, 65536, 65537, 200000, 1 << 20)


def pattern(n):
    return bytes((i * 7 + (i >> 8)) & 255 for i in range(n))


class WorkersCase(FuturesCase):
    def result(self, function, argument=None, **fields):
        """The outcome of a task that must succeed, with the rest of the future checked."""
        asked = task(function, argument, **fields)
        got = self.futures.Run(futures_pb2.RunRequest(submit=futures_pb2.SubmitRequest(task=asked)))
        self.assertEqual(got.state, SUCCEEDED, got.error)
        return got.result

    def failure(self, function, argument=None, error=None, **how):
        """A task fails with just this error."""
        asked = task(function, argument)
        got = self.futures.Run(futures_pb2.RunRequest(submit=futures_pb2.SubmitRequest(task=asked)))
        self.assert_future(got, failed(asked, error, **how))
        return got


class Shipped(WorkersCase):
    def test_echo(self):
        for n in SIZES:
            got = self.result("echo", pattern(n), content_type="application/x-a; b=c")
            self.assertEqual((got.data, got.content_type, got.size_bytes), (pattern(n), "application/x-a; b=c", n))
        self.assertEqual(self.result("echo", b"x").content_type, "")

    def test_sha256(self):
        self.assertEqual(self.result("sha256").data.decode(), EMPTY_SHA256)
        self.assertEqual(self.result("sha256", b"abc").data,
                         b"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        for n in SIZES:
            self.assertEqual(self.result("sha256", pattern(n)).data.decode(), hashlib.sha256(pattern(n)).hexdigest())

    def test_gzip_and_gunzip(self):
        for data in (b"", b"x", pattern(100000), bytes(3 << 20), os.urandom(1 << 20)):
            packed = self.result("gzip", data)
            self.assertEqual(packed.content_type, "application/gzip")
            self.assertEqual(gzip.decompress(packed.data), data)
            self.assertEqual(self.result("gunzip", packed.data).data, data)
            self.assertEqual(self.result("gunzip", gzip.compress(data)).data, data)
        self.assertEqual(self.result("gunzip", gzip.compress(b"one ") + gzip.compress(b"two")).data, b"one two")

    def test_gunzip_of_what_is_none(self):
        def refused(message):
            return function_error(message, INVALID, "INVALID_ARGUMENT")

        packed = gzip.compress(pattern(1000))
        self.failure("gunzip", b"no such thing", refused("the argument is no gzip data: incorrect header check"))
        for short in (b"", packed[:1], packed[:-1], packed[:100]):
            self.failure("gunzip", short, refused("the argument is no gzip data: it ends too early"))
        broken = packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:]
        self.failure("gunzip", broken, refused("the argument is no gzip data: incorrect data check"))
        got = self.futures.Run(run("gunzip", gzip.compress(bytes(5 << 20))))
        limit = (4 << 20) - (64 << 10)
        self.assert_future(got, failed(got.task, future_pb2.Error(
            code=code_pb2.RESOURCE_EXHAUSTED, reason="RESULT_TOO_LARGE",
            message=f"the result has {limit + 1} bytes; at most {limit} are allowed")))

    def test_largest_result(self):
        """As large as a result may be, by a plugin function and by a command."""
        limit = (4 << 20) - (64 << 10)
        self.assertEqual(self.result("gunzip", gzip.compress(bytes(limit))).data, bytes(limit))

    def test_sleep(self):
        for ms in (b"0", b"1", b"000000020"):
            self.assertEqual(self.result("sleep", ms), future_pb2.Result(data=b"", size_bytes=0))
        for wrong, shown in ((b"", ""), (b"soon", "soon"), (b"-1", "-1"), (b"1.5", "1.5"), (b" 1", " 1"),
                             (b"1000000000", "1000000000"), (b"9" * 41, "9" * 40 + "...")):
            message = f'the argument is no number of milliseconds with 1 to 9 digits: "{shown}"'
            self.failure("sleep", wrong, function_error(message, INVALID, "INVALID_ARGUMENT"))

    def test_fail(self):
        for message in ("", "so be it", "two\nlines", "\N{SNOWMAN}"):
            self.failure("fail", message.encode(), function_error(message, type_="FAIL"))

    def test_fail_with_what_is_no_text(self):
        """The error of a task is always text."""
        got = self.futures.Run(run("fail", b"a\xffb\xc3"))
        self.assertEqual((got.state, got.error.type), (FAILED, "FAIL"))
        self.assertRegex(got.error.message, "^a.+b.+$")
        got = self.futures.Run(run("fail", b"x" * 1000000))
        self.assertEqual(got.error.message[:1000], "x" * 1000)
        self.assertLess(len(got.error.message), 100000)

    def test_all_at_once(self):
        """Mixed, through one stream."""
        wanted, requests = {}, []
        for i in range(2000):
            data = b"%d" % i
            function, answer = [("echo", data), ("sha256", hashlib.sha256(data).hexdigest().encode()),
                                ("gunzip", data), ("sleep", b"")][i % 4]
            argument = gzip.compress(data) if function == "gunzip" else b"0" if function == "sleep" else data
            wanted[str(i)] = answer
            requests.append(run(function, argument, tag=str(i), view=RESULT))
        got = {r.tag: r.finished.result.data for r in self.futures.RunStream(iter(requests))}
        self.assertEqual(got, wanted)


# A command that shows its surroundings.
SHOW = {"command": "/usr/bin/python3 -c 'import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ), os.getcwd(), "
                   "sorted(os.listdir(\"/proc/self/fd\"))[:-1]]))' \"two words\" it\\'s '$HOME' \"\" *"}


class Commands(WorkersCase):
    functions = {
        "cat": "cat", "show": SHOW, "exit": {"command": "code=$(cat); exit $code", "shell": "yes"},
        "grumble": {"command": "echo one >&2; echo 'the last' >&2; exit 3", "shell": "yes"},
        "babble": {"command": "echo noise >&2; echo fine", "shell": "yes"},
        "deaf": {"command": "exec <&-; echo done", "shell": "yes"},
        "true": "true", "missing": "/no/such/program", "lost": "no-such-program-anywhere",
        "notexec": "/etc/passwd", "folder": "/",
        "pipeline": {"command": "tr a-z A-Z | rev", "shell": "yes"}, "words": "echo one | two > three; four",
        "zeros": "head -c 5000000 /dev/zero", "many": {"command": "yes x | head -c 4128768", "shell": "yes"},
        "errors": {"command": "yes 0123456789 | head -c 1000000 >&2; exit 1", "shell": "yes"},
        "binary": {"command": "printf '\\\\377\\\\000end' >&2; exit 1", "shell": "yes"},
        "term": {"command": "kill -TERM $$", "shell": "yes"}, "segv": {"command": "kill -SEGV $$", "shell": "yes"},
        "both": {"command": "echo why >&2; kill -ABRT $$", "shell": "yes"},
        "orphan": {"command": "sleep 1000 & echo $!", "shell": "yes"},
        "runaway": {"command": "setsid sh -c 'setsid sleep 1000 & exec sleep 1000' >/dev/null 2>&1 & echo $!", "shell": "yes"},
        "words-of": "printf <%s> {argument} {label.a} {group} {attempt} {{id}} {}", "first": "{argument} x",
        "there": {"command": "pwd", "directory": "/usr/bin"}, "nowhere": {"command": "pwd", "directory": "/no/such"},
    }

    def test_input_and_output(self):
        for n in SIZES:
            asked = task("cat", pattern(n))
            got = self.futures.Run(futures_pb2.RunRequest(submit=futures_pb2.SubmitRequest(task=asked)))
            self.assert_future(got, succeeded(asked, data=pattern(n), exit_code=0))
        self.assertEqual(self.result("true", pattern(1 << 20)).data, b"")
        self.assertEqual(self.result("deaf", pattern(1 << 20)).data, b"done\n")

    def test_surroundings(self):
        """Its words, its environment and its descriptors are what they should be, and nothing else."""
        asked = task("show", labels={"customer": "a b", "x/y.z": "1", "bad": "a\0b"})
        got = self.futures.Run(futures_pb2.RunRequest(submit=futures_pb2.SubmitRequest(task=asked, group="the group")))
        words, environment, folder, fds = json.loads(got.result.data)
        self.assertEqual(words, ["two words", "it's", "$HOME", "", "*"])
        own = {k: v for k, v in environment.items() if k.startswith("FUTURED_")}
        self.assertEqual(own, {"FUTURED_ID": got.id, "FUTURED_ATTEMPT": "1", "FUTURED_GROUP": "the group",
                               "FUTURED_FUNCTION": "show", "FUTURED_LABEL_CUSTOMER": "a b", "FUTURED_LABEL_X_Y_Z": "1"})
        self.assertNotIn("NOTIFY_SOCKET", environment)
        self.assertEqual(environment["PATH"], os.environ["PATH"])
        self.assertEqual(fds, ["0", "1", "2"])
        self.assertTrue(folder)

    def test_templates(self):
        """What is known of the attempt as words, each one word whatever is in it."""
        asked = task("words-of", b"a 'b' $HOME {id}", labels={"a": "one; two"})
        got = self.futures.Run(futures_pb2.RunRequest(submit=futures_pb2.SubmitRequest(task=asked, group="g h")))
        self.assert_future(got, succeeded(asked, b"<a 'b' $HOME {id}><one; two><g h><1><{id}><{}>", exit_code=0, group="g h"))
        for argument, error in ((b"a\0b", function_error("{argument} has a NUL byte in it, which no word of a command can have",
                                                         INVALID, "INVALID_ARGUMENT", retryable=False)),
                                (b"x" * 131072, future_pb2.Error(
                                    code=INVALID, reason="ARGUMENT_TOO_LARGE", message="{argument} makes a word of over 131,071 "
                                    "bytes, which the system does not take; standard input takes more"))):
            self.failure("words-of", argument, error)
        self.assertEqual(len(self.result("words-of", b"x" * 131071).data), 131071 + len("<><><><1><{id}><{}>"))
        self.server.log.wait("function first: its command cannot be used: its program is a template", self.workers)

    def test_directory(self):
        self.assertEqual(self.result("there").data, b"/usr/bin\n")
        self.failure("nowhere", None, function_error("cannot enter the directory /no/such: No such file or directory",
                                                     code_pb2.NOT_FOUND, "NOT_FOUND", retryable=False))

    def test_traceparent(self):
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        got = self.futures.Run(run("show"), metadata=[("traceparent", trace)])
        self.assertEqual((json.loads(got.result.data)[1]["TRACEPARENT"], got.traceparent), (trace, trace))

    def test_exit_codes(self):
        for code in (1, 2, 42, 126, 127, 128, 139, 255):
            self.failure("exit", str(code).encode(), function_error(f"exit code {code}", type_="EXIT_CODE"), exit_code=code)
        self.assertEqual(self.result("exit", b"0").data, b"")

    def test_standard_error(self):
        """The last line in the message, all of it behind; of one that succeeds nothing."""
        self.failure("grumble", None, function_error("exit code 3: the last", type_="EXIT_CODE",
                                                     traceback="one\nthe last\n"), exit_code=3, log_size_bytes=13)
        self.assertEqual(self.result("babble").data, b"fine\n")
        got = self.futures.Run(run("errors"))
        said = ("0123456789\n" * 100000)[:1000000]
        self.assertEqual(got.error.message, "exit code 1: " + said[-1])
        note, _, tail = got.error.traceback.partition("\n")
        self.assertTrue(said.endswith(tail))
        self.assertIn(len(tail), range(1000, 65536))
        self.assertEqual(note, f"({len(said) - len(tail)} bytes of standard error before this are left out)")
        got = self.futures.Run(run("binary"))
        self.assertEqual(got.attempts[0].exit_code, 1)
        self.assertIn("end", got.error.message)

    def test_with_and_without_a_shell(self):
        self.assertEqual(self.result("pipeline", b"abc\n").data, b"CBA\n")
        self.assertEqual(self.result("words").data, b"one | two > three; four\n")

    def test_what_cannot_be_run(self):
        for name, path in (("missing", "/no/such/program"), ("lost", "no-such-program-anywhere")):
            self.failure(name, None, function_error(f"cannot run {path}: No such file or directory", code_pb2.NOT_FOUND,
                                                    "NOT_FOUND", retryable=False))
        for name, path in (("notexec", "/etc/passwd"), ("folder", "/")):
            self.failure(name, None, function_error(f"cannot run {path}: Permission denied", code_pb2.PERMISSION_DENIED,
                                                    "PERMISSION_DENIED", retryable=False))

    def test_too_large(self):
        limit = (4 << 20) - (64 << 10)
        got = self.result("many")
        self.assertEqual((got.size_bytes, len(got.data)), (limit, limit))
        got = self.futures.Run(run("zeros"))
        self.assertEqual((got.state, got.error.reason, got.error.code), (FAILED, "RESULT_TOO_LARGE", code_pb2.RESOURCE_EXHAUSTED))
        self.assertRegex(got.error.message, f"^the result has [0-9]+ bytes or more; at most {limit} are allowed$")
        self.assertEqual(self.result("cat", b"on").data, b"on")

    def crash(self, message, **fields):
        return future_pb2.Error(code=code_pb2.INTERNAL, reason="CRASHED", message=message, retryable=True, **fields)

    def test_killed_by_a_signal(self):
        """CRASHED, with the signal; the worker that ran it and its neighbours are unharmed."""
        before = self.pool_pids()
        gate = self.gate()
        id_ = self.submit("gate", gate.argument)
        gate.started()
        self.failure("segv", b"x", self.crash("killed by SIGSEGV"), signo=11)
        self.failure("term", None, self.crash("killed by SIGTERM"), signo=15)
        self.failure("both", None, self.crash("killed by SIGABRT", traceback="why\n"), signo=6, log_size_bytes=4)
        gate.open(b"unharmed")
        self.assert_future(self.finished(id_), succeeded(task("gate", gate.argument), data=b"unharmed", exit_code=0))
        self.assertEqual(self.worker_pids(), before)
        self.assertEqual(self.server.log.find("worker_(exited|killed|failed)"), [])

    def test_what_a_command_leaves_behind(self):
        """Goes with its group, and is not waited for."""
        pid = int(self.result("orphan").data)
        self.poll(lambda: name_of(pid) in (None, ""), "the end of the orphan")

    def test_what_leaves_its_group(self):
        """And its session, and its parent: it is found and ended before the attempt is over."""
        pid = int(self.result("runaway").data)
        self.assertIsNone(name_of(pid))
        for worker in self.worker_pids():
            self.assertEqual([name_of(c) for c in children(worker) if name_of(c) != "futured-worker"], [])

    def test_many_at_once(self):
        requests = [run("cat" if i % 5 else "segv", b"%d" % i, tag=str(i), view=RESULT) for i in range(200)]
        got = {int(r.tag): r.finished for r in self.futures.RunStream(iter(requests))}
        self.assertEqual(sorted(got), list(range(200)))
        for i, f in got.items():
            self.assertEqual((f.state, f.result.data), (SUCCEEDED, b"%d" % i) if i % 5 else (FAILED, b""))
        self.assertEqual(self.server.log.find("worker_(exited|killed|failed)"), [])


class Folder(WorkersCase):
    def test_functions_directory(self):
        """Every *.conf of it is read, as if it stood in the file."""
        (self.folder / "a.conf").write_text("[function.upper]\ncommand = tr a-z A-Z\ndoc = Louder.\n", encoding="ascii")
        (self.folder / "b.conf").write_text("[function.b]\ncommand = cat\n", encoding="ascii")
        (self.folder / "c.conf.bak").write_text("nonsense", encoding="ascii")
        self.server = self.start(futured={"functions_directory": self.folder})
        self.futures = self.futures_of(self.server)
        self.assertEqual(self.result("upper", b"abc").data, b"ABC")
        self.assertEqual(self.result("b", b"abc").data, b"abc")
        info = self.functions_of(self.server).GetFunction(functions_pb2.GetFunctionRequest(function="upper"))
        self.assertEqual(info.spec.doc, "Louder.")


if __name__ == "__main__":
    futures_support.main()
