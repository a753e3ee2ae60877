# SPDX-License-Identifier: Apache-2.0
"""The row of the benchmark about `futurectl map`: a hash of each of many files, beside what people do that with, GNU parallel and
xargs. Whole programs are timed, from their start to their end, turn by turn; what they say must be the same."""
import contextlib
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

FILES, SIZE, ROUNDS = 10_000, 16 << 10, 5


class Mapping:
    """@tools: what run has to measure with: Row, Goal, Skip, running, and the parsed arguments."""

    def __init__(self, tools):
        self.t = tools

    @contextlib.contextmanager
    def files(self):
        """A folder with the files, in the page cache since they were just written, and what is expected of them."""
        with tempfile.TemporaryDirectory(prefix="futured-bench-map-") as name:
            folder, expected = pathlib.Path(name), set()
            for i in range(FILES):
                data = os.urandom(SIZE)
                (folder / f"{i:05d}").write_bytes(data)
                expected.add(f"{i:05d} {hashlib.sha256(data).hexdigest()}")
            yield folder, expected

    def timed(self, command, folder, paths, expected, tidy, **env):
        """Seconds of @command, whose lines @tidy makes `NAME HASH`."""
        began = time.monotonic()
        done = subprocess.run(command, input=paths, capture_output=True, cwd=folder, env={**os.environ, **env}, timeout=1200)
        seconds = time.monotonic() - began
        if done.returncode != 0 or done.stderr:
            raise RuntimeError(f"{command[0]}: {done.returncode}: {done.stderr.decode(errors='replace')[:500]}")
        if {tidy(line) for line in done.stdout.decode().splitlines()} != expected:
            raise RuntimeError(f"{command[0]}: the results differ")
        return seconds

    def measure(self, durability):
        def of_ours(line):
            return " ".join(line.split("\t"))

        def of_sha256sum(line):
            return " ".join(reversed(line.split()))

        def measure():
            store = "sqlite" if durability == "durable" else "none"
            others = {"parallel": (["parallel", "-j2", "sha256sum"], of_sha256sum),
                      "xargs": (["xargs", "-P2", "-n1", "sha256sum"], of_sha256sum)}
            missing = [name for name in others if not shutil.which(name)]
            if missing:
                raise self.t.Skip(f"there is no {' and no '.join(missing)} here (./dev deps test)")
            times = {name: [] for name in ("map", *others)}
            with self.files() as (folder, expected), self.t.running(listen=("unix:@s",), program="futured", arguments=("--workers", "2"),
                                                                    store=store) as daemon:
                paths = "".join(f"{i:05d}\n" for i in range(FILES)).encode()
                ours = [str(self.t.ARGS.bin.resolve() / "futurectl"), "map", "sha256", "--files", "--tag", "--progress", "none",
                        f"--{durability}"]
                for _ in range(ROUNDS):
                    times["map"].append(self.timed(ours, folder, paths, expected, of_ours, FUTURED_ADDRESS=daemon.address))
                    for name, (command, tidy) in others.items():
                        times[name].append(self.timed(command, folder, paths, expected, tidy, PARALLEL_HOME=str(folder)))
            middle = {name: sorted(all_)[ROUNDS // 2] for name, all_ in times.items()}
            return {"per_second": FILES / middle["map"], **{f"{name}_seconds": seconds for name, seconds in middle.items()},
                    "of_parallel": middle["parallel"] / middle["map"], "of_xargs": middle["xargs"] / middle["map"]}
        return measure

    def rows(self):
        beside = ("map_seconds", "parallel_seconds", "xargs_seconds", "of_parallel", "of_xargs")
        return [
            self.t.Row("map over 10,000 files", self.measure("ephemeral"), beside=beside, is_long=True, goals=(
                self.t.Goal("at least 5 times as fast as GNU parallel with sha256sum", lambda r, _: r["of_parallel"] >= 5),
                self.t.Goal("not slower than xargs -P2 -n1 sha256sum", lambda r, _: r["of_xargs"] >= 1))),
            self.t.Row("map over 10,000 files, durable", self.measure("durable"), beside=beside, is_long=True),
        ]
