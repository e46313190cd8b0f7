"""What is told of backups that are not as they should be."""

from __future__ import annotations

import pytest

from selfheal.backup.watching import BackupLimits, Standing, alerts_of
from selfheal.errors import ConfigError

HOUR = 3600.0
NOW = 1_700_000_000.0
WELL = Standing(store="/b", newest=NOW - HOUR, proven=NOW - HOUR, copied={"elsewhere": NOW - HOUR})


def kinds(standing: Standing, *, since: float = NOW - 1000 * HOUR) -> list[str]:
    """The kinds of what is told."""
    return [alert.kind for alert in alerts_of(standing, BackupLimits(), NOW, since).values()]


def test_nothing_is_told_while_all_is_well() -> None:
    """A fresh backup, proven, and copied."""
    assert kinds(WELL) == []


@pytest.mark.parametrize(
    ("standing", "kind"),
    [
        (Standing(store="/b", newest=NOW - 27 * HOUR, proven=NOW), "backup_overdue"),
        (Standing(store="/b", newest=NOW, proven=NOW - 51 * HOUR), "verification_overdue"),
        (Standing(store="/b", newest=NOW, proven=NOW, failed="the disk is full"), "backup_failed"),
        (Standing(store="/b", newest=NOW, proven=NOW, damaged="backup x is damaged: 1 corrupt"), "backup_damaged"),
        (Standing(store="/b", newest=NOW, proven=NOW, copied={"far": NOW - 51 * HOUR}), "replication_overdue"),
        (Standing(store="/b", unreadable="gone"), "backup_failed"),
    ],
)
def test_each_thing_that_is_wrong_is_one_alert(standing: Standing, kind: str) -> None:
    """Of its kind, critical, about the store or the place."""
    [alert] = alerts_of(standing, BackupLimits(), NOW, NOW - 1000 * HOUR).values()
    assert (alert.kind, alert.severity.value, alert.labels["store"]) == (kind, "critical", "/b")
    assert alert.target == ("far" if kind.startswith("replication") else "/b")


def test_limits_are_met_at_the_moment_itself() -> None:
    """Just as old as it may be is not too old."""
    at_the_limit = Standing(store="/b", newest=NOW - 26 * HOUR, proven=NOW - 50 * HOUR)
    assert kinds(at_the_limit) == []


def test_what_never_was_is_overdue_only_after_its_time() -> None:
    """A host that has just been set up is not told that a backup is missing since 1970."""
    nothing = Standing(store="/b", copied={"far": None})
    assert kinds(nothing, since=NOW - 25 * HOUR) == []
    assert kinds(nothing, since=NOW - 27 * HOUR) == ["backup_overdue"]
    assert kinds(nothing, since=NOW - 51 * HOUR) == ["backup_overdue", "verification_overdue", "replication_overdue"]
    [first, *_] = alerts_of(nothing, BackupLimits(), NOW, NOW - 51 * HOUR).values()
    assert "never" in first.message


def test_two_places_are_told_apart() -> None:
    """Each is a problem of its own, which can end by itself."""
    both = Standing(store="/b", newest=NOW, proven=NOW, copied={"a": NOW, "b": NOW}, copy_failed={"a": "no", "b": "no"})
    assert len(alerts_of(both, BackupLimits(), NOW, NOW)) == 2


def test_a_limit_of_no_time_is_refused() -> None:
    """The error names the field."""
    with pytest.raises(ConfigError, match="BackupLimits.backup_within"):
        BackupLimits(backup_within=0)
