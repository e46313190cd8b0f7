"""Approvals: asked once, given by a person, used once, never by time."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfheal.configuring import structure
from selfheal.errors import ApprovalClosedError, ConfigError, GuardFullError, InvalidConfigError, NotFoundError
from selfheal.policies.approvals import Approval, Approvals, ApprovalsConfig, ApprovalState

T0 = 1_700_000_000.0
SAID: dict[str, Any] = {"by": "maria", "reason": "it is night"}


def made(**options: Any) -> Approvals:
    """Approvals whose ids are a1, a2 …"""
    numbers = itertools.count(1)
    return Approvals(new_id=lambda: f"a{next(numbers)}", **options)


def ask(approvals: Approvals, wall: float = T0, target: str = "web", **more: Any) -> Approval:
    """Ask for the critical level on a target."""
    return approvals.request("memory", target, "critical", wall, **more)


def test_one_question_is_asked_once() -> None:
    """Asking again gives the same request; another target or level is another question."""
    approvals = made()
    first = ask(approvals, run="r1", why="stop optional work")

    assert ask(approvals, T0 + 60, run="r2") == first
    assert (first.id, first.state, first.expires_at, first.run) == ("a1", "pending", T0 + 3600, "r1")
    assert ask(approvals, target="db").id == "a2"
    assert approvals.request("memory", "web", "hard", T0).id == "a3"


def test_an_approval_allows_one_healing() -> None:
    """Pending it allows nothing; approved it is used once; then it is asked anew."""
    approvals = made()
    ask(approvals)
    assert not approvals.use("a1", T0)
    approved = approvals.approve("a1", T0 + 10, **SAID)

    assert (approved.state, approved.by, approved.reason) == ("approved", "maria", "it is night")
    assert ask(approvals, T0 + 20) == approved
    assert [approvals.use("a1", T0 + 30), approvals.use("a1", T0 + 31)] == [True, False]
    assert ask(approvals, T0 + 40).id == "a2"
    assert [one.state for one in approvals.snapshot(T0 + 40).closed] == ["used"]


def test_a_denial_stands_until_it_expires() -> None:
    """What was denied is neither used nor asked again before its time is over."""
    approvals = made()
    ask(approvals)
    denied = approvals.deny("a1", T0 + 10, **SAID)

    assert ask(approvals, T0 + 3599) == denied
    assert not approvals.use("a1", T0 + 3599)
    assert not approvals.withdraw("a1", T0 + 3599)
    assert ask(approvals, T0 + 3600).id == "a2"


def test_an_approval_may_be_taken_back() -> None:
    """Until it is used, a person may deny what was approved."""
    approvals = made()
    ask(approvals)
    approvals.approve("a1", T0, **SAID)

    assert approvals.deny("a1", T0 + 1, by="jon", reason="no").state is ApprovalState.DENIED
    assert not approvals.use("a1", T0 + 2)


def test_time_approves_nothing() -> None:
    """What nobody decided expires, is told once, and cannot be approved late."""
    approvals = made()
    ask(approvals)
    ask(approvals, T0 + 100, target="db")
    assert [one.id for one in approvals.expire(T0 + 3600)] == ["a1"]

    assert approvals.expire(T0 + 3600) == ()
    with pytest.raises(ApprovalClosedError, match="'a1' is expired"):
        approvals.approve("a1", T0 + 3601, **SAID)
    assert approvals.find("memory", "web", "critical", T0 + 3601) is None
    assert approvals.find("memory", "db", "critical", T0 + 3601) is not None


def test_an_approval_that_is_too_old_is_not_used() -> None:
    """Approved in time and begun too late is not approved."""
    approvals = made()
    ask(approvals)
    approvals.approve("a1", T0 + 3599, **SAID)

    assert not approvals.use("a1", T0 + 3600)


def test_a_clock_set_back_prolongs_nothing() -> None:
    """Within a process an approval holds for the time that passes, whatever the wall clock says."""
    approvals = made()
    ask(approvals, now=1000.0)
    approvals.approve("a1", T0, now=1001.0, **SAID)

    assert not approvals.use("a1", T0 - 9000, now=4600.0)


def test_a_clock_set_forward_ends_it_too() -> None:
    """An approval given until a time of the wall clock does not hold when it shows that time."""
    approvals = made()
    ask(approvals, now=1000.0)
    approvals.approve("a1", T0, now=1001.0, **SAID)

    assert not approvals.use("a1", T0 + 3600, now=1002.0)


def test_the_problem_may_go_away() -> None:
    """A withdrawn request is closed and can be decided no more."""
    approvals = made()
    ask(approvals)

    assert approvals.withdraw("a1", T0 + 1)
    assert not approvals.withdraw("a1", T0 + 1)
    with pytest.raises(ApprovalClosedError, match="withdrawn"):
        approvals.deny("a1", T0 + 2, **SAID)


@pytest.mark.parametrize("call", ["approve", "deny"])
def test_a_person_gives_name_and_reason(call: str) -> None:
    """Without both nothing is decided; an unknown id is told with those there are."""
    approvals = made()
    ask(approvals)
    for said in ({"by": "", "reason": "r"}, {"by": "b", "reason": " "}):
        with pytest.raises(ConfigError, match="not blank"):
            getattr(approvals, call)("a1", T0, **said)
    with pytest.raises(NotFoundError, match="no approval is named 'a9'. There are: a1"):
        getattr(approvals, call)("a9", T0, **SAID)
    assert approvals.snapshot(T0).open[0].state is ApprovalState.PENDING


def test_no_decision_is_taken_twice() -> None:
    """What is approved or denied is not approved again."""
    approvals = made()
    ask(approvals)
    approvals.approve("a1", T0, **SAID)
    with pytest.raises(ApprovalClosedError, match="approved"):
        approvals.approve("a1", T0, **SAID)
    approvals.deny("a1", T0, **SAID)
    with pytest.raises(ApprovalClosedError, match="denied"):
        approvals.approve("a1", T0, **SAID)


def test_there_are_no_more_than_the_limit() -> None:
    """One question too many is an error until another is over; history is bounded too."""
    approvals = made(limit=2, history=1, ttl=60.0)
    ask(approvals, target="a")
    ask(approvals, target="b")
    with pytest.raises(GuardFullError, match="2 of at most 2 approvals"):
        ask(approvals, target="c")

    ask(approvals, T0 + 60, target="c")
    snapshot = approvals.snapshot(T0 + 60)
    assert (len(snapshot.open), len(snapshot.closed), snapshot.limit) == (1, 1, 2)


def test_a_restart_keeps_what_was_said_as_plain_data() -> None:
    """Through JSON and back, approvals and denials hold until their time, and none longer than allowed."""
    approvals = made()
    ask(approvals)
    approvals.approve("a1", T0, **SAID)
    ask(approvals, target="db")
    approvals.deny("a2", T0, **SAID)
    data = json.loads(json.dumps([one.as_data() for one in approvals.snapshot(T0).open]))
    data.append({**data[0], "id": "a3", "target": "far", "expires_at": T0 + 1e9})
    data.append({**data[0], "id": "a4", "target": "old", "expires_at": T0})
    data.append({**data[0], "id": "a5", "target": "used", "state": "used"})
    data.append({**data[0], "id": "a6"})

    again = made()
    assert again.restore([structure(one, Approval) for one in data], T0 + 100) == 3
    assert again.use("a1", T0 + 100)
    assert not again.use("a2", T0 + 100)
    assert not again.use("a6", T0 + 100)
    assert again.use("a3", T0 + 3699)


def test_the_limits_come_from_a_file_too() -> None:
    """Plain data makes the same limits; what is wrong is told with its path."""
    assert structure({"ttl": 600}, ApprovalsConfig).ttl == 600.0
    with pytest.raises(InvalidConfigError, match=r"approvals\.ttl must be between 60.0 and 604800.0 s"):
        structure({"ttl": 1}, ApprovalsConfig, "approvals")


CALL = st.tuples(
    st.sampled_from(["request", "approve", "deny", "use", "withdraw"]), st.sampled_from("xy"), st.integers(0, 40)
)


@settings(max_examples=300, deadline=None)
@given(st.lists(CALL, max_size=50))
def test_it_is_one_word_for_each_question(calls: list[tuple[str, str, int]]) -> None:
    """For any calls each question has the state of a plain table that forgets what is a minute old."""
    approvals = made(ttl=60.0)
    table: dict[str, tuple[str, float, str]] = {}
    wall = T0
    for call, target, passed in calls:
        wall += passed
        table = {name: one for name, one in table.items() if one[1] > wall}
        state, end, id = table.get(target, ("none", 0.0, ""))
        if call == "request":
            found = ask(approvals, wall, target)
            table[target] = (state, end, id) if state != "none" else ("pending", wall + 60, found.id)
            assert found.id == table[target][2]
        elif state == "none":
            assert not approvals.use(id, wall)
        elif call in ("approve", "deny"):
            allowed = state == "pending" or (call == "deny" and state == "approved")
            try:
                getattr(approvals, call)(id, wall, **SAID)
            except ApprovalClosedError:
                assert not allowed
            else:
                assert allowed
                table[target] = ("approved" if call == "approve" else "denied", end, id)
        else:
            done = getattr(approvals, call)(id, wall)
            assert done is (state == "approved" if call == "use" else state != "denied")
            if done:
                del table[target]
        assert {one.target: one.state.value for one in approvals.snapshot(wall).open} == {
            name: one[0] for name, one in table.items()
        }


def test_no_more_are_restored_than_may_be() -> None:
    """Of more approvals than the limit the first are taken; what is just over is not."""
    approvals = made()
    asked = [ask(approvals, T0 + number, target=f"t{number}") for number in range(4)]

    again = made(limit=2)
    assert again.restore(asked, T0 + 3600) == 2
    assert [one.id for one in again.snapshot(T0 + 3600).open] == ["a2", "a3"]
    assert made().restore(asked, T0 + 3600) == 3
