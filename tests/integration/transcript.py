# SPDX-License-Identifier: Apache-2.0
"""Transcripts of calls, as docs/protocol.md shows them: what went out (->) and what came back (<-), as protobuf text in which
what differs from run to run has a name: ID1, ID2 ... in the order of their appearance, TIME, SPAN, N."""
import base64
import re
import uuid

import futures_support
from futures_support import DEADLINE, grpc, status_of

from google.protobuf import descriptor
from google.protobuf.any_pb2 import Any

FD = descriptor.FieldDescriptor
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TOKEN = {"next_page_token", "page_token"}
NUMBERS = {"revision", "epoch", "after_revision", "event", "pid", "credit"}
WIDTH = 116


class Talk:
    """The calls of one transcript, to one daemon."""

    def __init__(self, channel, types):
        self.channel, self.types = channel, types
        self.lines, self.names, self.tokens = [], {}, {}

    def text(self):
        return "".join(f"{line}\n" for line in self.lines)

    # saying

    def name_of(self, id_):
        if id_ == futures_support.NO_SUCH_ID:
            return id_
        return self.names.setdefault(id_, f"ID{len(self.names) + 1}")

    def string(self, field, value):
        if field.name in TOKEN and value:
            return f'"{self.tokens.setdefault(value, f"TOKEN{len(self.tokens) + 1}")}"'
        if field.name in ("peer", "address", "addresses"):
            return '"ADDRESS"'
        if field.name in ("version",):
            return '"VERSION"'
        if field.name in ("worker", "worker_id") or re.fullmatch(r"w-\d+", value):
            return '"WORKER"'
        value = re.sub(r"\bpool-\d+", "pool-N", value)
        value = ID.sub(lambda m: self.name_of(m[0]), value)
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'

    def scalar(self, field, value):
        if field.type == FD.TYPE_ENUM:
            return field.enum_type.values_by_number[value].name
        if field.type == FD.TYPE_BYTES and field.containing_type.name == "Lease":
            return f'"{self.name_of(str(uuid.UUID(bytes=value)))}"'
        if field.type == FD.TYPE_BYTES:
            return '"' + value.decode("ascii", "backslashreplace").replace('"', '\\"').replace("\n", "\\n") + '"'
        if field.type == FD.TYPE_STRING:
            return self.string(field, value)
        if field.type == FD.TYPE_BOOL:
            return "true" if value else "false"
        return "N" if field.name in NUMBERS else str(value)

    def nested(self, field, value):
        """What stands behind the name of a message field."""
        full = field.message_type.full_name
        if full == "google.protobuf.Timestamp":
            return ": TIME"
        if full == "google.protobuf.Duration":
            mine = field.containing_type.name in ("Usage", "FunctionInfo") or field.name == "oldest_age"
            return ": SPAN" if mine else f": {value.ToTimedelta().total_seconds():g}s"
        if full == "google.protobuf.Any":
            inner = self.types.GetSymbol(value.TypeName())()
            value.Unpack(inner)
            return f" {{ [{value.TypeName()}] {{ {self.message(inner)} }} }}"
        return f" {{ {self.message(value)} }}" if self.message(value) else " {}"

    def message(self, m):
        parts = []
        for field, value in m.ListFields():
            if (m.DESCRIPTOR.name, field.name) == ("Usage", "max_rss_bytes"):
                continue  # known for some attempts only
            if field.message_type is not None and field.message_type.GetOptions().map_entry:
                parts += [f'{field.name} {{ "{k}": "{value[k]}" }}' for k in sorted(value)]
                continue
            for v in value if field.label == FD.LABEL_REPEATED else [value]:
                if field.message_type is not None:
                    parts.append(field.name + self.nested(field, v))
                else:
                    parts.append(f"{field.name}: {self.scalar(field, v)}")
        return " ".join(parts)

    def say(self, arrow, text):
        """In lines of WIDTH, broken between words; what goes on is indented."""
        line = arrow
        for word in text.split(" ") if text else ["(empty)"]:
            if len(line) + 1 + len(word) > WIDTH and line.strip() not in ("->", "<-"):
                self.lines.append(line)
                line = "  "
            line += " " + word
        self.lines.append(line)

    def note(self, text):
        self.lines.append(f"# {text}")

    # calling

    def method(self, path, kind, request, response):
        return getattr(self.channel, kind)(f"/{path}", request_serializer=type(request).SerializeToString,
                                           response_deserializer=response.FromString)

    def sent(self, request):
        self.say("->", self.message(request))

    def came(self, answer):
        self.say("<-", self.message(answer))
        return answer

    def failed(self, error):
        self.say("<-", ID.sub(lambda m: self.name_of(m[0]), f"{error.code().name}: {error.details()}"))
        _, details = status_of(error) if "grpc-status-details-bin" in dict(error.trailing_metadata() or ()) else (None, {})
        for name, detail in details.items():
            self.say("  ", f"{name} {{ {self.message(detail)} }}")

    def unary(self, path, request, response, timeout=DEADLINE, metadata=()):
        self.sent(request)
        try:
            answer, call = self.method(path, "unary_unary", request, response).with_call(request, timeout=timeout)
        except grpc.RpcError as error:
            return self.failed(error)
        for key, value in call.initial_metadata() or ():
            if key in metadata:
                self.say("<-", f"({key}: {self.name_of(value)})")
        return self.came(answer)

    def server_stream(self, path, request, response, until=lambda answer: False):
        self.sent(request)
        call = self.method(path, "unary_stream", request, response)(request, timeout=DEADLINE)
        return self.read(call, until)

    def read(self, call, until):
        answer = None
        try:
            for answer in call:
                self.came(answer)
                if until(answer):
                    call.cancel()
                    self.note("the client hangs up")
                    return answer
        except grpc.RpcError as error:
            self.failed(error)
        return answer

    def bidi(self, path, requests, response):
        """All that is sent, then all that comes."""
        for request in requests:
            self.sent(request)
        self.note("the client half-closes")
        call = self.method(path, "stream_stream", requests[0], response)(iter(requests), timeout=DEADLINE)
        return self.read(call, lambda answer: False)
