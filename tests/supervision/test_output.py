"""Output of workers: bounded files, nothing lost but what is too old."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from selfheal.supervision.configs import OutputLimits
from selfheal.supervision.output import LOOK_EVERY, LOOK_SOONEST, OutputFile


def made(tmp_path: Path, *, max_bytes: int = 1024, backups: int = 2) -> OutputFile:
    return OutputFile(tmp_path / "w.log", OutputLimits(max_bytes=max_bytes, backups=backups))


def test_below_the_limit_nothing_is_done(tmp_path: Path) -> None:
    """A file that is not full stays one file."""
    output = made(tmp_path)
    fd = output.open()
    os.write(fd, b"a" * 1023)
    output.look(1000.0)
    os.close(fd)

    assert [p.name for p in tmp_path.iterdir()] == ["w.log"]


def test_a_writer_goes_on_at_the_start_after_a_rotation(tmp_path: Path) -> None:
    """Full: copied away and emptied under the writer, who appends and notices nothing; the oldest is dropped."""
    output = made(tmp_path)
    fd = output.open()
    for letter in (b"a", b"b", b"c", b"d"):
        os.write(fd, letter * 1024)
        output.look(1000.0)
    os.write(fd, b"e")
    os.close(fd)

    assert (tmp_path / "w.log").read_bytes() == b"e"
    assert (tmp_path / "w.log.1").read_bytes() == b"d" * 1024
    assert (tmp_path / "w.log.2").read_bytes() == b"c" * 1024
    assert len(list(tmp_path.iterdir())) == 3
    assert output.rotations == 4


def test_of_a_file_far_too_long_the_end_is_kept(tmp_path: Path) -> None:
    """What grew while no supervisor looked is cut to the limit, at its old end."""
    output = made(tmp_path)
    (tmp_path / "w.log").write_bytes(b"old" * 10_000 + b"new" * 100)
    output.look(1000.0)

    kept = (tmp_path / "w.log.1").read_bytes()
    assert len(kept) == 1024
    assert kept.endswith(b"new" * 100)


def test_without_backups_a_full_file_is_emptied(tmp_path: Path) -> None:
    """Zero older files means none."""
    output = made(tmp_path, backups=0)
    (tmp_path / "w.log").write_bytes(b"x" * 2000)
    output.look(1000.0)

    assert [(p.name, p.stat().st_size) for p in tmp_path.iterdir()] == [("w.log", 0)]


def test_the_faster_it_grows_the_sooner_it_is_looked_at(tmp_path: Path) -> None:
    """The next look comes before the file would be full at the present pace, within bounds."""
    output = made(tmp_path, max_bytes=100_000)
    file = tmp_path / "w.log"
    file.write_bytes(b"")
    assert output.look(1000.0) == LOOK_EVERY
    file.write_bytes(b"x" * 100)
    assert output.look(1001.0) == LOOK_EVERY
    file.write_bytes(b"x" * 50_100)
    assert output.look(1002.0) == pytest.approx(0.499, abs=0.001)
    file.write_bytes(b"x" * 99_999)
    assert output.look(1003.0) == LOOK_SOONEST


def test_the_tail_reaches_over_a_rotation(tmp_path: Path) -> None:
    """The last bytes are those last written, though the file was just emptied; bad bytes do no harm."""
    output = made(tmp_path)
    assert output.tail() == ""
    (tmp_path / "w.log.1").write_bytes(b"before\n\xff\n")
    (tmp_path / "w.log").write_bytes(b"after\n")

    assert output.tail(8) == "�\nafter\n"
    assert output.tail(3) == "er\n"


def test_output_that_is_not_kept_leaves_no_file(tmp_path: Path) -> None:
    """Without keeping, there is nothing to write to and nothing to look at."""
    output = OutputFile(tmp_path / "w.log", OutputLimits(keep=False))
    fd = output.open()
    os.write(fd, b"x")
    os.close(fd)

    assert output.look(1000.0) == LOOK_EVERY
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_a_person_removed_is_no_error(tmp_path: Path) -> None:
    """Looking at a file that is gone does nothing."""
    assert made(tmp_path).look(1000.0) == LOOK_EVERY
