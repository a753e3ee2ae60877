#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Memory limits by control groups of version 2, under the unit as it is shipped: run by tests/vm/boot, in a machine whose
kernel has the controllers.

  test_cgroup.py BUILD      the build directory, whose programs and unit are installed

Each test goes on where the one before it has ended; the first that fails ends the run. What is waited for is told by a pipe or
by the end of a command, never by time.
"""
import json
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import traceback

PATIENCE = 300  # seconds, for anything that must come: the processor may be an emulated one
UNIT = "futured.service"
BUILD = pathlib.Path(sys.argv[1])
SOURCE = pathlib.Path(__file__).resolve().parents[2]
RUN, UNITS, CONF = pathlib.Path("/run/futured"), pathlib.Path("/etc/systemd/system"), pathlib.Path("/etc/futured")
LIMIT, BLOCK = 48 << 20, 20 << 20

CONFIG = f"""[pool]
workers = 2
[function.gate]
command = echo begun >{RUN}/begun; cat {RUN}/gate
shell = yes
memory_max = {LIMIT}
[function.alone]
command = dd if=/dev/zero of=/dev/null bs={BLOCK} count=2
memory_max = {LIMIT}
[function.together]
command = for i in 1 2 3; do dd if=/dev/zero bs={BLOCK} | sleep 1000 & done; wait; echo survived
shell = yes
memory_max = {LIMIT}
[function.leak]
command = tail /dev/zero
memory_max = {LIMIT}
"""
WITHOUT = "[function.gate]\ncommand = cat\n"

TESTS = []


def test(function):
    TESTS.append(function)
    return function


def run(*words, status=0):
    """Standard output of a command that must end with @status."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode != status:
        raise AssertionError(f"{' '.join(map(str, words))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def equal(found, expected, what=""):
    if found != expected:
        raise AssertionError(f"{what} {found!r} is not {expected!r}")


def show(name):
    return run("systemctl", "show", "--value", "--property", name, UNIT).strip()


def ended(function, status):
    """The record of a future of @function, once it has ended."""
    return json.loads(run("futurectl", "run", function, "--json", status=status))


def outcome(future):
    return future["state"], future.get("error", {}).get("reason"), future["attempts"][-1].get("signal")


KILLED = ("STATE_FAILED", "MEMORY_LIMIT", 9)


# --- groups

def home():
    return pathlib.Path("/sys/fs/cgroup" + show("ControlGroup"))


def groups():
    """The attempts' groups that are there."""
    return list(home().glob("futured-call-*"))


def pids(group):
    return [int(pid) for pid in (group / "cgroup.procs").read_text(encoding="ascii").split()]


def n_killed():
    """By the kernel at a limit, in all groups that the unit has and has had."""
    return int(dict(line.split() for line in (home() / "memory.events").read_text(encoding="ascii").splitlines())["oom_kill"])


# --- the tests

@test
def starts():
    """The daemon and its workers have made room for groups that have a memory controller."""
    for name in ("futured", "futurectl", "futured-worker"):
        shutil.copy(BUILD / "bin" / name, "/usr/bin")
    shutil.copytree(BUILD / "lib/futured", "/usr/lib/futured", dirs_exist_ok=True)
    shutil.copy(BUILD / "systemd" / UNIT, UNITS)
    shutil.copy(SOURCE / "systemd/futured.socket", UNITS)
    run("systemd-sysusers", SOURCE / "systemd/futured.sysusers")
    CONF.mkdir(exist_ok=True)
    (CONF / "futured.conf").write_text(CONFIG, encoding="utf-8")
    run("systemctl", "daemon-reload")
    run("systemctl", "start", UNIT)
    equal((home() / "cgroup.subtree_control").read_text(encoding="ascii").split(), ["memory"])
    equal(pids(home()), [])
    equal(int(show("MainPID")) in pids(home() / "futured-daemon"), True, "that the daemon is in a group below:")
    equal(groups(), [])


@test
def usage_is_told():
    """Of a process of its own the most memory that it had."""
    got = ended("alone", 0)
    equal(outcome(got), ("STATE_SUCCEEDED", None, None))
    peak = got["attempts"][0]["usage"]["max_rss_bytes"]
    equal(BLOCK <= peak <= LIMIT, True, f"that a peak of {peak} is between one block and the limit:")
    equal((n_killed(), groups()), (0, []))


@test
def limit_is_kept():
    """By the kernel, which counts it and ends the whole attempt, whether one process has it all or each a part; a neighbour with
    a group of its own goes on, and so do worker and daemon."""
    for name in ("begun", "gate"):
        os.mkfifo(RUN / name, 0o600)
        shutil.chown(RUN / name, "futured", "futured")
    neighbour = run("futurectl", "submit", "gate").strip()
    equal(run("cat", RUN / "begun"), "begun\n")
    beside = groups()
    equal(len(beside), 1, "groups beside:")
    for name, value in (("memory.max", str(LIMIT)), ("memory.swap.max", "0"), ("memory.oom.group", "1")):
        if (beside[0] / name).exists():  # there need be no swap
            equal((beside[0] / name).read_text(encoding="ascii").strip(), value, name)
    processes = {*pids(home() / "futured-daemon"), *pids(beside[0])}
    equal(len(pids(beside[0])) > 0, True, "that the neighbour is in its group:")

    equal(outcome(ended("leak", 1)), KILLED)
    equal((groups(), n_killed() > 0), (beside, True))
    counted = n_killed()
    equal(outcome(ended("together", 1)), KILLED)
    equal((groups(), n_killed() - counted > 3), (beside, True))  # the three, and whoever waited for them
    gone = processes - {*pids(home() / "futured-daemon"), *pids(beside[0])}
    equal(gone, set(), "of daemon, workers and neighbour there have gone")
    run("sh", "-c", f"echo unharmed >{RUN}/gate")
    equal(run("futurectl", "result", neighbour), "unharmed\n")
    equal((groups(), show("NRestarts")), ([], "0"))


@test
def limit_outlives_reload():
    """Also one that brings new workers; that of systemd runs commands of its own in the unit."""
    run("systemctl", "reload", UNIT)
    (CONF / "futured.conf").write_text(CONFIG + "[function.more]\ncommand = echo new\n", encoding="utf-8")
    run("futurectl", "reload")
    equal(run("futurectl", "run", "more"), "new\n")
    equal(outcome(ended("leak", 1)), KILLED)
    equal((groups(), list(home().glob("futured-daemon/*/"))), ([], []))


@test
def nothing_is_left():
    group = home()
    run("systemctl", "stop", UNIT)
    equal((show("Result"), show("ActiveState")), ("success", "inactive"))
    equal(group.exists(), False, f"that {group} exists:")
    uid = pwd.getpwnam("futured").pw_uid
    equal([p.name for p in pathlib.Path("/proc").iterdir() if p.name.isdigit() and p.stat().st_uid == uid], [])


@test
def limit_comes_by_reload():
    (CONF / "futured.conf").write_text(WITHOUT, encoding="utf-8")
    run("systemctl", "start", UNIT)
    run("futurectl", "run", "gate")
    (CONF / "futured.conf").write_text(CONFIG, encoding="utf-8")
    run("futurectl", "reload")
    equal(outcome(ended("leak", 1)), KILLED)
    run("systemctl", "stop", UNIT)


@test
def without_delegation():
    """It is said, and the limit is that of the address space: the program fails by itself."""
    dropin = UNITS / f"{UNIT}.d"
    dropin.mkdir()
    (dropin / "alone.conf").write_text("[Service]\nDelegate=no\n", encoding="utf-8")
    run("systemctl", "daemon-reload")
    run("systemctl", "start", UNIT)
    equal(len(run("journalctl", "--unit", UNIT, "--output", "cat", "FUTURED_EVENT=no_control_groups").splitlines()), 1)
    equal(outcome(ended("leak", 1)), ("STATE_FAILED", "FUNCTION_ERROR", None))


def main():
    for function in TESTS:
        try:
            function()
        except BaseException:
            traceback.print_exc()
            print(f"FAIL {function.__name__}; the end of the journal:", flush=True)
            subprocess.run(["journalctl", "--no-pager", "--unit", UNIT, "--lines=60"], check=False)
            return 1
        print(f"ok   {function.__name__}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
