# SPDX-License-Identifier: Apache-2.0
"""What a power loss leaves: made of the log that disk.c has written, at any of its entries.

What is certain is what was synced: of a file all that was written before a sync began that has ended; of the directory
the names, likewise. Of all that came later each write may be there, or not, or in part, in sectors of 512 bytes; each
name in the order in which they were made. Nothing else is assumed: not that writes reach the disk in order, nor that a
file's length goes with its content.
"""
import pathlib
import struct

ENTRY = struct.Struct("=QIIQQ")
NAMED, CREATED, WRITE, TRUNCATE, SYNC_BEGIN, SYNC_END, UNLINK = range(1, 8)
SECTOR = 512
HABITS = ["nothing", "everything", "some", "some", "some"]  # of what was not synced


def read_log(path):
    """(time, kind, file, offset, len, data), as far as they are whole."""
    data, at, entries = pathlib.Path(path).read_bytes(), 0, []
    while at + ENTRY.size <= len(data):
        when, kind, file, offset, n = ENTRY.unpack_from(data, at)
        at += ENTRY.size
        body = b""
        if kind in (NAMED, CREATED, WRITE):
            body = data[at:at + n]
            at += n
            if len(body) < n:
                break
        entries.append((when, kind, file, offset, n, body))
    return entries


def _apply(content, change):
    kind, offset, data = change
    if kind == TRUNCATE:
        del content[offset:]
        content.extend(bytes(offset - len(content)))
        return
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset:offset + len(data)] = data


def _torn(change, rng):
    """Some of its sectors."""
    kind, offset, data = change
    if kind == TRUNCATE:
        return [change] if rng.random() < 0.5 else []
    parts, at = [], offset
    while at < offset + len(data):
        end = min((at // SECTOR + 1) * SECTOR, offset + len(data))
        if rng.random() < 0.5:
            parts.append((WRITE, at, data[at - offset:end - offset]))
        at = end
    return parts


class _File:
    def __init__(self, content=b""):
        self.content = bytearray(content)  # as it was synced
        self.changes = []
        self.n_syncing = 0

    def left(self, habit, rng):
        content = bytearray(self.content)
        for change in self.changes:
            if habit == "everything":
                _apply(content, change)
            elif habit == "some":
                what = rng.random()
                for part in [] if what < 0.4 else [change] if what < 0.7 else _torn(change, rng):
                    _apply(content, part)
        return bytes(content)


class Disk:
    """Replays a log; image() is what a power loss after the entries so far may leave."""

    def __init__(self, directory):
        """@directory: as it was before the log began, all of it synced."""
        self._files = {}
        self._directory = _File()
        self._names = {p.name: _File(p.read_bytes()) for p in pathlib.Path(directory).iterdir()
                       if not p.name.endswith("-shm")} if pathlib.Path(directory).exists() else {}
        self._renames = []  # (name, file or None), not synced
        self._n_syncing_names = 0

    def add(self, entry):
        _, kind, number, offset, _, data = entry
        file = self._files.get(number)
        if kind == NAMED:
            self._files[number] = self._directory if data == b"." else self._now().get(data.decode()) or _File()
        elif kind == CREATED:
            self._files[number] = _File()
            self._renames.append((data.decode(), self._files[number]))
        elif kind in (WRITE, TRUNCATE):
            file.changes.append((kind, offset, data))
        elif kind == UNLINK:
            self._renames += [(name, None) for name, f in self._now().items() if f is file]
        elif kind == SYNC_BEGIN:
            file.n_syncing = len(file.changes)
            if file is self._directory:
                self._n_syncing_names = len(self._renames)
        else:
            self._synced(file)

    def _synced(self, file):
        if file is self._directory:
            for name, f in self._renames[:self._n_syncing_names]:
                self._set(self._names, name, f)
            del self._renames[:self._n_syncing_names]
            return
        for change in file.changes[:file.n_syncing]:
            _apply(file.content, change)
        del file.changes[:file.n_syncing]
        file.n_syncing = 0

    @staticmethod
    def _set(names, name, file):
        if file is None:
            names.pop(name, None)
        else:
            names[name] = file

    def _now(self):
        names = dict(self._names)
        for name, file in self._renames:
            self._set(names, name, file)
        return names

    def image(self, directory, rng):
        """Write one into @directory, which is made. Returns the habit of that disk."""
        habit = rng.choice(HABITS)
        names = dict(self._names)
        n = {"nothing": 0, "everything": len(self._renames)}.get(habit, rng.randint(0, len(self._renames)))
        for name, file in self._renames[:n]:
            self._set(names, name, file)
        directory = pathlib.Path(directory)
        directory.mkdir(mode=0o700)
        for name, file in names.items():
            (directory / name).write_bytes(file.left(habit, rng))
        return habit
