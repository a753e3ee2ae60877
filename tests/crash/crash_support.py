# SPDX-License-Identifier: Apache-2.0
"""What the crash tests share: the daemon on a directory that outlives it, the oracle as a process, and the judgement of
what a daemon says after its predecessor's end.

    FUTURED_CRASH_ROUNDS   the long form, of so many rounds; unset: the short form of every test run
    FUTURED_TEST_SEED      what is random begins here; printed by each test
"""
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))
import harness  # noqa: E402
from futures_support import FULL, futures_pb2, futures_pb2_grpc, get, grpc, selector, submit  # noqa: E402
from ledger import Ledger, read_book  # noqa: E402
from server import BIN, DEADLINE, DIE_WITH_PARENT, Server  # noqa: E402

ROUNDS = int(os.environ.get("FUTURED_CRASH_ROUNDS", "0"))
IS_LONG = ROUNDS > 0
SKIPPED = 77  # what ctest takes for "skipped"
CHUNK = 500  # futures asked for by one call
# Appends the ID of its future to the file that is its argument: who ran, as told by who ran.
ONCE = {"command": 'read -r file; echo "$FUTURED_ID" >>"$file"; echo done', "shell": "yes"}


def skip(why):
    """The machine does not allow it: ctest names the test as skipped."""
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


class Oracle:
    """The load, in a process that syncs what it was told before it says that it was told anything."""

    def __init__(self, address, book, tag, once):
        self.book = book
        command = [*DIE_WITH_PARENT, sys.executable, str(HERE / "oracle.py"), address, str(book), tag, str(once)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)

    def wait(self, n):
        """Until @n acknowledgements more are written down; how many there were before it ended."""
        return len(self._process.stdout.read(n))

    def end(self):
        """It ends when the daemon has ended, or with this. Returns its lines."""
        self._process.stdout.read()
        self._process.wait(DEADLINE)
        if self._process.returncode:
            raise AssertionError(f"the oracle ended with {self._process.returncode}")
        return read_book(self.book)

    def stop(self):
        """End it while the daemon goes on."""
        self._process.terminate()
        return self.end()


class CrashCase(harness.ServerCase):
    """self.folder / "state" is the directory; start_daemon() starts one on it, self.futures is a stub of it."""

    workers = 4
    config = {}

    def setUp(self):
        self.seed = int(os.environ.get("FUTURED_TEST_SEED", "20240229"), 0)
        print(f"FUTURED_TEST_SEED={self.seed}")
        self.chance = random.Random(self.seed)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="futured-crash-", dir=os.environ.get("FUTURED_CRASH_DIR")))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.state = self.folder / "state"
        self.once = self.folder / "once"
        self.once.touch()
        self.ledger = Ledger(str(self.once))
        self.server = self.futures = None
        self._channels = []
        self.addCleanup(self.forget)

    # the daemon

    def start_daemon(self, *, state=None, workers=None, arguments=(), **options):
        sections = {"timeouts": {"drain": "200ms"}, "function.once": ONCE,
                    **{k: dict(v) for k, v in self.config.items()}}
        self.server = Server(
            program="futured", store="sqlite", config=sections,
            arguments=["--workers", str(self.workers if workers is None else workers),
                       "--state-directory", str(state or self.state), *arguments], **options)
        self._servers.append(self.server)
        self._channels.append(grpc.insecure_channel(
            self.server.address, options=[("grpc.use_local_subchannel_pool", 1),
                                          ("grpc.max_receive_message_length", 64 << 20)]))
        self.futures = harness.Stub(futures_pb2_grpc.FuturesStub(self._channels[-1]))
        return self.server

    def kill(self):
        self.server.kill()
        self.server.status_wanted = -9

    def stop(self):
        """By SIGTERM; it must end well."""
        self._stop(self.server)

    def _stop(self, server):
        if server.process.poll() is None:
            server.signal()
        try:
            self.assertEqual(server.wait(), getattr(server, "status_wanted", 0), "the daemon's exit status")
        finally:
            server.kill()
        bad = [line for line in server.log.text().splitlines() if harness.BAD_LOG.search(line)]
        self.assertFalse(bad, "in the daemon's log")

    def forget(self):
        """No daemon is to run any more; there are hundreds in a test, so nothing of them is kept."""
        for channel in self._channels:
            channel.close()
        self._channels.clear()
        servers, self._servers = self._servers, []
        for server in servers:
            try:
                self._stop(server)
            finally:
                server.clean()

    def load(self, tag):
        return Oracle(self.server.address, self.folder / f"book-{tag}", tag, self.once)

    def check_store(self, state=None):
        """The exit status of --check-store, and what it says."""
        ended = subprocess.run([BIN / "futured", "--check-store", state or self.state], capture_output=True,
                               timeout=DEADLINE, check=False, text=True)
        return ended.returncode, ended.stdout + ended.stderr

    def assert_sound(self, state=None):
        status, said = self.check_store(state)
        self.assertEqual(status, 0, said)

    # judging

    def look(self, ids):
        """{id: its future, whole; None: NOT_FOUND; a grpc.StatusCode: what else was answered}"""
        found, ids = {}, list(ids)
        for i in range(0, len(ids), CHUNK):
            found.update(self._look(ids[i:i + CHUNK]))
        return found

    def _look(self, ids):
        found = {}
        request = futures_pb2.ListRequest(selector=selector(*ids), view=FULL, page_size=CHUNK)
        try:
            while True:
                page = self.futures.List(request)
                found.update((f.id, f) for f in page.futures if not f.omitted)
                request.page_token = page.next_page_token
                if not request.page_token:
                    break
        except grpc.RpcError:
            pass  # one by one, then
        return {i: found[i] if i in found else self.get(i) for i in ids}

    def get(self, id_):
        try:
            return self.futures.Get(get(id_, FULL))
        except grpc.RpcError as error:
            return None if error.code() == grpc.StatusCode.NOT_FOUND else error.code()

    def judge(self, ids=None, ledger=None, is_kept=True):
        """What is wrong with what the daemon shows of @ids (all), as lines; is_kept: it counts as shown from here on."""
        ledger = ledger or self.ledger
        ids = list(ledger.known if ids is None else ids)
        wrong = []
        for id_, f in self.look(ids).items():
            wrong += ledger.judge(id_, f)
            if is_kept and f is not None and not wrong:
                ledger.show(f)
        return wrong

    def assert_kept(self, ids=None):
        wrong = self.judge(ids)
        self.assert_nothing(wrong)

    def assert_nothing(self, wrong):
        if wrong:
            self.fail(f"{len(wrong)} things are not as they were shown; the first:\n{wrong[0]}")

    def next_id(self):
        """The ID of a new future."""
        return self.futures.Submit(submit("echo", b"next")).future.id


main = harness.main
