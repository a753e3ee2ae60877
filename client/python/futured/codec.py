# SPDX-License-Identifier: Apache-2.0
"""Arguments and results as bytes, with a content type that says how.

| value                          | content type                | decoded |
|---|---|---|
| bytes, bytearray, memoryview   | none                        | bytes   |
| str                            | text/plain; charset=utf-8   | str     |
| anything else that JSON has    | application/json            | as JSON has it: a tuple comes back as a list |
| pickled(anything)              | application/x-python-pickle | only where it was asked for |
| Encoded(data, content_type)    | as it says                  | bytes, unless it is one of these |

Pickle runs code of whoever wrote it. So nothing here reads it unless the reader has said pickle=True, and nothing is written so
unless the writer has said pickled().
"""
from __future__ import annotations

import json
import pickle as _pickle
import re
from dataclasses import dataclass
from typing import Any

from ._errors import DecodeError

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
PICKLE = "application/x-python-pickle"


@dataclass(frozen=True)
class Encoded:
    """Bytes that are what they are, with their content type."""

    data: bytes
    content_type: str = ""


def pickled(value: Any) -> Encoded:
    """`value` by pickle, for a reader that takes pickles from this writer."""
    return Encoded(_pickle.dumps(value), PICKLE)


def encode(value: Any) -> Encoded:
    """`value` as bytes. TypeError where none of the forms fits."""
    if isinstance(value, Encoded):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return Encoded(bytes(value))
    if isinstance(value, str):
        return Encoded(value.encode(), TEXT)
    try:
        return Encoded(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(), JSON)
    except (TypeError, ValueError) as error:
        raise TypeError(f"a {type(value).__name__} cannot be written as JSON ({error}): "
                        "hand over bytes, text or JSON, or say futured.pickled(value)") from error


def encode_arguments(arguments: tuple[Any, ...]) -> Encoded:
    """The positional arguments of one call: none is an empty argument, one is itself, several are a JSON array."""
    if not arguments:
        return Encoded(b"")
    if len(arguments) == 1:
        return encode(arguments[0])
    for argument in arguments:
        if isinstance(argument, (bytes, bytearray, memoryview, Encoded)):
            raise TypeError("several arguments travel as a JSON array, which has no bytes: hand over one argument")
    return encode(list(arguments))


def media_type(content_type: str) -> str:
    """The type without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def decode(data: bytes, content_type: str, *, pickle: bool = False) -> Any:
    """What encode() was given; bytes where the content type is none of ours, or is pickle and was not asked for. DecodeError
    where the bytes are not what it says."""
    kind = media_type(content_type)
    try:
        if kind == JSON:
            return json.loads(data)
        if kind == "text/plain":
            charset = re.search(r"charset=\"?([\w.-]+)", content_type)
            return data.decode(charset[1] if charset else "utf-8")
        if kind == PICKLE and pickle:
            return _pickle.loads(data)
    except Exception as error:  # whatever a broken pickle raises
        raise DecodeError(f"{len(data)} bytes are not {content_type}: {error}", data, content_type) from error
    return data
