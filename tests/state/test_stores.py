"""Tests that every store passes, and those of the file."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import selfheal
from selfheal.errors import ConfigError, StateError
from selfheal.state import MemoryStore, SQLiteStore, Store

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Each of the stores in turn."""
    return MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "state.sqlite")


def test_a_record_is_kept_replaced_and_forgotten(store: Store) -> None:
    """What was put is got, the last one counts, and a deleted one is gone."""
    assert store.get("a") is None
    store.put("a", {"n": 1})
    store.put("b", {"n": 2})
    store.put("a", {"n": 3, "deep": {"list": [1, None, True, "é"]}})

    assert store.get("a") == {"n": 3, "deep": {"list": [1, None, True, "é"]}}
    store.delete("a")
    store.delete("a")
    assert (store.get("a"), store.get("b")) == (None, {"n": 2})


def test_deleting_from_an_empty_store_does_nothing(store: Store) -> None:
    """There is nothing to forget and that is no error."""
    store.delete("a")

    assert store.get("a") is None


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(key=st.text(alphabet=st.characters(codec="utf-8")), record=st.dictionaries(st.text(), JSON, max_size=3))
def test_any_json_object_reads_back(store: Store, key: str, record: dict[str, Any]) -> None:
    """Every JSON object comes back equal, under any key."""
    store.put(key, record)

    assert store.get(key) == record


def test_copies_go_in_and_out(store: Store) -> None:
    """Changing a record after it was put, or after it was got, changes nothing in the store."""
    record: dict[str, Any] = {"list": [1]}
    store.put("a", record)
    record["list"].append(2)
    got = store.get("a")
    assert got is not None
    got["list"].append(3)

    assert store.get("a") == {"list": [1]}


@pytest.mark.parametrize("value", [float("nan"), object(), {1, 2}, (1, 2), {1: "x"}, b"x"])
def test_what_json_has_not_is_refused(store: Store, value: Any) -> None:
    """A record that would not read back as it was is refused, and the old one stays."""
    store.put("a", {"old": 1})
    with pytest.raises(StateError, match="record 'a'"):
        store.put("a", {"value": value})

    assert store.get("a") == {"old": 1}


def test_records_survive_the_object(tmp_path: Path) -> None:
    """Another store on the same file has the records."""
    SQLiteStore(tmp_path / "s").put("a", {"n": 1})

    assert SQLiteStore(str(tmp_path / "s")).get("a") == {"n": 1}


def test_reading_makes_no_file(tmp_path: Path) -> None:
    """Only a write makes the file."""
    store = SQLiteStore(tmp_path / "s")
    store.get("a")
    store.delete("a")

    assert list(tmp_path.iterdir()) == []


def test_the_file_is_write_ahead_and_leaves_no_connection(tmp_path: Path) -> None:
    """The file is in write-ahead mode and nothing stays open between calls."""
    store = SQLiteStore(tmp_path / "s")
    store.put("a", {})
    with open(tmp_path / "s", "rb") as file:
        header = file.read(20)

    assert (header[18], header[19]) == (2, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s"]


def spoil_text(path: Path) -> None:
    """Store something that is no JSON."""
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE records SET record = '{half'")
    connection.close()


def spoil_kind(path: Path) -> None:
    """Store JSON that is no object."""
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE records SET record = '[1]'")
    connection.close()


def spoil_blob(path: Path) -> None:
    """Store bytes that are no text."""
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE records SET record = x'ff00'")
    connection.close()


def spoil_bad_utf8(path: Path) -> None:
    """Store text that is not UTF-8."""
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE records SET record = CAST(x'7bff' AS TEXT)")
    connection.close()


def spoil_file(path: Path) -> None:
    """Overwrite the file with something else."""
    path.write_bytes(b"not a database, " * 100)


def spoil_pages(path: Path) -> None:
    """Damage the pages behind a good header."""
    data = path.read_bytes()
    path.write_bytes(data[:100] + b"\xff" * (len(data) - 100))


def spoil_directory(path: Path) -> None:
    """Put a directory in the place of the file."""
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "spoil", [spoil_text, spoil_kind, spoil_blob, spoil_bad_utf8, spoil_file, spoil_pages, spoil_directory]
)
def test_a_damaged_record_or_file_is_an_error(tmp_path: Path, spoil: Any) -> None:
    """Damage is told as a StateError that names file and record, never read as an empty store."""
    path = tmp_path / "s"
    SQLiteStore(path).put("a", {"n": 1})
    spoil(path)

    with pytest.raises(StateError, match="record 'a' in .*s:") as caught:
        SQLiteStore(path).get("a")
    assert caught.value.key == "a"


