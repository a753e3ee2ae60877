# SPDX-License-Identifier: Apache-2.0
"""The packages in a real systemd, from installation to purge: run by tests/systemd/boot, in a system of their own.

  test_service.py PACKAGES      the directory with the .deb files

Each test goes on where the one before it has ended; the first that fails ends the run. What is waited for is told by the
journal or by the end of a command, never by time.
"""
import contextlib
import json
import os
import pathlib
import selectors
import socket
import subprocess
import sys
import threading
import time
import traceback

PATIENCE = 300  # seconds, for anything that must come
UNIT = "futured.service"
TIMER = "futured-submit@echo.timer"
TIMERS = pathlib.Path("/etc/systemd/system/timers.target.wants")
SOCKET = "/run/futured/futured.sock"
CONF = pathlib.Path("/etc/futured/futured.conf")
FUNCTIONS = pathlib.Path("/etc/futured/functions.d")
DROPINS = pathlib.Path("/etc/systemd/system/futured.service.d")
SHIPPED_DROPINS = pathlib.Path("/usr/share/futured/dropins")
PACKAGES = pathlib.Path(sys.argv[1])
NAMES = ("futured", "futurectl", "libfutured0", "libfutured-dev", "python3-futured")

TESTS = []


def test(function):
    TESTS.append(function)
    return function


# --- commands

