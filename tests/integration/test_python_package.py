#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The Python package as it is installed by CMake and as a wheel: it works in a process that has nothing else of ours, with neither
protoc nor stubs."""
import os
import pathlib
import subprocess
import sys
import zipfile

import server
from python_support import DEADLINE, FuturesCase, main

USE = """
import importlib.metadata, sys
import futured, futured.v1.futures_pb2, futured.v1.workers_pb2_grpc
assert futured.__file__.startswith(sys.argv[2]), futured.__file__
assert importlib.metadata.version("futured") == futured.__version__
with futured.Executor(sys.argv[1]) as executor:
    print(executor.submit("echo", {"a": [1, 2]}).result())
"""
SOURCE = server.ROOT / "client/python"
BUILD = server.BIN.parent


class Packages(FuturesCase):
    def assert_works(self, where):
        ran = subprocess.run([sys.executable, "-c", USE, self.server.address, str(where)], capture_output=True, text=True,
                             timeout=DEADLINE, check=False, cwd=self.folder,
                             env={"PATH": "/nowhere", "PYTHONPATH": str(where), "GRPC_ENABLE_FORK_SUPPORT": "0"})
        self.assertEqual((ran.returncode, ran.stdout), (0, "{'a': [1, 2]}\n"), ran.stderr)

    def names(self, where):
        return {str(p.relative_to(where)) for p in pathlib.Path(where).rglob("*") if p.is_file() and p.suffix in (".py", ".pyi", ".typed")}

    def test_installed_by_cmake(self):
        prefix = self.folder / "prefix"
        subprocess.run(["cmake", "-DCMAKE_INSTALL_PREFIX=" + str(prefix), "-P", BUILD / "client/python/cmake_install.cmake"],
                       check=True, capture_output=True)
        where = prefix / "lib/python3/dist-packages"
        self.assert_works(where)
        self.assertIn("futured/v1/future_pb2.pyi", self.names(where))
        self.assertIn("futured/py.typed", self.names(where))

    def test_wheel(self):
        # The hook that pip calls; as pip does it, in a copy of the source.
        code = "from setuptools import build_meta; print(build_meta.build_wheel('..'))"
        tree = self.folder / "tree"
        (tree / "client").mkdir(parents=True)
        os.symlink(server.ROOT / "proto", tree / "proto")
        subprocess.run(["cp", "-r", SOURCE, tree / "client/python"], check=True)
        ran = subprocess.run([sys.executable, "-c", code], cwd=tree / "client/python", capture_output=True, text=True, timeout=DEADLINE,
                             check=False)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        where = self.folder / "unpacked"
        [wheel] = (tree / "client").glob("*.whl")
        self.assertTrue(wheel.name.endswith("-py3-none-any.whl"), wheel.name)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(where)
        self.assert_works(where)
        self.assertEqual(self.names(where), self.names(BUILD / "python"))


if __name__ == "__main__":
    main()
