# SPDX-License-Identifier: Apache-2.0
"""The Python package as it was built, imported from the build tree, under the real daemon."""
import sys

from server import BIN

# Before the stubs of harness.py: there is one futured.v1 in a process, that of the package.
PACKAGE = BIN.parent / "python"
sys.path.insert(0, str(PACKAGE))
import futured  # noqa: E402,F401

import harness  # noqa: E402,F401
from durable_support import DurableCase  # noqa: E402
from futures_support import *  # noqa: E402,F401,F403: the words of the contract
from futures_support import DEADLINE, FuturesCase, Gate  # noqa: E402,F401


class PythonMixin:
    """self.executor() is one of the test's daemon."""

    listen = ("unix:@s",)

    def start(self, **options):
        return super().start(**{"listen": self.listen, **options})

    def executor(self, **options):
        executor = futured.Executor(options.pop("address", None) or self.server.address, **options)
        self.addCleanup(executor.shutdown, wait=False)
        return executor


class PythonCase(PythonMixin, FuturesCase):
    """A daemon in memory."""


class PythonDurableCase(PythonMixin, DurableCase):
    """A daemon on disk, at an address that stays: self.restart()."""

    listen = ()

    def start(self, **options):
        return super().start(**{"listen": (f"unix:{self.folder}/socket",), **options})
