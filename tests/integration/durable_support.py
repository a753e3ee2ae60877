# SPDX-License-Identifier: Apache-2.0
"""A daemon that keeps its futures on disk, killed and started again on the same directory."""
import subprocess

import harness
from futures_support import DEADLINE, FuturesCase, Gate, grpc  # noqa: F401
from server import BIN


class DurableCase(FuturesCase):
    """self.restart() kills the daemon and starts it again on what it has left."""

    cache = "256M"

    def start(self, *, workers=None, functions=None, cache=None, pool=None, extra=(), **options):
        sections = {"store": {"cache": self.cache if cache is None else cache},
                    "pool": pool or {}, "timeouts": self.timeouts, "function.gate": Gate.COMMAND}
        for name, line in {**self.functions, **(functions or {})}.items():
            sections[f"function.{name}"] = line if isinstance(line, dict) else {"command": line}
        arguments = ["--workers", str(self.workers if workers is None else workers),
                     "--state-directory", str(self.folder / "state"), *extra]
        return harness.ServerCase.start(self, program="futured", arguments=arguments, config=sections,
                                        store="sqlite", **options)

    def kill(self):
        self.server.kill()
        self.server.is_killed = True

    def end_sound(self):
        """Kill the daemon; what it leaves is sound."""
        self.kill()
        ended = subprocess.run([BIN / "futured", "--check-store", self.folder / "state"], capture_output=True, text=True,
                               timeout=DEADLINE, check=False)
        self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)

    def _stop(self, server):
        if not getattr(server, "is_killed", False):
            return super()._stop(server)
        server.log.join()
        bad = [line for line in server.log.text().splitlines() if harness.BAD_LOG.search(line)]
        return self.assertFalse(bad, "in the log of a server that was killed")

    def restart(self, *, is_clean=False, **options):
        if is_clean:
            self.server.signal()
            self.assertEqual(self.server.wait(), 0)
        else:
            self.kill()
        self.server = self.start(**options)
        self.futures = self.futures_of(self.server)
        return self.server


main = harness.main
