# SPDX-License-Identifier: Apache-2.0
"""Faults of the disk under a running daemon: the file that disk.c maps."""
import mmap
import struct

FAULTS = struct.Struct("=iiiiI44s")  # struct faults of disk.c
NAMES = ("write", "sync", "read", "open")


class Faults:
    """set(write=errno.ENOSPC): from now on; clear(): it is over."""

    def __init__(self, path):
        self.path = path
        path.write_bytes(bytes(FAULTS.size))
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), FAULTS.size)

    def set(self, suffix="", **errnos):
        self._put(suffix, [errnos.get(name, 0) for name in NAMES])

    def clear(self):
        self._put("", [0] * len(NAMES))

    def n_failed(self):
        return FAULTS.unpack(self._map)[4]

    def _put(self, suffix, errnos):
        # The name first, so that nothing else fails for a moment.
        self._map[20:] = suffix.encode().ljust(44, b"\0")
        self._map[:16] = struct.pack("=4i", *errnos)

    def close(self):
        self._map.close()
