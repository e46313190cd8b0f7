"""The state of a section before and after, and what differs."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from selfheal.backup.restoring import StateDiff, TreeState, diff_states, tree_state
from selfheal.backup.restoring.comparing import Mark, diff_values, manifest_state
from tests.backup.restoring.made import copy, grown, listed


def test_the_state_of_a_tree(tmp_path: Path) -> None:
    """Types, sizes, digests, targets of links and modes, by path; what is neither is told as other."""
    root = grown(tmp_path / "root", {"a": "abc", "d/e": ""})
    (root / "link").symlink_to("/nowhere")
    os.mkfifo(root / "pipe")
    (root / "a").chmod(0o4755)
    state = tree_state(root)
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert state.marks["a"] == Mark("file", 3, digest, 0o755)
    assert state.marks["link"] == Mark("link", 0, "/nowhere")
    assert state.marks["pipe"].type == "other"
    assert (state.marks["d"].type, state.files, state.bytes, state.unread) == ("dir", 2, 3, ())
    assert tree_state(root, hashes=False).marks["a"].content == ""


def test_the_state_of_a_file_and_of_nothing(tmp_path: Path) -> None:
    """A file is the one name in its state; where there is nothing, nothing is."""
    (tmp_path / "f").write_text("abc")
    assert list(tree_state(tmp_path / "f").marks) == ["f"]
    assert tree_state(tmp_path / "none") == TreeState({})


def test_a_manifest_tells_the_state_that_comes_of_it(tmp_path: Path) -> None:
    """What a manifest tells is what a look at the tree tells; a single file may have another name now."""
    root = grown(tmp_path / "root", {"a": "abc", "d/e": ""})
    (root / "link").symlink_to("a")
    copy(root, tmp_path / "data")
    section = listed("data", root, tmp_path / "data")
    for hashes in (True, False):
        assert manifest_state(section, hashes=hashes) == tree_state(root, hashes=hashes)
    copy(root / "a", tmp_path / "one")
    one = listed("a", root / "a", tmp_path / "one")
    assert list(manifest_state(one, name="other").marks) == ["other"]


MARKS = st.dictionaries(
    st.sampled_from("abcdef"), st.builds(Mark, st.sampled_from(["file", "dir"]), st.integers(0, 3)), max_size=6
)


@given(MARKS, MARKS)
def test_differences_are_complete(before: dict[str, Mark], after: dict[str, Mark]) -> None:
    """Each path is in exactly one of the lists or the same, and changing by them leads from one to the other."""
    diff = diff_states(TreeState(before), TreeState(after))
    assert len(diff.added) + len(diff.removed) + len(diff.changed) + diff.same == len({*before, *after})
    made = {path: mark for path, mark in before.items() if path not in diff.removed}
    made |= {path: after[path] for path in (*diff.added, *diff.changed)}
    assert made == after
    assert diff.is_empty == (before == after)


def test_what_cannot_be_looked_at_is_no_sameness() -> None:
    """A path that could not be compared keeps a difference from being empty."""
    assert StateDiff(same=5).is_empty
    assert not diff_states(TreeState({}, ("secret",)), TreeState({})).is_empty


def test_answers_of_a_host() -> None:
    """Each value that differs is a line, however deep; answers of another kind are one."""
    before = {"orders": 812, "schema": {"version": 4, "tables": ["a"]}, "gone": 1}
    after = {"orders": 790, "schema": {"version": 4, "tables": ["a", "b"]}, "new": 2}
    assert diff_values(before, after) == [
        "gone: 1 -> None",
        "new: None -> 2",
        "orders: 812 -> 790",
        "schema.tables: ['a'] -> ['a', 'b']",
    ]
    assert diff_values(5, 5) == []
    assert diff_values({"a": 1}, "no answer") == ["value: {'a': 1} -> 'no answer'"]
