"""The key pool reads live, counts, rotates, and keeps its secrets."""

from pathlib import Path

import pytest

from examples.reference_app.keys import VARIABLE, ApiKey, KeyCounts, KeyPool, NoActiveKeysError


def write(directory: Path, *keys: str, name: str = ".env.local") -> None:
    (directory / name).write_text(f"# keys\n{VARIABLE}={','.join(keys)}\n")


def test_no_file_means_no_keys(tmp_path: Path) -> None:
    """Without any source the pool is empty, and asking for a key says so in words a breaker knows."""
    pool = KeyPool(tmp_path, {})

    assert pool.counts() == KeyCounts(total=0, active=0, failed=0)
    with pytest.raises(NoActiveKeysError, match="no active api keys: 0 configured, 0 refused"):
        pool.need_active()


def test_an_edit_is_seen_at_once(tmp_path: Path) -> None:
    """Keys added, removed and put back in the file count at the next question."""
    pool = KeyPool(tmp_path, {})
    write(tmp_path, "one", "two")
    assert pool.counts().total == 2
    write(tmp_path)
    assert pool.counts().total == 0
    write(tmp_path, "two")
    assert pool.all() == (ApiKey("two"),)


def test_sources_in_order(tmp_path: Path) -> None:
    """The environment wins over .env.local, which wins over .env."""
    write(tmp_path, "from-env", name=".env")
    assert KeyPool(tmp_path, {}).all() == (ApiKey("from-env"),)
    write(tmp_path, "from-local")
    assert KeyPool(tmp_path, {}).all() == (ApiKey("from-local"),)
    assert KeyPool(tmp_path, {VARIABLE: "from-environment"}).all() == (ApiKey("from-environment"),)


def test_blanks_and_doubles_do_not_count(tmp_path: Path) -> None:
    """A key is counted once; empty places between commas are no keys."""
    assert KeyPool(tmp_path, {VARIABLE: " a, ,b,a,"}).all() == (ApiKey("a"), ApiKey("b"))


def test_a_refused_key_is_failed_until_it_is_accepted_again(tmp_path: Path) -> None:
    """Counts follow what the provider said of each key."""
    pool = KeyPool(tmp_path, {VARIABLE: "a,b"})
    pool.mark(ApiKey("a"), accepted=False)
    assert pool.counts() == KeyCounts(total=2, active=1, failed=1)
    assert pool.active() == (ApiKey("b"),)
    assert pool.refused() == (ApiKey("a"),)

    pool.mark(ApiKey("a"), accepted=True)

    assert pool.counts() == KeyCounts(total=2, active=2, failed=0)


def test_all_refused_is_none_active(tmp_path: Path) -> None:
    """When every key was refused there is none to call with, and the error counts them."""
    pool = KeyPool(tmp_path, {VARIABLE: "a"})
    pool.mark(ApiKey("a"), accepted=False)

    with pytest.raises(NoActiveKeysError, match="1 configured, 1 refused"):
        pool.need_active()


def test_a_removed_key_is_forgotten(tmp_path: Path) -> None:
    """A failed key that is configured no more counts nowhere."""
    write(tmp_path, "bad", "good")
    pool = KeyPool(tmp_path, {})
    pool.mark(ApiKey("bad"), accepted=False)
    write(tmp_path, "good")

    assert pool.counts() == KeyCounts(total=1, active=1, failed=0)


def test_keys_take_turns(tmp_path: Path) -> None:
    """Each call begins with another key, and each is asked all the same."""
    pool = KeyPool(tmp_path, {VARIABLE: "a,b"})

    firsts = [pool.active()[0].secret for _ in range(4)]

    assert firsts == ["a", "b", "a", "b"]
    assert set(pool.active()) == {ApiKey("a"), ApiKey("b")}


def test_a_file_that_cannot_be_read_holds_no_keys(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Unreadable is empty, and the log says which file."""
    (tmp_path / ".env.local").write_bytes(b"\xff\xfe\x00" + VARIABLE.encode())

    assert KeyPool(tmp_path, {}).counts().total == 0
    assert ".env.local cannot be read" in caplog.text


def test_no_text_shows_a_key(tmp_path: Path) -> None:
    """Neither a key's repr nor an error about keys holds the secret."""
    pool = KeyPool(tmp_path, {VARIABLE: "s3cret-one"})
    pool.mark(ApiKey("s3cret-one"), accepted=False)
    with pytest.raises(NoActiveKeysError) as raised:
        pool.need_active()

    shown = f"{pool.all()!r} {raised.value} {raised.value!r} {pool.counts()!r} {pool!r}"

    assert "s3cret" not in shown
