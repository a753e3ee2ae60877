# SPDX-License-Identifier: Apache-2.0
"""Between a program and the daemon, to cut them apart."""
import socket
import threading


class Proxy:
    def __init__(self, path, target):
        self.is_mute = False  # what the daemon says goes nowhere
        self.target, self.pairs, self.all = target.removeprefix("unix:"), [], []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.address = f"unix:{path}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:  # closed
                return
            far = socket.socket(socket.AF_UNIX)
            try:
                far.connect(self.target)
            except OSError:  # as if nobody listened
                near.close()
                far.close()
                continue
            self.pairs.append((near, far))
            self.all += near, far
            for a, b in (near, far), (far, near):
                threading.Thread(target=self.copy, args=(a, b, b is near), daemon=True).start()

    def copy(self, a, b, is_answer):
        try:
            while data := a.recv(65536):
                if not (is_answer and self.is_mute):
                    b.sendall(data)
        except OSError:
            pass
        for s in a, b:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        for s in self.pairs.pop():
            s.shutdown(socket.SHUT_RDWR)

    def close(self):
        for s in self.listener, *self.all:
            s.close()
