"""A full disk ends a job with a sentence, not with a puzzle."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import mediaconvert_jobs as jobs
from localaws.media import transfer
from localaws.media.failures import JobCanceled, JobError
from localaws.media.jail import Completed, Ending
from mediaconvert_stack import Stack, running, wait_for
from sample_media import clip


def ended(stderr: str, ending: Ending = Ending.EXITED) -> Completed:
    return Completed(1, ending, b"", True, stderr, 1.0)


def test_a_program_that_finds_no_room() -> None:
    with pytest.raises(JobError, match="disk is full; make room") as raised:
        ended("av_interleaved_write_frame(): No space left on device").check("encoding")
    assert raised.value.code == 1050


def test_a_program_that_fails_otherwise_or_is_canceled() -> None:
    with pytest.raises(JobError, match="encoding failed: it ended with status 1: broken"):
        ended("broken").check("encoding")
    cascade = """[dec:h264 @ 0x7f00] Decoder crashed
[fc#0 @ 0x7f3d9c9ae080] Error sending frames to consumers: Invalid argument
[fc#0 @ 0x7f3d9c9ae080] Task finished with error code: -22 (Invalid argument)
[out#0/mov @ 0x7f3d9c9cd300] Nothing was written into output file, because at least one of its streams ..."""
    with pytest.raises(JobError, match=r"ended with status 1: \[dec:h264\] Decoder crashed$"):
        ended(cascade).check("encoding")
    with pytest.raises(JobError, match="ended with status 1: Conversion failed!"):
        ended("Conversion failed!\n").check("encoding")
    with pytest.raises(JobError, match=r"ended with status 1$"):
        ended(" \n").check("encoding")
    with pytest.raises(JobCanceled):
        ended("", Ending.CANCELED).check("encoding")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES])
def test_a_write_that_fails(number: int) -> None:
    error = transfer.disk_error(OSError(number, "told by the system"))
    assert error.code == 1050
    assert ("make room" in error.message) == (number != errno.EACCES)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A data folder whose jobs work on a disk of 16 MiB."""
    work = tmp_path / "data" / "localaws" / "work"
    work.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(work)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small disk needs the right to mount one")
    yield tmp_path / "data"
    subprocess.run(["umount", "-l", str(work)], check=True)


def test_a_source_that_does_not_fit_is_refused_before_it_is_fetched(small_disk: Path, tmp_path: Path) -> None:
    with running(small_disk) as stack:
        check_refused(stack, clip(tmp_path))


def check_refused(stack: Stack, film: Path) -> None:
    stack.s3.upload_file(str(film), "source", "f.mp4")
    job = stack.submit(jobs.settings(jobs.cmaf(jobs.video("_v")), uri="s3://source/f.mp4"))
    done = stack.finished(job["Id"])
    assert (done["Status"], done["ErrorCode"]) == ("ERROR", 1050)
    assert "MiB left; make room" in done["ErrorMessage"]
    wait_for(lambda: not stack.work(), 5)
