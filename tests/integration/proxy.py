# SPDX-License-Identifier: Apache-2.0
"""Between a program and the daemon, to cut them apart."""
import contextlib
import queue
import socket
import threading

from server import DEADLINE


def _shut(*sockets):
    for s in sockets:
        with contextlib.suppress(OSError):  # not connected any more
            s.shutdown(socket.SHUT_RDWR)


class Proxy:
    """Bytes to and fro between a Unix socket of its own and the daemon's. What it has opened is closed when no thread of it is
    left: the kernel may begin a thread's accept() anew, by number, and the number may be another socket's by then."""

    def __init__(self, path, target):
        self.is_mute = False  # what the daemon says goes nowhere
        self.target, self.address = target.removeprefix("unix:"), f"unix:{path}"
        self.pairs, self.sockets = [], []  # what is connected; all that there were
        self.deaf, self.unheard = set(), queue.SimpleQueue()  # the daemon's ends that hear nothing; what was said to them
        self.n_connected = threading.Semaphore(0)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:  # shut
                return
            far = socket.socket(socket.AF_UNIX)
            self.sockets += near, far
            try:
                far.connect(self.target)
            except OSError:  # as if nobody listened
                _shut(near)
                continue
            self.pairs.append((near, far))
            for a, b in (near, far), (far, near):
                self.threads.append(threading.Thread(target=self._copy, args=(a, b, b is near), daemon=True))
                self.threads[-1].start()
            self.n_connected.release()

    def _copy(self, a, b, is_answer):
        with contextlib.suppress(OSError):
            while data := a.recv(65536):
                if b in self.deaf:
                    self.unheard.put(data)
                elif not (is_answer and self.is_mute):
                    b.sendall(data)
        _shut(a, b)

    def deafen(self):
        """The daemon hears nothing more on the connections that there are."""
        self.deaf.update(far for _, far in self.pairs)

    def lose(self, *words):
        """Until all of @words were said and not heard."""
        said = b""
        while not all(word in said for word in words):
            said += self.unheard.get(timeout=DEADLINE)

    def cut(self):
        while self.n_connected.acquire(blocking=False):
            pass
        while self.pairs:
            _shut(*self.pairs.pop())

    def connected(self):
        """Once it was connected to again."""
        assert self.n_connected.acquire(timeout=DEADLINE)

    def close(self):
        _shut(self.listener)
        self.threads[0].join(DEADLINE)
        self.cut()
        for thread in self.threads:
            thread.join(DEADLINE)
        for s in self.listener, *self.sockets:
            s.close()
