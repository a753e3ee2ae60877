# SPDX-License-Identifier: Apache-2.0
"""File systems of our own, small enough to be filled: tmpfs, and ext4 in a file. Skipped where nothing may be mounted."""
import errno
import os
import subprocess
import tempfile

import crash_support
from crash_support import futures_pb2, grpc
from test_disk import UNAVAILABLE, DiskCase, ephemeral
from futures_support import FULL, SUCCEEDED, submit

MB = 1 << 20
SIZE = 24 * MB


def mount(kind, folder, size):
    """Mount one on @folder, which is made. 0, or what mount said."""
    folder.mkdir()
    if kind == "ext4":
        image = folder.with_suffix(".img")
        with open(image, "wb") as file:
            file.truncate(size)
        made = subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], capture_output=True, check=False)
        command = ["mount", "-o", "loop", str(image), str(folder)]
    else:
        made, command = None, ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if made and made.returncode:
        return made.stderr
    return subprocess.run(command, capture_output=True, check=False).stderr


def is_permitted():
    with tempfile.TemporaryDirectory() as folder:
        path = crash_support.pathlib.Path(folder) / "m"
        try:
            if mount("tmpfs", path, MB):
                return False
        except FileNotFoundError:
            return False
        subprocess.run(["umount", str(path)], check=True)
    return True


class Full(DiskCase):
    config = {"store": {"reserve": "0", "log": "0"}}

    def mounted(self, kind):
        folder = self.folder / "disk"
        said = mount(kind, folder, SIZE)
        if said and kind != "tmpfs":
            print(f"no {kind} here: {said.decode().strip()}")
            return False
        self.addCleanup(subprocess.run, ["umount", str(folder)], check=False)
        self.addCleanup(self.forget)
        self.state = folder / "state"
        self.ballast = folder / "ballast"
        return True

    def fill_disk(self, free=0):
        """All of it but @free."""
        fd = os.open(self.ballast, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            while free == 0 or self.n_free() > free:
                os.write(fd, bytes(4096))
        except OSError as error:
            self.assertEqual(error.errno, errno.ENOSPC)
        finally:
            os.close(fd)

    def n_free(self):
        fs = os.statvfs(self.ballast.parent)
        return fs.f_bavail * fs.f_frsize

    def stalls_on(self, kind):
        if not self.mounted(kind):
            return
        self.start_daemon()
        f = self.fill()
        self.assert_stalls(f, self.fill_disk, self.ballast.unlink)

    def test_tmpfs(self):
        self.stalls_on("tmpfs")

    def test_ext4(self):
        self.stalls_on("ext4")

    def test_by_itself(self):
        """Nobody but the daemon fills it, with what it accepts; a bigger disk, and it goes on."""
        self.assertTrue(self.mounted("tmpfs"))
        self.start_daemon()
        calls, data = [], os.urandom(256 << 10)
        while not self.server.log.find("store_stalled"):
            calls.append(self.futures.Submit.future(submit("echo", data, view=FULL, labels={"n": str(len(calls))})))
            try:
                calls[-1].exception(1)
            except grpc.FutureTimeoutError:
                pass
        subprocess.run(["mount", "-o", f"remount,size={4 * SIZE}", str(self.state.parent)], check=True)
        self.server.log.wait("store_resumed")
        n = 0
        for call in calls:
            try:
                self.ledger.show(call.result(60).future)
                n += 1
            except grpc.RpcError as error:
                self.assertEqual(error.code(), UNAVAILABLE)
        self.assertGreater(n, 10)
        self.fill(5)
        self.assert_all_kept()


class Reserve(Full):
    """Below the reserve nothing new is taken in; what is there goes on, and ends."""
    config = {"store": {"reserve": "8M", "log": "0"}}

    def test_tmpfs(self):
        self.assertTrue(self.mounted("tmpfs"))
        self.start_daemon()
        f = self.fill()
        waiting = self.futures.Run.future(futures_pb2.RunRequest(submit=self.new_task("sleep", b"2500")))
        self.fill_disk(free=4 * MB)
        self.futures.Run(futures_pb2.RunRequest(submit=self.new_task("echo", b"so that it looks")))
        self.server.log.wait("store_space_low")
        self.refused(self.futures.Submit, self.new_task("echo", b""), "DISK_SPACE", grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assert_reads(f)
        self.assertEqual(self.futures.Run(ephemeral(b"goes on")).state, SUCCEEDED)
        self.ledger.show(waiting.result(60))
        self.ballast.unlink()
        self.server.log.wait("store_space_back")
        self.fill(5)
        self.assert_all_kept()

    test_ext4 = test_by_itself = None


if __name__ == "__main__":
    if not is_permitted():
        crash_support.skip("nothing may be mounted")
    crash_support.main()
