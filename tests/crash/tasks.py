# SPDX-License-Identifier: Apache-2.0
"""The tasks of the crash tests. All of a task follows from its tag, so that who judges knows, without having been told,
what was asked for and what may come of it. A tag may end in "@MS", a deadline in ms since 1970, or in "+ID", a future that
must have succeeded first."""
import gzip
import hashlib
import random

from futures_support import CANCELLED, FAILED, FULL, SUCCEEDED, future_pb2, futures_pb2

DURABLE, EPHEMERAL = future_pb2.DURABILITY_DURABLE, future_pb2.DURABILITY_EPHEMERAL
FUNCTIONS = ["echo"] * 12 + ["sleep"] * 4 + ["fail", "sha256", "gzip", "once"]
SIZES = [(0, 100)] * 16 + [(2000, 2100)] + [(2049, 9000)] * 2 + [(20_000, 60_000)]
LONG_MS = 400  # among the short ones, so that something runs whenever the daemon ends


def _argument(rng, function, once):
    if function == "sleep":
        return b"%d" % (LONG_MS if rng.random() < 0.1 else rng.randrange(20))
    if function == "once":
        return f"{once}\n".encode()
    low, high = rng.choice(SIZES)
    return rng.randbytes(rng.randint(low, high)).hex()[:high].encode() if function == "fail" else rng.randbytes(
        rng.randint(low, high))


def deadline_ms(tag):
    return int(tag.partition("@")[2] or 0)


def upstream(tag):
    return tag.partition("+")[2]


def request_of(tag, once):
    if "-h-" in tag:  # of those that are there so that many are in flight, whoever is the quicker
        return futures_pb2.SubmitRequest(
            task=future_pb2.Task(function="sleep", argument=b"%d" % LONG_MS, labels={"n": tag},
                                 options=future_pb2.TaskOptions(priority=-9)), tag=tag, view=FULL)
    rng = random.Random(tag)
    function = rng.choice(FUNCTIONS)
    argument = _argument(rng, function, once)
    options = future_pb2.TaskOptions(priority=rng.choice([0, 0, 0, -1, 2]))
    if function == "once" or rng.random() < 0.05:
        options.on_lost = future_pb2.ON_LOST_FAIL
    if function != "once":
        options.durability = EPHEMERAL if rng.random() < 0.1 else DURABLE
    if rng.random() < 0.1:
        options.retention.seconds = rng.randint(3600, 100_000)
    if rng.random() < 0.1:
        options.idempotency_key = tag
    if rng.random() < 0.1:
        options.delay.nanos = rng.randint(1, 300) * 1_000_000
    if function == "fail" and rng.random() < 0.7:
        options.retry.max_attempts = rng.randint(2, 4)
        options.retry.initial_backoff.nanos = rng.randint(0, 100) * 1_000_000
    if deadline_ms(tag):
        options.deadline.FromMilliseconds(deadline_ms(tag))
    if upstream(tag):
        options.depends_on.append(upstream(tag))
    labels = {"n": tag}
    if rng.random() < 0.2:
        labels[f"extra/{rng.randrange(9)}"] = rng.randbytes(rng.randrange(200)).hex()
    return futures_pb2.SubmitRequest(
        task=future_pb2.Task(function=function, argument=argument, labels=labels, options=options,
                             content_type=rng.choice(["", "text/plain"])),
        group=f"g{rng.randrange(6)}" if rng.random() < 0.4 else "", tag=tag, view=FULL)


def is_ephemeral(request):
    return request.task.options.durability == EPHEMERAL


def _result(task):
    """What its function makes of it; None where it fails."""
    if task.function == "echo":
        return task.argument
    return {"sleep": b"", "sha256": hashlib.sha256(task.argument).hexdigest().encode(), "once": b"done\n"}.get(task.function)


def what_is_wrong(f, request):
    """Of the outcome of the terminal future @f: why it cannot have come of its task; None: it can."""
    task, lost = request.task, [a for a in f.attempts if a.error.reason == "WORKER_LOST"]
    n_counted, n_allowed = len(f.attempts) - len(lost), max(task.options.retry.max_attempts, 1)
    if n_counted > n_allowed:
        return f"{n_counted} attempts of {n_allowed}"
    if f.attempts and f.attempts[0].start_time.ToNanoseconds() < (
            f.submit_time.ToNanoseconds() + task.options.delay.ToNanoseconds()):
        return "it has started before its time"
    if f.state == SUCCEEDED:
        is_right = (gzip.decompress(f.result.data) == task.argument if task.function == "gzip" else
                    f.result.data == _result(task))
        return None if is_right and f.result.size_bytes == len(f.result.data) else "another result"
    if f.state == CANCELLED:
        return None if f.HasField("cancel_requested") else "cancelled, and nobody asked for it"
    if f.state != FAILED:
        return f"state {f.state}"
    if f.error.reason == "OUTCOME_UNKNOWN":
        return None if task.options.on_lost == future_pb2.ON_LOST_FAIL else "OUTCOME_UNKNOWN, but it may run again"
    if f.error.reason == "WORKER_LOST":
        return None if len(lost) > 3 else f"given up after {len(lost)} losses"
    if f.error.reason == "DEADLINE_EXCEEDED":
        is_right = task.options.HasField("deadline") and f.end_time.ToNanoseconds() >= task.options.deadline.ToNanoseconds()
        return None if is_right else "DEADLINE_EXCEEDED, and it is not"
    if f.error.reason == "DEPENDENCY_FAILED":
        is_right = task.options.depends_on and task.options.depends_on[0] in f.error.message and not f.attempts
        return None if is_right and "not known" not in f.error.message else "DEPENDENCY_FAILED, and it has not"
    if task.function == "fail" and f.error.reason == "FUNCTION_ERROR":
        is_late = task.options.HasField("deadline") and f.end_time.ToNanoseconds() >= task.options.deadline.ToNanoseconds()
        if n_counted != n_allowed and not is_late:  # what fails at its deadline is not tried again
            return f"given up after {n_counted} attempts of {n_allowed}"
        return None if f.error.message.encode() == task.argument else "another error"
    return f"{task.function} has failed: {f.error.reason}"