def run(*words, status=0, stdin=None):
    """Standard output of a command that must end with @status (None: any)."""
    done = subprocess.run(words, capture_output=True, text=True, errors="replace", input=stdin, timeout=PATIENCE, check=False)
    if status is not None and done.returncode != status:
        raise AssertionError(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def says(*words, status):
    """What a command that must end with @status says, on both channels."""
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE, check=False)
    if done.returncode != status:
        raise AssertionError(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def equal(found, expected, what=""):
    if found != expected:
        raise AssertionError(f"{what} {found!r} is not {expected!r}")


def contains(text, part):
    if part not in text:
        raise AssertionError(f"{part!r} is not in {text!r}")


def ctl(*words, status=0):
    return run("futurectl", *words, status=status)


def future(an_id):
    return json.loads(ctl("get", an_id, "--json"))


def show(name, unit=UNIT):
    return run("systemctl", "show", "--value", "--property", name, unit).strip()


def main_pid():
    return int(show("MainPID"))


def package(name):
    found = sorted(PACKAGES.glob(f"{name}_*.deb"))
    equal(len(found), 1, f"packages called {name}:")
    return str(found[0])


def dropin(name, text):
    DROPINS.mkdir(exist_ok=True)
    (DROPINS / name).write_text(text, encoding="utf-8")
    run("systemctl", "daemon-reload")


def no_dropins():
    for path in DROPINS.glob("*.conf"):
        path.unlink()
    run("systemctl", "daemon-reload")
    run("systemctl", "reset-failed", UNIT)


# --- the journal

class Journal:
    """Reads on and on; wait() goes forward from where the last one has ended."""

    def __init__(self):
        self._process = subprocess.Popen(["journalctl", "--follow", "--no-tail", "--output=json"],
                                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)
        self._bytes = b""
        self._entries = []
        self._at = 0

    def _read(self, deadline, what):
        if not self._selector.select(max(0, deadline - time.monotonic())):
            raise AssertionError(f"the journal does not say {what}")
        self._bytes += os.read(self._process.stdout.fileno(), 1 << 16)
        *lines, self._bytes = self._bytes.split(b"\n")
        self._entries += [json.loads(line) for line in lines if line]

    def here(self):
        """What is said from now on is waited for."""
        run("systemd-cat", "--identifier=test", "echo", mark := f"mark {os.urandom(8).hex()}")
        self.wait(MESSAGE=mark)

    def wait(self, message="", **fields):
        """The next entry whose message contains @message and that has these fields."""
        deadline = time.monotonic() + PATIENCE
        while True:
            while self._at < len(self._entries):
                entry = self._entries[self._at]
                self._at += 1
                if message in str(entry.get("MESSAGE", "")) and all(entry.get(k) == v for k, v in fields.items()):
                    return entry
            self._read(deadline, message or fields)


journal = Journal()


def started():
    """The daemon says that it serves: its pid."""
    return int(journal.wait(FUTURED_EVENT="started")["_PID"])


# --- installing

@test
def install():
    run("dpkg", "--install", *(package(name) for name in NAMES))
    started()
    equal(show("ActiveState"), "active")
    equal(show("StatusText"), f"Serving on unix:{SOCKET}")
    for unit, state in ((UNIT, "enabled"), ("futured.socket", "enabled"), ("futured-tcp.socket", "disabled")):
        equal(run("systemctl", "is-enabled", unit, status=None).strip(), state, unit)
    equal(oct(os.stat("/var/lib/futured").st_mode & 0o777), "0o700", "mode of the state directory")


@test
def units_are_clean():
    equal(says("systemd-analyze", "verify", "--man=no", UNIT, "futured.socket", "futured-tcp.socket",
               "futured-submit@echo.service", "futured-submit@echo.timer", status=0), "")
    run("systemd-analyze", "security", "--threshold=15", UNIT)


@test
def runs_tasks():
    contains(ctl("run", "sha256", "abc"), "ba7816bf8f01cfea")
    record = future(ctl("submit", "sha256", "abc").strip())
    equal(record["task"]["function"], "sha256")
    equal(run("/usr/bin/python3", "-c", "import futured; print(futured.__name__)").strip(), "futured")


@test
def who_may_call():
    """The group of the socket, and nobody else."""
    run("useradd", "--system", "--no-create-home", "member")
    run("usermod", "--append", "--groups", "futured", "member")
    run("useradd", "--system", "--no-create-home", "stranger")
    contains(run("setpriv", "--reuid=member", "--init-groups", "--regid=member", "futurectl", "run", "echo", "hello"), "hello")
    said = says("setpriv", "--reuid=stranger", "--init-groups", "--regid=stranger", "futurectl", "run", "echo", "x", status=69)
    contains(said, "Permission denied")


# --- under the protection of the unit

PROBES = {
    # what usual programs do
    "sorts": (r"printf 'b\na\n' | sort | head -n 1", "a"),
    "temporary": ("f=$(mktemp) && echo here > $f && cat $f", "here"),
    "state": ("echo kept > /var/lib/futured/probe && cat /var/lib/futured/probe", "kept"),
    "processors": ("grep -c ^processor /proc/cpuinfo | grep -c .", "1"),
    "nice": ("nice -n 5 echo nice", "nice"),
    "names": ("id -un", "futured"),
    "python": ("/usr/bin/python3 -c 'import threading, subprocess; print(subprocess.check_output([\"echo\", \"py\"]).decode())'",
               "py"),
    # what is closed
    "etc": ("touch /etc/probe 2>/dev/null && echo open || echo closed", "closed"),
    "home": ("ls /home/somebody 2>/dev/null && echo open || echo closed", "closed"),
    "devices": ("test -e /dev/kmsg && echo open || echo closed", "closed"),
    "others": ("test -e /proc/1/status && echo open || echo closed", "closed"),
    "packets": ("/usr/bin/python3 -c 'import socket; socket.socket(17, 3, 0)' 2>/dev/null && echo open || echo closed",
                "closed"),
    "jit": ("/usr/bin/python3 -c 'import mmap; mmap.mmap(-1, 4096, prot=7)' 2>/dev/null && echo open || echo closed",
            "closed"),
    "network": ("/usr/bin/python3 -c 'import socket; s = socket.socket(2, 2); s.connect((\"127.0.0.1\", 9))' && echo open",
                "open"),
    "secret": ("head -n 1 /run/credentials/futured.service/tls.key 2>/dev/null || echo none", "none"),
}


def probe(name):
    return ctl("run", f"probe-{name}").strip()


@test
def functions_under_protection():
    os.makedirs("/home/somebody", exist_ok=True)
    FUNCTIONS.joinpath("probes.conf").write_text(
        "".join(f"[function.probe-{name}]\ncommand = {command}\nshell = yes\n" for name, (command, _) in PROBES.items())
        + "[function.pause]\ncommand = sleep 1000\n[function.gate]\ncommand = head -n 1 /var/lib/futured/gate\n", encoding="utf-8")
    run("systemctl", "restart", UNIT)
    for name, (_, expected) in PROBES.items():
        equal(probe(name), expected, name)


@test
def dropins_give_what_they_say():
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
        "-subj", "/CN=boot", "-addext", "subjectAltName=IP:127.0.0.1",
        "-keyout", "/etc/futured/tls.key", "-out", "/etc/futured/tls.crt")
    equal(oct(os.stat("/etc/futured/tls.key").st_mode & 0o777), "0o600")
    for name, what, expected in (("jit", "jit", "open"), ("credentials", "secret", "-----BEGIN PRIVATE KEY-----"),
                                 ("offline", "packets", "closed")):
        dropin(f"{name}.conf", (SHIPPED_DROPINS / f"{name}.conf").read_text(encoding="utf-8"))
        run("systemctl", "restart", UNIT)
        equal(probe(what), expected, name)
        no_dropins()
    run("systemctl", "restart", UNIT)


