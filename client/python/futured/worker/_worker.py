# SPDX-License-Identifier: Apache-2.0
"""A worker: a registry, slots and a session."""
from __future__ import annotations

import os
import signal
import socket
import threading
from typing import Any, Mapping, Optional, Sequence

from .._channel import Channel
from ._load import main_module
from ._registry import Registry
from ._session import Session
from ._slots import ProcessSlot, Slot, ThreadSlot


class Worker:
    """Serves the functions of a registry to one daemon.

    address      of the daemon; default: FUTURED_ADDRESS, else the usual sockets
    slots        how many tasks run at a time; default: one per processor
    processes    each slot has a process of its own: functions use all processors, one that crashes or does not heed a cancel costs
                 its own attempt. Only for the registry of futured.worker. Else functions run in threads of this process, and
                 one that holds Python's lock for longer than lease_ttl (10 s) loses its lease
    modules      that the processes import to have the functions; default: the program that runs
    prefetch     how many tasks more may wait here; the daemon uses it for functions that take less than a millisecond
    stay         when the daemon lets the worker go (it stops, or somebody drains the worker), attach again instead of ending
    name, labels, version  for people
    tls_ca, tls_cert, tls_key, token_file, credentials  as of futured.Executor
    """

    def __init__(self, registry: Registry, address: Optional[str] = None, *, slots: Optional[int] = None, processes: bool = False,
                 modules: Optional[Sequence[str]] = None, prefetch: Optional[int] = None, stay: bool = False,
                 name: Optional[str] = None, labels: Optional[Mapping[str, str]] = None, version: str = "",
                 tls_ca: Optional[str] = None, tls_cert: Optional[str] = None, tls_key: Optional[str] = None,
                 token_file: Optional[str] = None, credentials: Any = None) -> None:
        if not registry.functions:
            raise ValueError("there is no function to serve: register one with @futured.worker.function")
        slots = slots or os.cpu_count() or 1
        if not 1 <= slots <= 1024:
            raise ValueError("slots must be from 1 to 1,024")
        self.registry = registry
        self.slots = slots
        self.processes = processes
        self.modules = list(main_module() if modules is None else modules)
        channel = Channel(address, tls_ca=tls_ca, tls_cert=tls_cert, tls_key=tls_key, token_file=token_file, credentials=credentials)
        self.session = Session(channel, [f.spec for f in registry.functions.values()], slots=slots,
                               prefetch=slots if prefetch is None else prefetch, labels=labels, version=version, stay=stay,
                               name=name or f"{socket.gethostname()}:{os.getpid()}")
        self._thread: Optional[threading.Thread] = None
        self._error: Optional[BaseException] = None

    def run(self) -> None:
        """Serve until stop(), SIGTERM or SIGINT, or until the daemon lets the worker go; what runs is finished first. CallError
        where the daemon does not want it; InitFailed, or what init() has raised."""
        slots: list[Slot] = []
        is_main = threading.current_thread() is threading.main_thread()
        before = {}
        try:
            if not self.processes:
                self.registry.begin()
            for n in range(self.slots):
                slots.append(ProcessSlot(self.session, n, self.modules) if self.processes
                             else ThreadSlot(self.session, n, self.registry))
            if is_main:
                before = {signo: signal.signal(signo, lambda *_: self._stop_soon()) for signo in (signal.SIGTERM, signal.SIGINT)}
            for slot in slots:
                slot.start()
            self.session.run()
        except BaseException:
            for slot in slots:
                slot.kill()
            raise
        finally:
            for signo, handler in before.items():
                signal.signal(signo, handler)
            self.session.is_over = True
            self.stop()
            for slot in slots:
                if not slot.is_alive():
                    slot.close()  # it never began
                elif self.processes:
                    slot.join()  # so that no process is left
            self.session.channel.close()

    def _stop_soon(self) -> None:
        """A signal may come while this very thread holds the lock."""
        threading.Thread(target=self.stop, daemon=True).start()

    def stop(self) -> None:
        """Take nothing more, finish what runs, and let run() return."""
        self.session.drain()

    # In the background: for programs that do something else beside.

    def start(self) -> Worker:
        """run() in a thread."""
        self._thread = threading.Thread(target=self._run, name="futured-worker", daemon=True)
        self._thread.start()
        return self

    def _run(self) -> None:
        try:
            self.run()
        except BaseException as error:
            self._error = error

    def join(self, timeout: Optional[float] = None) -> bool:
        """Wait for the end of what start() began; raises what run() has raised. Whether it has ended."""
        assert self._thread is not None
        self._thread.join(timeout)
        if self._error is not None:
            raise self._error
        return not self._thread.is_alive()
