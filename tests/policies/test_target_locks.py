"""Target locks: all or none, never two owners, nobody waits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.configuring import structure
from selfheal.errors import ConfigError, InvalidConfigError
from selfheal.policies.target_locks import TargetLocks, TargetLocksConfig


def test_all_or_none() -> None:
    """With one target taken, none of the others asked for with it is had."""
    locks = TargetLocks()
    assert locks.acquire(["b"], "one")

    assert not locks.acquire(["a", "b", "c"], "two")
    assert locks.holders == {"b": "one"}
    assert locks.blockers(["c", "b", "a"], "two") == {"b": "one"}
    assert locks.snapshot().refused == 1


def test_what_one_has_counts_as_free_for_it() -> None:
    """An owner asks for more, and for the same again, while it holds some."""
    locks = TargetLocks()

    assert locks.acquire(["a"], "one")
    assert locks.acquire(["a", "b"], "one")
    assert locks.release("one") == ("a", "b")


def test_release_frees_the_owners_alone() -> None:
    """Giving back names what is free now; what is somebody else's stays."""
    locks = TargetLocks()
    locks.acquire(["a", "b", "c"], "one")
    locks.acquire(["d"], "two")

    assert locks.release("one", ["d", "b"]) == ("b",)
    assert locks.release("two") == ("d",)
    assert locks.release("two") == ()
    assert locks.holders == {"a": "one", "c": "one"}
    locks.clear()
    assert locks.holders == {}


def test_no_target_is_always_had_and_a_text_is_no_list() -> None:
    """Nothing to lock is no obstacle; one text would be a list of letters."""
    locks = TargetLocks()
    assert locks.acquire([], "one")
    with pytest.raises(ConfigError, match="not one text"):
        locks.acquire("web", "one")


def test_room_is_bounded() -> None:
    """Beyond the limit nobody gets more, and those who hold some keep them."""
    locks = TargetLocks(structure({"max_targets": 2}, TargetLocksConfig))
    assert locks.acquire(["a", "b"], "one")

    assert not locks.acquire(["c"], "two")
    assert locks.acquire(["a"], "one")
    locks.release("one", ["a"])
    assert locks.acquire(["c"], "two")
    with pytest.raises(InvalidConfigError, match="between 1 and 1000000"):
        structure({"max_targets": 0}, TargetLocksConfig)


OWNER, TARGETS = st.sampled_from("XYZ"), st.frozensets(st.sampled_from("abcd"))
CALLS = st.lists(st.tuples(st.sampled_from(["acquire", "release", "some"]), OWNER, TARGETS), max_size=50)


@given(CALLS)
def test_it_is_a_table_of_one_owner_each(calls: list[tuple[str, Any, frozenset[str]]]) -> None:
    """For any calls it does what a plain table does that is changed only when nothing is in the way."""
    locks = TargetLocks()
    table: dict[str, str] = {}
    for call, owner, targets in calls:
        if call == "acquire":
            free = all(table.get(target, owner) == owner for target in targets)
            assert locks.acquire(targets, owner) is free
            if free:
                table.update(dict.fromkeys(targets, owner))
        else:
            asked = set(table) if call == "release" else targets
            freed = sorted(target for target in asked if table.get(target) == owner)
            assert list(locks.release(owner, None if call == "release" else targets)) == freed
            table = {target: holder for target, holder in table.items() if target not in freed}
        assert locks.holders == dict(sorted(table.items()))