@test
def sandboxes():
    """The unit forbids them, which is said at the start; with the drop-in they are there."""
    boxed = FUNCTIONS / "boxed.conf"
    boxed.write_text("[function.boxed]\nshell = yes\nsandbox = all\ncommand = ls -A /tmp; echo here >/tmp/x; cat /tmp/x; "
                     "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '; echo x 2>&1 >/var/lib/futured/x | grep -o Read-only\n",
                     encoding="utf-8")
    run("systemctl", "restart", UNIT, status=1)
    contains(run("journalctl", "-u", UNIT, "-o", "cat", "--no-pager"), "[function.boxed] sandbox: cannot set up a user namespace")
    dropin("sandbox.conf", (SHIPPED_DROPINS / "sandbox.conf").read_text(encoding="utf-8"))
    run("systemctl", "restart", UNIT)
    equal(ctl("run", "boxed").split(), ["here", "lo", "Read-only"], "boxed")
    boxed.unlink()
    no_dropins()
    run("systemctl", "restart", UNIT)


@test
def tls_by_credential():
    """The key is root's; the daemon, which is not, gets it by the service manager."""
    before = CONF.read_text(encoding="utf-8")
    CONF.write_text(before.replace("#certificate = /etc/futured/tls.crt", "certificate = /etc/futured/tls.crt")
                    .replace("#key = /etc/futured/tls.key", "key = tls.key")
                    .replace("#listen = unix:/run/futured/futured.sock", "listen = tls:127.0.0.1:4741"), encoding="utf-8")
    run("systemctl", "restart", UNIT, status=1)
    no_dropins()
    dropin("credentials.conf", (SHIPPED_DROPINS / "credentials.conf").read_text(encoding="utf-8"))
    run("systemctl", "restart", UNIT)
    run("openssl", "s_client", "-connect", "127.0.0.1:4741", "-alpn", "h2", "-verify_return_error", "-brief",
        "-CAfile", "/etc/futured/tls.crt", stdin="")
    contains(ctl("run", "echo", "by the socket as well"), "by the socket as well")
    CONF.write_text(before, encoding="utf-8")
    no_dropins()
    run("systemctl", "restart", UNIT)


# --- sockets

@test
def socket_activation():
    run("systemctl", "stop", UNIT)
    equal(show("ActiveState"), "inactive")
    contains(ctl("run", "echo", "woken"), "woken")  # the call starts the daemon, and waits for it
    equal(show("ActiveState"), "active")


def more_sockets():
    """A daemon that runs is given no more sockets, so it is stopped first; with the other socket, or a call starts it again."""
    run("systemctl", "stop", "futured.socket", UNIT)
    run("systemctl", "start", "futured-tcp.socket", "futured.socket")


@test
def tcp_socket():
    more_sockets()
    journal.here()
    contains(ctl("--address", "127.0.0.1:4740", "run", "echo", "by tcp"), "by tcp")
    contains(ctl("run", "echo", "by the path"), "by the path")
    names = {journal.wait(FUTURED_EVENT="listening")["FUTURED_SOCKET"] for _ in range(2)}
    equal(names, {"local", "tcp"})


