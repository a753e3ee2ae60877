# SPDX-License-Identifier: Apache-2.0
"""What the gates share: the list of files, the reading of arguments, and the self-test.

A gate is one script. Its docstring states the rule; check(root, build) returns the violations as lines
"path:line: what"; GOOD is a small tree that keeps the rule; PLANTED are (files, words) pairs: the files are
laid over GOOD and the gate must then report a violation that contains the words.

  GATE [--build DIR]   exit 1 and print the violations of this tree
  GATE --selftest      exit 1 unless GOOD passes and every planted violation is reported
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def files(root, *suffixes):
    """Paths relative to @root of what git tracks (of everything, where there is no git), sorted."""
    if (root / ".git").exists():
        git = subprocess.run(["git", "-c", "safe.directory=*", "-C", root, "ls-files", "-z"],
                             check=True, capture_output=True, text=True)
        paths = [pathlib.Path(p) for p in git.stdout.split("\0") if p]
    else:
        skip = {"build", "node_modules", "__pycache__"}
        paths = [p.relative_to(root) for p in root.rglob("*")]
        paths = [p for p in paths if not skip.intersection(p.parts)]
    return sorted(p for p in paths if (root / p).is_file() and (not suffixes or p.suffix in suffixes))


def is_script(root, path, *shells):
    """Whether the first line names one of @shells, such as bash or python3."""
    with open(root / path, "rb") as f:
        first = f.readline()
    return first.startswith(b"#!") and any(s.encode() in first for s in shells)


def numbered(root, path):
    """(line number, line) of a text file."""
    return enumerate((root / path).read_text(encoding="utf-8").splitlines(), 1)


def plant(tree, root):
    for path, text in tree.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


def selftest(check, good, planted, prepare):
    red = 0
    for tree, words in [({}, None)] + planted:
        with tempfile.TemporaryDirectory() as tmp:
            root = pathlib.Path(tmp)
            plant({**good, **tree}, root)
            prepare(root)
            found = check(root, root / "build")
        if words is None:
            ok, what = not found, "the good tree passes"
        else:
            ok, what = any(words in line for line in found), f"planted: {words}"
        print("ok  " if ok else "FAIL", what, "" if ok else f"(found: {found})")
        red += not ok
    return red


def main(check, good, planted, prepare=lambda root: None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/dev", help="a configured build directory")
    parser.add_argument("--selftest", action="store_true", help="see the gate go red on planted violations")
    args = parser.parse_args()
    if args.selftest:
        sys.exit(1 if selftest(check, good, planted, prepare) else 0)
    found = check(ROOT, args.build)
    for line in found:
        print(line)
    sys.exit(1 if any(": warning: " not in line for line in found) else 0)
