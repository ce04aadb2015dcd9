"""What embedded services stand on: their processes, locks, memory and disk."""

import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.embedded import remembered
from deploy.embedded.data_dir import DataDir
from deploy.embedded.errors import EmbeddedError
from deploy.embedded.lock import FolderLock, FolderLockedError
from deploy.embedded.process import Process

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def test_a_process_is_more_than_its_number(tmp_path):
    process = Process.spawn(["/bin/sleep", "60"], log_file=tmp_path / "log")
    process.write(tmp_path / "pid")
    assert Process.read(tmp_path / "pid").pid == process.pid
    assert Process.find(process.pid, process.ticks + 1) is None
    assert os.getpgid(process.pid) == process.pid != os.getpgid(0)
    process.send(signal.SIGTERM)
    assert process.wait(60)
    assert process.exit_code == -signal.SIGTERM
    assert Process.read(tmp_path / "pid") is None
    process.send(signal.SIGTERM)  # nobody is hurt


def test_a_lock_ends_with_its_holder_also_when_killed(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from deploy.embedded.lock import FolderLock\n"
        "lock = FolderLock(Path(sys.argv[1]))\n"
        "lock.describe('the holder'); print('held', flush=True)\n"
        "time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE
    ) as holder:
        holder.stdout.readline()
        with pytest.raises(FolderLockedError) as caught:
            FolderLock(tmp_path)
        assert caught.value.holder == "the holder"
        holder.kill()
    FolderLock(tmp_path).release()


def test_what_is_remembered_comes_back_and_is_ours_alone(tmp_path):
    path = tmp_path / "embedded.toml"
    assert remembered.read(path) == {}
    sections = {"nats": {"client_port": 1, "store_dir": '/a "b"/水\\x'}}
    remembered.write(path, sections)
    assert remembered.read(path) == sections
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("[nats")
    with pytest.raises(EmbeddedError, match="cannot be read"):
        remembered.read(path)


@AS_ROOT
def test_a_full_disk_is_a_sentence_before_anything_is_made(small_disk):
    with pytest.raises(EmbeddedError, match="MB left and Mizumori needs 300 MB"):
        DataDir(small_disk / "var").prepare()


def test_a_disk_that_takes_no_writing_is_said_with_its_reason_once(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(EmbeddedError, match=r"cannot be made \(Read-only file system\): mount"):
        DataDir(tmp_path / "var").prepare()