class Callers(threading.Thread):
    """Connects to both sockets without a pause until it is stopped, and counts what is refused."""

    def __init__(self):
        super().__init__()
        self.connected = self.refused = 0
        self._end = threading.Event()

    def _connect(self, family, address):
        with socket.socket(family) as s:
            s.settimeout(PATIENCE)
            try:
                s.connect(address)
                self.connected += 1
            except ConnectionRefusedError:
                self.refused += 1

    def run(self):
        while not self._end.wait(0.02):
            self._connect(socket.AF_UNIX, SOCKET)
            self._connect(socket.AF_INET, ("127.0.0.1", 4740))

    def stop(self):
        self._end.set()
        self.join()


@contextlib.contextmanager
def nobody_refused():
    callers = Callers()
    callers.start()
    try:
        yield
    finally:
        callers.stop()
    equal(callers.refused, 0, "refused connections:")
    assert callers.connected > 0


@test
def restart_is_a_pause():
    pid = main_pid()
    with nobody_refused():
        asked = subprocess.Popen(["systemctl", "restart", UNIT])
        journal.wait(FUTURED_EVENT="draining")
        contains(ctl("run", "echo", "meanwhile"), "meanwhile")  # waits for the next daemon
        equal(asked.wait(PATIENCE), 0)
    assert main_pid() != pid


# --- reloading

@test
def reload():
    pid = main_pid()
    FUNCTIONS.joinpath("wrong.conf").write_text("[function.wrong]\ncomand = true\n", encoding="utf-8")
    run("systemctl", "reload", UNIT, status=1)
    journal.wait("wrong.conf:2: [function.wrong] comand: there is no such key")
    equal(show("ActiveState"), "active")
    FUNCTIONS.joinpath("wrong.conf").unlink()
    run("systemctl", "reload", UNIT)
    contains(ctl("run", "echo", "still"), "still")
    equal(main_pid(), pid)


# --- deaths

@test
def daemon_is_killed():
    restarts = int(show("NRestarts"))
    pid = main_pid()
    running = ctl("submit", "pause").strip()
    journal.here()
    wait_running(running)
    waiting = [ctl("submit", "sha256", str(i), "--in", "1s").strip() for i in range(20)]
    with nobody_refused():
        os.kill(pid, 9)
        assert started() != pid
    equal(int(show("NRestarts")), restarts + 1)
    ctl("wait", *waiting, "--timeout", f"{PATIENCE}s")
    wait_running(running)  # once more, on the worker of the new daemon
    ctl("cancel", running, "--grace", "1ms")
    ctl("wait", running, "--timeout", f"{PATIENCE}s", status=3)


def wait_running(an_id):
    """A watch shows the future RUNNING."""
    watch = subprocess.Popen(["futurectl", "watch", an_id, "--jsonl"], stdout=subprocess.PIPE, text=True)
    try:
        for line in watch.stdout:
            event = json.loads(line)
            if (event.get("snapshot") or event.get("state") or {}).get("state") == "STATE_RUNNING":
                return
        raise AssertionError(f"{an_id} does not run")
    finally:
        watch.kill()
        watch.wait()


def workers():
    found = []
    for line in run("ps", "-e", "-o", "pid=,ppid=,comm=").splitlines():
        pid, parent, name = line.split(None, 2)
        if name == "futured-worker" and int(parent) == main_pid():
            found.append(int(pid))
    return found


@test
def worker_is_killed():
    pids = workers()
    assert pids
    journal.here()
    for pid in pids:
        os.kill(pid, 9)
        journal.wait(FUTURED_EVENT="worker_killed", FUTURED_PID=str(pid))
    contains(ctl("run", "echo", "after"), "after")


@test
def watchdog():
    dropin("watchdog.conf", "[Service]\nWatchdogSec=2\n")
    run("systemctl", "restart", UNIT)
    journal.here()
    pid = main_pid()
    os.kill(pid, 19)
    journal.wait("Watchdog timeout", UNIT=UNIT)
    assert started() != pid
    contains(ctl("run", "echo", "alive"), "alive")
    no_dropins()
    run("systemctl", "restart", UNIT)


