# SPDX-License-Identifier: Apache-2.0
"""A program on a terminal of its own: what stands on the screen, keys, resizing. Nothing is waited for but what the screen shows."""
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time

import pyte

from server import DEADLINE, DIE_WITH_PARENT


class Terminal:
    """@command with its three streams on a new terminal, of which it leads the session, so that keys such as Ctrl-C become signals."""

    def __init__(self, command, env, columns, lines):
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.fd, theirs = pty.openpty()
        self.resize(columns, lines, tell=False)
        self.process = subprocess.Popen([*DIE_WITH_PARENT, "setsid", "--ctty", "--wait", *command], env=env, stdin=theirs, stdout=theirs,
                                        stderr=theirs)
        os.close(theirs)

    def resize(self, columns, lines, tell=True):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        if tell:  # the kernel sends SIGWINCH
            self.screen.resize(lines, columns)

    def type(self, text):
        os.write(self.fd, text.encode())

    def read(self, timeout=DEADLINE):
        """More of what it writes; False when there is no more, True when something came."""
        if not select.select([self.fd], [], [], timeout)[0]:
            raise AssertionError(f"nothing more comes; the screen:\n{self.text()}")
        try:
            part = os.read(self.fd, 65536)
        except OSError:  # the other end is closed
            return False
        self.raw += part
        self.stream.feed(part)
        return bool(part)

    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display)

    def lines(self):
        return [line.rstrip() for line in self.screen.display]

    def wait(self, is_there):
        """Until is_there(self) of what stands on the screen."""
        end = time.monotonic() + DEADLINE
        while not is_there(self):
            if not self.read(max(0, end - time.monotonic())):
                raise AssertionError(f"it has ended; the screen:\n{self.text()}")

    def wait_text(self, text):
        self.wait(lambda t: text in t.text())

    def end(self):
        """All that it still writes; its exit status."""
        while self.read():
            pass
        return self.process.wait(DEADLINE)

    def colour(self, text):
        """Of the first character of @text, where it stands on the screen."""
        for y, line in enumerate(self.screen.display):
            if text in line:
                return self.screen.buffer[y][line.index(text)].fg
        raise AssertionError(f"{text} is not there:\n{self.text()}")

    def is_reverse(self, text):
        for y, line in enumerate(self.screen.display):
            if text in line:
                return self.screen.buffer[y][line.index(text)].reverse
        raise AssertionError(f"{text} is not there:\n{self.text()}")

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.fd)
