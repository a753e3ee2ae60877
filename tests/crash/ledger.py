# SPDX-License-Identifier: Apache-2.0
"""What clients were told, and what follows from it for all time to come.

A book is what the oracle wrote, a line each:
    TIME KIND ID PAYLOAD      TIME: of the machine's monotonic clock, when it was heard
    shown ID FUTURE           an answer or an event had this in it (base64 of the message, with argument and result)
    will ID WORD              something is about to be asked of the future: "delete", "annotate N", "cancel"
    did ID WORD               it was acknowledged, where no future was shown ("delete")

The rules, each with its word:
    lost       what was acknowledged is not there (durable, not deleted), or what was ephemeral is after a restart
    changed    something else is shown than before: task, submission, labels that nobody set, a terminal state, an
               attempt that was shown, a revision that went back, or one revision with two contents
    twice      a second terminal state, or a second attempt that succeeded
    wrong      an outcome that cannot have come of the task
    refused    a status instead of a future
"""
import base64
import pathlib

from futures_support import RUNNING, SUCCEEDED, TERMINAL, future_pb2
import tasks


def read_book(path):
    """(time, kind, id, payload) of whole lines: what comes last may be half a line."""
    path = pathlib.Path(path)
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    split = (line.decode().split(" ", 3) for line in lines)
    return [(int(at), kind, id_, payload) for at, kind, id_, payload in split]


def _same(a, b):
    return a.SerializeToString(deterministic=True) == b.SerializeToString(deterministic=True)


def _without(f, *fields):
    copy = future_pb2.Future()
    copy.CopyFrom(f)
    for field in fields:
        copy.ClearField(field)
    return copy


def _bare(f):
    """Without argument, which not every answer has, and without the reason of waiting, which is nobody's promise; nor is
    until when it waits."""
    copy = _without(f, "pending_reason")
    copy.task.ClearField("argument")
    copy.schedule.ClearField("next_start_time")
    return copy


def _cancel(f, best):
    """What @f says of its Cancel, without the grace where @best could not know of one: it is that of an attempt."""
    cancel = future_pb2.Cancellation()
    cancel.CopyFrom(f.cancel_requested)
    if not best.attempts:
        cancel.ClearField("grace")
    return cancel


class Known:
    """What is known of one future."""

    __slots__ = ("best", "end", "attempts", "annotated", "will_annotate", "is_deleted", "will_delete")

    def __init__(self):
        self.best = self.end = None  # the newest that was shown; the terminal one
        self.attempts = {}
        self.annotated = self.will_annotate = 0
        self.is_deleted = self.will_delete = False


