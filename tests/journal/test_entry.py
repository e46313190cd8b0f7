"""A line of the journal: what it says, and that not one byte of it can change unseen."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.journal import Entry
from selfheal.journal.entry import decode, line_of, salvage, timestamp_of, to_json

LINE = line_of(7, 1_700_000_000.25, "action_done", to_json({"run": "r1", "receipt": {"freed": 10}})).rstrip(b"\n")
ENTRY = Entry(7, 1_700_000_000.25, "action_done", {"run": "r1", "receipt": {"freed": 10}})


def test_a_line_reads_back() -> None:
    """A line is its entry, in ASCII, and JSON of itself."""
    assert decode(LINE) == ENTRY
    assert list(json.loads(LINE)) == ["v", "seq", "timestamp", "at", "type", "run", "receipt", "crc"]
    assert ENTRY.as_dict() == {key: value for key, value in json.loads(LINE).items() if key != "crc"}


def test_an_entry_without_fields_is_a_line() -> None:
    """No fields are no fields."""
    assert decode(line_of(1, 1.0, "x", "{}").rstrip(b"\n")) == Entry(1, 1.0, "x", {})


@given(st.integers(0, len(LINE) - 1), st.integers(1, 255))
def test_any_changed_byte_is_seen(place: int, change: int) -> None:
    """A line with one byte changed, wherever, is no entry."""
    damaged = bytearray(LINE)
    damaged[place] ^= change

    assert decode(bytes(damaged)) is None


@given(st.integers(0, len(LINE) - 1), st.integers(1, 60))
def test_any_missing_bytes_are_seen(place: int, length: int) -> None:
    """A line from which bytes are missing is no entry."""
    assert decode(LINE[:place] + LINE[place + length :]) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[1",
        b'{"v":2,"seq":1,"timestamp":"","at":1.0,"type":"x"',
        b'{"v":1,"seq":"1","timestamp":"","at":1.0,"type":"x"',
        b'{"v":1,"seq":true,"timestamp":"","at":1.0,"type":"x"',
        b'{"v":1,"seq":1,"timestamp":"","at":1,"type":"x"',
        b'{"v":1,"seq":1,"timestamp":"","at":1.0,"type":null',
        b'{"v":1,"seq":1,"at":1.0,"type":"x"',
        b'{"v":1,"x":' + b"[" * 100_000,
    ],
)
def test_what_is_whole_but_no_entry(body: bytes) -> None:
    """A line whose checksum is right, but which is of another version or shape, is no entry either."""
    import zlib

    assert decode(b'%b,"crc":"%08x"}' % (body, zlib.crc32(body))) is None


@given(st.binary(max_size=200), st.binary(max_size=200), st.binary(max_size=200))
def test_whole_lines_are_found_among_damage(before: bytes, between: bytes, after: bytes) -> None:
    """Two lines that stand in damaged bytes without their ends are both found."""
    damaged = (before + LINE + between + LINE + after).replace(b"\n", b"?")

    assert list(salvage(damaged)) == [ENTRY, ENTRY]


def test_a_torn_line_before_a_whole_one() -> None:
    """The beginning of a line does not hide the whole one that follows it."""
    assert list(salvage(LINE[:40] + LINE)) == [ENTRY]
    assert list(salvage(LINE[40:] + LINE)) == [ENTRY]


def test_lines_that_quote_lines() -> None:
    """Entries with what looks like an entry in a field are found whole, be it that their line ends are lost."""
    quoting = {"said": {"v": 1, "seq": 3, "type": "x"}, "again": [{"v": 1, "seq": 4}]}
    line = line_of(8, 1.0, "verified", to_json(quoting)).rstrip(b"\n")

    assert list(salvage(b"??" + line + b"?" + line)) == [Entry(8, 1.0, "verified", quoting)] * 2


def test_salvage_of_anything_ends_soon() -> None:
    """Bytes made to mislead cost no more than others."""
    assert list(salvage(b'{"v":1,"seq":' * 20_000)) == []
    assert list(salvage(b'{"v":1,"seq":,"crc":"00000000"}' * 8_000)) == []


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_700_000_000.9999, "2023-11-14T22:13:20.999Z"),
        (-0.25, "1969-12-31T23:59:59.750Z"),
        (1_700_000_000.0, "2023-11-14T22:13:20.000Z"),
        (-60_000_000_000.0, "0068-09-03T13:20:00.000Z"),
    ],
)
def test_timestamps(at: float, text: str) -> None:
    """A time is text in UTC, cut to milliseconds and never later than it was."""
    assert timestamp_of(at) == text


def test_timestamps_one_after_the_other() -> None:
    """Each time is its own text, however close to the one before, forwards and back."""
    times = [1000.0, 1000.5, 1001.0, 1003.25, 1002.0, 999.999]
    said = ["16:40.000", "16:40.500", "16:41.000", "16:43.250", "16:42.000", "16:39.999"]

    assert [timestamp_of(at)[14:-1] for at in times] == said


@pytest.mark.parametrize("at", [math.nan, math.inf, 1e300])
def test_no_timestamp(at: float) -> None:
    """What is no date is refused."""
    with pytest.raises((ValueError, OverflowError)):
        timestamp_of(at)