def test_a_damaged_record_can_be_replaced(tmp_path: Path) -> None:
    """Where only the record is damaged, a write puts it in order."""
    path = tmp_path / "s"
    store = SQLiteStore(path)
    store.put("a", {"n": 1})
    spoil_text(path)
    store.put("a", {"n": 2})

    assert store.get("a") == {"n": 2}


def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    """A directory that is not there (a volume not mounted) is no empty store."""
    store = SQLiteStore(tmp_path / "gone" / "s")

    with pytest.raises(StateError, match="directory"):
        store.get("a")
    with pytest.raises(StateError):
        store.put("a", {})
    with pytest.raises(StateError, match="directory"):
        store.delete("a")


def test_a_half_made_file_is_an_empty_store(tmp_path: Path) -> None:
    """A file in which nothing was written yet has no records and takes them."""
    path = tmp_path / "s"
    path.touch()
    store = SQLiteStore(path)

    assert store.get("a") is None
    store.put("a", {"n": 1})
    assert store.get("a") == {"n": 1}


@pytest.mark.parametrize("path", ["", " ", ":memory:"])
def test_a_path_that_is_no_file_is_refused(path: str) -> None:
    """A store that would forget everything at once is refused."""
    with pytest.raises(ConfigError, match="SQLiteStore.path"):
        SQLiteStore(path)


def test_many_threads_write_at_once(tmp_path: Path) -> None:
    """Threads writing at once, from the first moment of the file, lose nothing."""
    store, failed = SQLiteStore(tmp_path / "s"), []
    barrier = threading.Barrier(6)

    def write(who: int) -> None:
        barrier.wait()
        try:
            for n in range(10):
                store.put(f"{who}-{n}", {"n": n})
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(who,)) for who in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []
    assert all(store.get(f"{who}-{n}") == {"n": n} for who in range(6) for n in range(10))


def test_many_processes_write_at_once(tmp_path: Path) -> None:
    """Processes that make the file and write to it at the same time lose nothing."""
    code = (
        "import sys\n"
        "from selfheal.state import SQLiteStore\n"
        "store = SQLiteStore(sys.argv[1])\n"
        "sys.stdin.read(1)\n"
        "for n in range(10): store.put(f'{sys.argv[2]}-{n}', {'n': n})\n"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(selfheal.__file__).parents[1])}
    path = str(tmp_path / "s")
    started = [
        subprocess.Popen([sys.executable, "-c", code, path, str(who)], stdin=subprocess.PIPE, env=env)
        for who in range(4)
    ]
    for process in started:
        process.communicate(b"x", timeout=60)

    assert [process.returncode for process in started] == [0] * 4
    store = SQLiteStore(path)
    assert all(store.get(f"{who}-{n}") == {"n": n} for who in range(4) for n in range(10))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_parent_and_forked_child_share_the_file(tmp_path: Path) -> None:
    """After a fork both processes read and write the same records."""
    store = SQLiteStore(tmp_path / "s")
    store.put("a", {"by": "parent"})
    child = os.fork()
    if child == 0:
        seen = store.get("a")
        store.put("b", {"saw": json.dumps(seen)})
        os._exit(0)
    os.waitpid(child, 0)

    assert store.get("b") == {"saw": '{"by": "parent"}'}
