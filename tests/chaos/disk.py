"""A small disk of its own, that can become full and read-only while somebody writes to it."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

REPAIRED_WITHIN_S = 60.0


class Disk:
    """A file system in a file, mounted.

    Parameters
    ----------
    folder
        Becomes the place where it is mounted; the file lies beside it.
    megabytes
        How large it is.
    """

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder = folder
        self._image = folder.with_suffix(".img")
        self._ballast = folder / "ballast"
        with self._image.open("wb") as image:
            image.truncate(megabytes << 20)
        _run("mkfs.ext4", "-q", "-m", "0", str(self._image))
        folder.mkdir()
        self._mount()
        folder.chmod(0o711)  # the account that runs the database passes through

    def fill(self) -> None:
        """Leave no room, not even for root."""
        with self._ballast.open("wb") as ballast, contextlib.suppress(OSError):
            free = os.statvfs(self.folder)
            os.posix_fallocate(ballast.fileno(), 0, free.f_bavail * free.f_frsize * 9 // 10)
        for piece in (1 << 20, 4096, 1):
            with self._ballast.open("ab", buffering=0) as ballast, contextlib.suppress(OSError):
                while ballast.write(b"\0" * piece) == piece:
                    pass

    def free(self) -> None:
        """Make room again."""
        self._ballast.unlink(missing_ok=True)

    def spoil(self) -> None:
        """Make it read-only at once, open files included, as the kernel does after an error."""
        _run("mount", "-o", "remount,abort", str(self.folder))

    def repair(self, stop: Callable[[], None]) -> None:
        """Check it and mount it anew, as a person or a reboot does.

        Parameters
        ----------
        stop
            Ends whoever has files open here; called until the disk is free.
        """
        deadline = time.monotonic() + REPAIRED_WITHIN_S
        while subprocess.run(["umount", self.folder], check=False, capture_output=True).returncode:
            assert time.monotonic() < deadline, f"somebody holds on to {self.folder}"
            stop()
            time.sleep(0.05)
        # A container that was started meanwhile has it mounted as well, spoiled as it is.
        while _run("losetup", "--associated", str(self._image)):
            assert time.monotonic() < deadline, f"another mount namespace holds {self.folder}"
            time.sleep(0.05)
        # 1: it was mended.
        check = subprocess.run(["e2fsck", "-p", self._image], check=False, capture_output=True)
        assert check.returncode in (0, 1), check.stdout
        self._mount()

    def close(self) -> None:
        """Take it away."""
        subprocess.run(["umount", self.folder], check=True)
        self._image.unlink()

    def _mount(self) -> None:
        _run("mount", "-o", "loop", str(self._image), str(self.folder))


def missing() -> str:
    """Return why no disk can be made here; "" if it can.

    In continuous integration a machine that may mount but has not the programs for it is a
    mistake of ours, and no reason to leave something out.
    """
    if os.geteuid() != 0:
        return "disks can only be made and mounted as root"
    absent = [
        name for name in ("mkfs.ext4", "e2fsck", "mount", "losetup") if shutil.which(name) is None
    ]
    if absent:
        reason = f"{', '.join(absent)} is missing (apt install e2fsprogs mount)"
        if os.environ.get("CI") == "true":
            raise AssertionError(reason)
        return reason
    if not Path("/dev/loop-control").exists():
        return "this container has no loop devices"
    return ""


def _run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
