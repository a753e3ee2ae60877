#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# stubs.sh OUT [LANGUAGE]...: makes stubs of every .proto file of the tree under OUT, for stock gRPC clients.
#
# LANGUAGE is python (the default), cpp, java, php, ruby, csharp or objc. A language gets its service stubs where its
# plugin of protobuf-compiler-grpc is installed (cpp, php, python, ruby), else its messages only.
#
# Python: put OUT first into sys.path and import futured_stubs before any stub. google/rpc and google/longrunning
# join google.protobuf in the namespace package google by themselves; grpc is an ordinary package, and
# futured_stubs adds OUT/grpc to where it looks for grpc.health and grpc.reflection.
set -euo pipefail

[ $# -ge 1 ] || {
    echo "usage: stubs.sh OUT [LANGUAGE]..." >&2
    exit 2
}
out=$1
shift
proto=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../../proto
mkdir -p -- "$out"
out=$(readlink -f -- "$out")
mapfile -t files < <(cd -- "$proto" && find futured google grpc -name '*.proto' | LC_ALL=C sort)
[ ${#files[@]} -gt 0 ]

for language in "${@:-python}"; do
    arguments=("--${language}_out=$out")
    if plugin=$(command -v "grpc_${language}_plugin"); then
        arguments+=("--plugin=protoc-gen-grpc=$plugin" "--grpc_out=$out")
    fi
    # C# puts all files into one folder unless told so, and two of ours are called reflection.
    [ "$language" != csharp ] || arguments+=("--csharp_opt=base_namespace=")
    protoc -I "$proto" "${arguments[@]}" "${files[@]}"
    [ "$language" = python ] || continue
    cat >"$out/futured_stubs.py" <<'END'
"""Lets grpc.health and grpc.reflection be found beside this file. Import it before them."""
import pathlib

import grpc

_here = str(pathlib.Path(__file__).resolve().parent / "grpc")
if _here not in grpc.__path__:
    grpc.__path__.append(_here)
END
done
