# SPDX-License-Identifier: Apache-2.0
"""The row of the benchmark about `futurectl map`, ephemeral and durable: a hash of each of many files, beside what people do that with,
GNU parallel and xargs. Whole programs are timed, from their start to their end, turn by turn; what they say must be the same."""
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

    def __init__(self, tools, files=FILES):
        self.t, self.n_files = tools, files

    @contextlib.contextmanager
    def files(self):
        """A folder with the files, in the page cache since they were just written, and what is expected of them."""
        with tempfile.TemporaryDirectory(prefix="futured-bench-map-") as name:
            folder, expected = pathlib.Path(name), set()
            for i in range(self.n_files):
                data = os.urandom(SIZE)
                (folder / f"{i:05d}").write_bytes(data)
                expected.add(f"{i:05d} {hashlib.sha256(data).hexdigest()}")
            yield folder, expected

    def timed(self, command, folder, expected, tidy, **env):
        """Seconds of @command, whose lines @tidy makes `NAME HASH`."""
        paths = "".join(f"{i:05d}\n" for i in range(self.n_files)).encode()
        began = time.monotonic()
        done = subprocess.run(command, input=paths, capture_output=True, cwd=folder, env={**os.environ, **env}, timeout=1200)
        seconds = time.monotonic() - began
        if done.returncode != 0 or done.stderr:
            raise RuntimeError(f"{command[0]}: {done.returncode}: {done.stderr.decode(errors='replace')[:500]}")
        if {tidy(line) for line in done.stdout.decode().splitlines()} != expected:
            raise RuntimeError(f"{command[0]}: the results differ")
        return seconds

    def map_command(self, durability):
        return [str(self.t.ARGS.bin.resolve() / "futurectl"), "map", "sha256", "--files", "--tag", "--progress", "none", f"--{durability}"]

    def measure(self):
        """All four turn by turn; both kinds of map are asked of one daemon, with its store."""
        others = {"parallel": ["parallel", "-j2", "sha256sum"], "xargs": ["xargs", "-P2", "-n1", "sha256sum"]}
        missing = [name for name in others if not shutil.which(name)]
        if missing:
            raise self.t.Skip(f"there is no {' and no '.join(missing)} here (./dev deps test)")
        times = {name: [] for name in ("ephemeral", "durable", *others)}
        with self.files() as (folder, expected), self.t.running(listen=("unix:@s",), program="futured", arguments=("--workers", "2"),
                                                                store="sqlite") as daemon:
            for _ in range(ROUNDS):
                for name, all_ in times.items():
                    if name in others:
                        all_.append(self.timed(others[name], folder, expected, lambda line: " ".join(reversed(line.split())),
                                               PARALLEL_HOME=str(folder)))
                    else:
                        all_.append(self.timed(self.map_command(name), folder, expected, lambda line: " ".join(line.split("\t")),
                                               FUTURED_ADDRESS=daemon.address))
        middle = {name: sorted(all_)[ROUNDS // 2] for name, all_ in times.items()}
        ratios = {f"{name}_of_{other}": middle[other] / middle[name] for name in ("ephemeral", "durable") for other in others}
        return {"per_second": self.n_files / middle["ephemeral"], **{f"{name}_seconds": seconds for name, seconds in middle.items()}, **ratios}

    def rows(self):
        beside = ("ephemeral_seconds", "durable_seconds", "parallel_seconds", "xargs_seconds", "ephemeral_of_parallel",
                  "ephemeral_of_xargs", "durable_of_parallel", "durable_of_xargs")
        return [self.t.Row(f"map over {self.n_files:,} files", self.measure, beside=beside, is_long=True, goals=(
            self.t.Goal("at least 5 times as fast as GNU parallel with sha256sum", lambda r, _: r["ephemeral_of_parallel"] >= 5),
            self.t.Goal("not slower than xargs -P2 -n1 sha256sum", lambda r, _: r["ephemeral_of_xargs"] >= 1)))]