# --- stopping

def stop(while_it_drains=lambda: None):
    """What the journal has of a stop: its events."""
    journal.here()
    asked = subprocess.Popen(["systemctl", "stop", "futured.socket", "futured-tcp.socket", UNIT])
    events = [journal.wait(FUTURED_EVENT="draining")["FUTURED_EVENT"]]
    while_it_drains()
    equal(asked.wait(PATIENCE), 0)
    equal(show("Result"), "success")
    equal(show("ActiveState"), "inactive")
    while events[-1] != "stopped":
        events.append(journal.wait(SYSLOG_IDENTIFIER="futured").get("FUTURED_EVENT"))
    return events


def attempts(an_id):
    return len(future(an_id)["attempts"])


@test
def stop_under_load():
    """What runs ends in the attempt that it is in; what waits runs after the next start."""
    gate = "/var/lib/futured/gate"
    os.mkfifo(gate)
    os.chmod(gate, 0o644)
    both = os.open(gate, os.O_RDWR)  # neither end waits for the other
    running = ctl("submit", "gate").strip()
    wait_running(running)
    many = [ctl("submit", "sleep", "300").strip() for _ in range(30)]
    assert "drain_timeout" not in stop(lambda: os.write(both, b"go\n"))
    run("systemctl", "start", UNIT)
    equal((future(running)["state"], attempts(running)), ("STATE_SUCCEEDED", 1))
    ctl("wait", *many, "--timeout", f"{PATIENCE}s")
    equal({attempts(an_id) for an_id in many}, {1}, "attempts")
    os.close(both)


@test
def stop_that_takes_too_long():
    """What does not end in time runs again."""
    CONF.write_text(CONF.read_text(encoding="utf-8").replace("#drain = 30s", "drain = 2s"), encoding="utf-8")
    run("systemctl", "restart", UNIT)
    running = ctl("submit", "pause").strip()
    wait_running(running)
    assert "drain_timeout" in stop()
    run("systemctl", "start", UNIT)
    wait_running(running)
    ctl("cancel", running, "--grace", "1ms")
    ctl("wait", running, "--timeout", f"{PATIENCE}s", status=3)
    equal(attempts(running), 2)


@test
def time_to_stop():
    """A drain that the unit has no time for is refused before the daemon starts, with what to do."""
    text = CONF.read_text(encoding="utf-8")
    CONF.write_text(text.replace("drain = 2s", "drain = 60s"), encoding="utf-8")
    run("systemctl", "reload", UNIT, status=1)
    journal.wait("[timeouts] drain: futured.service is killed after TimeoutStopSec=45s, which is too soon: it drains, and then has "
                 "15 s to end; set TimeoutStopSec=75 ")
    dropin("stop.conf", "[Service]\nTimeoutStopSec=75\n")
    run("systemctl", "reload", UNIT)
    CONF.write_text(text, encoding="utf-8")
    no_dropins()
    run("systemctl", "reload", UNIT)


# --- the journal's fields

@test
def journal_fields():
    """What docs/operations.md names: events by their MESSAGE_ID, and fields to look for."""
    ctl("pause", "echo", "--reason", "to see it")
    ctl("resume", "echo")
    paused = journal.wait(FUTURED_EVENT="function_paused", FUNCTION="echo", FUTURED_REASON="to see it")
    equal(paused["PRIORITY"], "5")
    again = json.loads(run("journalctl", "--output=json", "--lines=1", f"MESSAGE_ID={paused['MESSAGE_ID']}"))
    equal(again["FUTURED_EVENT"], "function_paused")
    pid = workers()[0]
    os.kill(pid, 9)
    killed = journal.wait(FUTURED_EVENT="worker_killed", FUTURED_PID=str(pid))
    assert killed["WORKER"].isdigit() and killed["FUTURED_SIGNAL"] == "9", killed


# --- again and again

