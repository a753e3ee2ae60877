# SPDX-License-Identifier: Apache-2.0
"""python3 -m futured.worker MODULE...: serve the functions that these modules register."""
from __future__ import annotations

import argparse
import logging
import os
import sys

from .. import worker
from .._errors import CallError
from ._load import load
from ._slots import InitFailed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m futured.worker", description="Serve functions written in Python.")
    parser.add_argument("modules", nargs="+", metavar="MODULE", help="a module, or a file that ends in .py")
    parser.add_argument("--address", help="of the daemon (default: FUTURED_ADDRESS, else the usual sockets)")
    parser.add_argument("--tls-ca", metavar="FILE", help="who may have signed the daemon's certificate (default: FUTURED_TLS_CA)")
    parser.add_argument("--tls-cert", metavar="FILE", help="the certificate to show (default: FUTURED_TLS_CERT)")
    parser.add_argument("--tls-key", metavar="FILE", help="its key (default: FUTURED_TLS_KEY)")
    parser.add_argument("--token-file", metavar="FILE", help="a file with the token that says who calls (default: FUTURED_TOKEN_FILE)")
    parser.add_argument("--slots", type=int, help="how many tasks run at a time (default: one per processor)")
    parser.add_argument("--processes", action="store_true", help="a process for each slot, instead of a thread")
    parser.add_argument("--stay", action="store_true", help="attach again when the daemon lets the worker go")
    parser.add_argument("--name", help="for people (default: host and process)")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    sys.path.insert(0, os.getcwd())
    modules = [os.path.abspath(m) if m.endswith(".py") else m for m in arguments.modules]
    for module in modules:
        load(module)
    try:
        worker.run(arguments.address, slots=arguments.slots, processes=arguments.processes, modules=modules, stay=arguments.stay,
                   name=arguments.name, tls_ca=arguments.tls_ca, tls_cert=arguments.tls_cert, tls_key=arguments.tls_key,
                   token_file=arguments.token_file)
    except (CallError, InitFailed, ValueError, OSError) as error:
        print(f"futured.worker: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
