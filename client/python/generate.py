#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""generate.py OUT: the whole package into OUT/futured: its sources, and the stubs of proto/ made by protoc.

Needs protoc, and grpc_python_plugin of protobuf-compiler-grpc; who uses the package needs neither. The stubs are
futured.v1.*_pb2 (with .pyi for type checkers) and *_pb2_grpc. google.rpc is taken from where it is installed (Debian 12 has no
package of it), else from futured._google, our own copy of the same messages: two copies in one process would be refused by
protobuf.
"""
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
PROTO = HERE.parents[1] / "proto"
GOOGLE = ("code", "error_details", "status")
LICENCE = "# SPDX-License-Identifier: Apache-2.0\n"
CHOICE = '''"""google.rpc.{name}: the installed one, else ours."""
try:
    from google.rpc.{name}_pb2 import *
except ImportError:
    from ._{name}_pb2 import *
'''


def protoc(out: pathlib.Path, *files: str) -> None:
    plugin = shutil.which("grpc_python_plugin")
    if plugin is None:
        sys.exit("generate.py: there is no grpc_python_plugin: install protobuf-compiler-grpc")
    subprocess.run(["protoc", "-I", PROTO, f"--python_out={out}", f"--pyi_out={out}", f"--grpc_out={out}",
                    f"--plugin=protoc-gen-grpc={plugin}", *files], check=True)


def write(path: pathlib.Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(LICENCE + text, encoding="utf-8")


def localize(path: pathlib.Path) -> None:
    """google.rpc by way of futured._google."""
    text = path.read_text(encoding="utf-8")
    write(path, re.sub(r"^from google\.rpc import", "from futured._google import", text, flags=re.M))


def generate(out: pathlib.Path) -> None:
    package = out / "futured"
    made = out / ".made"
    for old in (package, made):
        shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(HERE / "futured", package, ignore=shutil.ignore_patterns("__pycache__"))
    made.mkdir(parents=True)
    protoc(made, *(str(p.relative_to(PROTO)) for p in sorted((PROTO / "futured/v1").glob("*.proto"))),
           *(f"google/rpc/{name}.proto" for name in GOOGLE))
    for path in sorted((made / "futured/v1").iterdir()):
        localize(path)
        shutil.move(path, package / "v1" / path.name)
    write(package / "_google/__init__.py", '"""Messages of google.rpc."""\n')
    for name in GOOGLE:
        for suffix, to in ((".py", f"_{name}_pb2.py"), (".pyi", f"{name}_pb2.pyi")):
            localize(made / f"google/rpc/{name}_pb2{suffix}")
            shutil.move(made / f"google/rpc/{name}_pb2{suffix}", package / "_google" / to)
        write(package / f"_google/{name}_pb2.py", CHOICE.format(name=name))
    shutil.rmtree(made)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    generate(pathlib.Path(sys.argv[1]).absolute())