class Ledger:
    def __init__(self, once=""):
        self.known = {}
        self.once = once
        self.is_restarted = True  # what was ephemeral may not be there any more
        self.n_acknowledged = 0
        self.n_run_again = 0
        self.last_id = ""
        self.wrong = []  # what contradicts itself among what was shown

    # taking in

    def take(self, lines):
        for _, kind, id_, payload in lines:
            if kind == "will":
                self._will(id_, payload)
            elif kind == "did":
                self.n_acknowledged += 1
                self._of(id_).is_deleted = True
            else:
                self.n_acknowledged += 1
                self.show(future_pb2.Future.FromString(base64.b64decode(payload)))

    def _of(self, id_):
        known = self.known.get(id_)
        if known is None:
            known = self.known[id_] = Known()
            self.last_id = max(self.last_id, id_)
        return known

    def _will(self, id_, what):
        known = self._of(id_)
        if what == "delete":
            known.will_delete = True
        elif what.startswith("annotate"):
            known.will_annotate = max(known.will_annotate, int(what.split()[1]))

    def show(self, f):
        known = self._of(f.id)
        known.annotated = max(known.annotated, int(f.labels.get("annotated", "0")))
        for a in f.attempts:
            before = known.attempts.get(a.number)
            if before is None or not before.HasField("end_time"):
                known.attempts[a.number] = a
        if f.state in TERMINAL:
            if known.end is not None and not self._is_same_end(f, known.end):
                self.wrong.append(f"twice {f.id}: terminal with\n{known.end}\nand with\n{f}")
            known.end = f
        if known.best is None or f.revision >= known.best.revision:
            known.best = f

    @staticmethod
    def _is_same_end(a, b):
        return _same(_without(a, "labels", "revision"), _without(b, "labels", "revision"))

    def live(self):
        """IDs of what may change yet."""
        return [i for i, k in self.known.items() if k.end is None and not k.is_deleted]

    # judging

    def judge(self, id_, f):
        """What is wrong about @f, which is the future now; None: NOT_FOUND; else a status. A list of lines."""
        known = self.known[id_]
        if known.best is None:
            return []  # only ever asked for
        request = tasks.request_of(known.best.tag, self.once) if known.best.tag else None
        may_be_gone = known.will_delete or (request and tasks.is_ephemeral(request))
        if f is None:
            return [] if may_be_gone else [f"lost {id_}: shown as\n{known.best}"]
        if not isinstance(f, future_pb2.Future):
            return [f"refused {id_}: {f}"]
        if known.is_deleted:
            return [f"changed {id_}: it was deleted"]
        if request and tasks.is_ephemeral(request) and self.is_restarted:
            return [f"lost {id_}: it was ephemeral, and has come back"]
        wrong = list(self._judge_task(f, known, request)) + list(self._judge_change(f, known))
        return [f"{line}\nshown: {known.best}now: {f}" for line in wrong]

    def _judge_task(self, f, known, request):
        best, id_ = known.best, f.id
        if request:
            if not _same(f.task, request.task):
                yield f"changed {id_}: another task"
            if (f.tag, f.group) != (request.tag, request.group):
                yield f"changed {id_}: another tag or group"
            if f.state in TERMINAL and (why := tasks.what_is_wrong(f, request)):
                yield f"wrong {id_}: {why}"
            up = self.known.get(tasks.upstream(request.tag))
            if up and up.end and (f.state == RUNNING or f.state == SUCCEEDED) and up.end.state != SUCCEEDED:
                yield f"wrong {id_}: it was started although its upstream did not succeed"
            if up and up.end and f.error.reason == "DEPENDENCY_FAILED" and up.end.state == SUCCEEDED:
                yield f"wrong {id_}: its upstream has succeeded"
            labels = dict(request.task.labels)
            annotated = int(f.labels.get("annotated", "0"))
            if annotated:
                labels["annotated"] = str(annotated)
            if dict(f.labels) != labels or not known.annotated <= annotated <= max(known.will_annotate, known.annotated):
                yield f"changed {id_}: labels"
        for field in ("submit_time", "submitter", "traceparent", "namespace", "effective_options"):
            if getattr(f, field) != getattr(best, field):
                yield f"changed {id_}: {field}"

    def _judge_change(self, f, known):
        best, end, id_ = known.best, known.end, f.id
        if f.revision < best.revision:
            yield f"changed {id_}: its revision went back"
        elif f.revision == best.revision and not _same(_bare(f), _bare(best)):
            yield f"changed {id_}: one revision, two contents"
        if end is not None and not self._is_same_end(f, end):
            yield f"{'twice' if f.state in TERMINAL else 'changed'} {id_}: it was terminal"
        if best.HasField("cancel_requested") and not _same(_cancel(f, best), best.cancel_requested):
            yield f"changed {id_}: another cancel request"
        now = {a.number: a for a in f.attempts}
        for number, a in known.attempts.items():
            if number not in now or (now[number].worker, now[number].start_time) != (a.worker, a.start_time) or (
                    a.HasField("end_time") and not _same(now[number], a)):
                yield f"changed {id_}: attempt {number}"
        if sum(a.HasField("end_time") and not a.HasField("error") for a in f.attempts) > 1:
            yield f"twice {id_}: two attempts ended well"
        numbers = [a.number for a in f.attempts]
        if numbers != sorted(set(numbers)):
            yield f"changed {id_}: attempts {numbers}"