@test
def timer():
    os.makedirs("/etc/futured/submit", exist_ok=True)
    pathlib.Path("/etc/futured/submit/echo.env").write_text("SUBMIT_OPTIONS=--argument=tick --group=ticks\n",
                                                           encoding="utf-8")
    where = pathlib.Path("/etc/systemd/system/futured-submit@echo.timer.d")
    where.mkdir()
    (where / "when.conf").write_text("[Timer]\nOnCalendar=\nOnCalendar=*-*-* *:*:*\n", encoding="utf-8")
    run("systemctl", "daemon-reload")
    run("systemctl", "enable", "--now", TIMER)
    ctl("wait", "--group", "ticks", "--expect", "2", "--timeout", f"{PATIENCE}s")
    (where / "when.conf").unlink()  # each day again: it stays enabled until the package goes
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", TIMER)
    done = json.loads(ctl("list", "--group", "ticks", "--json", "--limit", "1"))[0]
    equal(done["labels"], {"timer": "futured-submit@echo.service"})
    equal(done["submitter"]["peer"].split(",", 1)[0], f"unix:uid={run('id', '-u', 'futured').strip()}")


# --- the end

def newer(name):
    """The package once more, as the next release."""
    tree = f"/tmp/newer-{name}"
    run("dpkg-deb", "--raw-extract", package(name), tree)
    control = pathlib.Path(tree, "DEBIAN/control")
    control.write_text(control.read_text(encoding="utf-8").replace("Version: 0.1.0-1\n", "Version: 0.1.0-2\n"), encoding="utf-8")
    run("dpkg-deb", "--root-owner-group", "--build", tree, f"/tmp/{name}.deb")
    return f"/tmp/{name}.deb"


@test
def upgrade():
    more_sockets()
    run("systemctl", "disable", "futured.socket")
    ctl("pause", "sha256", "--reason", "upgrade")
    ids = [ctl("submit", "sha256", str(i)).strip() for i in range(50)]
    pid = main_pid()
    before = CONF.read_text(encoding="utf-8")
    with nobody_refused():
        run("dpkg", "--install", newer("futured"), newer("futurectl"))
    assert main_pid() != pid
    equal(run("dpkg-query", "-W", "-f", "${Version}", "futured"), "0.1.0-2")
    equal(CONF.read_text(encoding="utf-8"), before)
    equal(run("systemctl", "is-enabled", "futured.socket", status=None).strip(), "disabled")
    equal(future(ids[0])["state"], "STATE_PENDING")
    ctl("resume", "sha256")
    ctl("wait", *ids, "--timeout", f"{PATIENCE}s")


@test
def remove_keeps_the_state():
    run("dpkg", "--remove", "futured")
    equal(run("systemctl", "is-active", UNIT, "futured.socket", "futured-tcp.socket", TIMER, status=None).split(), ["inactive"] * 4)
    equal(list(TIMERS.glob("futured*")), [], "timers that are enabled:")
    assert CONF.exists() and pathlib.Path("/var/lib/futured/futures.db").exists()
    journal.here()
    run("dpkg", "--install", package("futured"))
    started()
    assert int(ctl("count").strip()) > 0


@test
def purge():
    run("systemctl", "enable", TIMER)  # this time it does not run
    run("dpkg", "--purge", *reversed(NAMES))
    for path in ("/var/lib/futured", "/run/futured", "/etc/futured/futured.conf", "/usr/share/futured", "/usr/libexec/futured",
                 "/usr/lib/python3/dist-packages/futured"):
        assert not os.path.exists(path), path
    equal(run("systemctl", "list-units", "--all", "--no-legend", "futured*").strip(), "")
    equal(list(TIMERS.glob("futured*")), [], "timers that are enabled:")


def main():
    for function in TESTS:
        began = time.monotonic()
        try:
            function()
        except BaseException:
            traceback.print_exc()
            print(f"FAIL {function.__name__}; the end of the journal:", flush=True)
            subprocess.run(["journalctl", "--no-pager", "--lines=60"], check=False)
            subprocess.run(["ps", "-ef"], check=False)
            return 1
        print(f"ok   {function.__name__} ({time.monotonic() - began:.1f} s)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
