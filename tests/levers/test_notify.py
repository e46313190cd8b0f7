"""Telling people: what is told, by which ways, and what is held back."""

from __future__ import annotations

import io
import json
import logging
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.errors import ConfigError, NotifyError
from selfheal.events import Alert, AlertCleared, DormancyEntered, EventBus, NotificationFailed, Severity
from selfheal.levers import (
    ConsoleNotifier,
    FileNotifier,
    LogNotifier,
    Notification,
    Notifiers,
    WebhookNotifier,
)
from selfheal.levers.notify_gate import Gate, NotifiersConfig
from selfheal.testing import FakeClock

FULL = Notification(title="disk full", body="98 %", severity="critical", at=5.0, labels={"host": "a"})


ANYTHING: Any = 5


class Recording:
    """A notifier of the host."""

    def __init__(self, fail: Exception | None = None) -> None:
        self.got: list[Notification] = []
        self.fail = fail

    def notify(self, notification: Notification) -> None:
        if self.fail is not None:
            raise self.fail
        self.got.append(notification)


def test_a_notification_in_one_line_and_as_data() -> None:
    """It reads as one line, line breaks written out, and is plain data."""
    assert FULL.as_line() == "[critical] disk full: 98 % (host=a)"
    assert Notification(title="a\nb\x1b[31m").as_line() == "[warning] a\\nb\\x1b[31m"
    assert FULL.as_dict() == {
        "title": "disk full", "body": "98 %", "severity": "critical", "at": 5.0, "labels": {"host": "a"},
    }  # fmt: skip


def test_secrets_do_not_get_in() -> None:
    """What looks like a secret is redacted in title, body and labels."""
    told = Notification(title="password=hunter2", body="token=abcdef", labels={"u": "https://joe:pw@x/"})

    assert "hunter2" not in str(told)
    assert "abcdef" not in str(told)
    assert ":pw@" not in str(told)


def test_the_log_has_it_at_its_level(caplog: pytest.LogCaptureFixture) -> None:
    """Info, warning and critical become the levels of the log."""
    with caplog.at_level(logging.DEBUG, "people"):
        for severity in Severity:
            LogNotifier("people").notify(Notification(title="x", severity=severity))

    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING", "CRITICAL"]


def test_the_console_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    """By default on standard error; on another stream where one is given."""
    stream = io.StringIO()
    ConsoleNotifier().notify(FULL)
    ConsoleNotifier(stream).notify(FULL)

    assert capsys.readouterr().err == stream.getvalue() == FULL.as_line() + "\n"


def test_the_file_has_a_line_each_and_is_private(tmp_path: Path) -> None:
    """One line of JSON each, in a file only the owner may read."""
    path = tmp_path / "told.jsonl"
    for _ in range(2):
        FileNotifier(path).notify(FULL)

    assert [json.loads(line) for line in path.read_text().splitlines()] == [FULL.as_dict()] * 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(("keep", "left"), [(2, ["t", "t.1", "t.2"]), (0, ["t"])])
def test_the_file_is_rotated(tmp_path: Path, keep: int, left: list[str]) -> None:
    """No file grows beyond its size, no more are kept than may be, and the youngest lines are there."""
    notifier = FileNotifier(tmp_path / "t", max_bytes=1024, keep=keep)
    for index in range(60):
        notifier.notify(Notification(title=f"n{index}", body="x" * 100))

    assert sorted(path.name for path in tmp_path.iterdir()) == left
    assert all(path.stat().st_size <= 1024 for path in tmp_path.iterdir())
    assert json.loads((tmp_path / "t").read_text().splitlines()[-1])["title"] == "n59"


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    """Somebody who puts a link there gets no lines written elsewhere."""
    (tmp_path / "other").write_text("")
    notifier = FileNotifier(tmp_path / "t")
    (tmp_path / "t").symlink_to(tmp_path / "other")

    with pytest.raises(OSError, match="symbolic"):
        notifier.notify(FULL)
    assert (tmp_path / "other").read_text() == ""


def test_one_that_fails_keeps_nothing_from_the_others() -> None:
    """All others get it; the failed one is listed, counted, told as an event, and may be tried again at once."""
    events: list[NotificationFailed] = []
    bus = EventBus()
    bus.subscribe(events.append, NotificationFailed, inline=True)
    broken, works = Recording(OSError("no route, token=abcdef")), Recording()
    people = Notifiers({"broken": broken, "works": works}, events=bus, clock=FakeClock())

    delivery = people.send(FULL)
    assert delivery.delivered == ("works",)
    assert delivery.failed == {"broken": "OSError: no route, token=[redacted]"}
    assert [(e.notifier, e.title) for e in events] == [("broken", "disk full")]
    broken.fail = None
    assert people.send(FULL).delivered == ("broken",)
    assert [(s.name, s.delivered, s.failed, s.held_back, s.last_error) for s in people.snapshot()] == [
        ("broken", 1, 1, 0, ""),
        ("works", 1, 0, 1, ""),
    ]


def test_when_all_fail_it_is_an_error() -> None:
    """As a notifier itself it raises when nobody took it, and lists why."""
    people = Notifiers({"a": Recording(OSError("x")), "b": Recording(ValueError("y"))}, events=EventBus())
    with pytest.raises(NotifyError, match=r"'disk full' was not delivered \(a: OSError: x; b: ValueError: y\)"):
        people.notify(FULL)
    with pytest.raises(NotifyError, match="there is no notifier"):
        Notifiers({}).notify(FULL)


def test_repeats_and_floods_are_held_back_and_counted() -> None:
    """The same is told once in five minutes, no more than three in a minute; the next says how many were not."""
    clock, one = FakeClock(), Recording()
    people = Notifiers({"one": one}, most=3, clock=clock)
    assert people.send(FULL).held_back == ""
    assert people.send(FULL).held_back == "repeated"
    people.notify(FULL)
    for index in range(4):
        held = people.send(Notification(title=f"n{index}")).held_back
        assert held == ("too many" if index >= 2 else "")
    clock.advance(60)
    assert people.send(FULL).held_back == "repeated"
    clock.advance(240)
    assert people.send(FULL).delivered == ("one",)
    assert one.got[-1].labels["held_back"] == "3"
    assert [n.title for n in one.got] == ["disk full", "n0", "n1", "disk full"]


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(0, 5)), max_size=120))
def test_the_gate_keeps_its_bounds(steps: list[tuple[float, int]]) -> None:
    """In any sequence, nothing passes twice within its time and no more than may in any span."""
    gate, now = Gate(NotifiersConfig(dedup_for=50, most=3, per=20)), 1000.0
    passed: list[tuple[float, int]] = []
    held = 0
    for wait, which in steps:
        now += wait
        if gate.pass_through(str(which), now):
            held += 1
        else:
            passed.append((now, which))
    assert gate.held == held
    for index, (at, which) in enumerate(passed):
        later = passed[index + 1 :]
        assert not any(w == which and t < at + 50 for t, w in later)
        assert sum(1 for t, _ in later if t < at + 20) < 3


def test_people_are_told_of_dormancy_and_critical_alerts() -> None:
    """Dormancy and critical alerts are told; warnings and other events are not."""
    bus, one = EventBus(), Recording()
    people = Notifiers({"one": one}, clock=FakeClock())
    subscriptions = people.notify_on(bus)
    bus.publish(DormancyEntered(reason="ten failures", triggered_by="automatic"))
    bus.publish(Alert(kind="cpu", target="a", severity=Severity.WARNING))
    bus.publish(Alert(kind="oom", target="b", severity=Severity.CRITICAL, message="killed", metric="rss"))
    bus.publish(AlertCleared(fingerprint="x"))
    assert bus.drain()
    for subscription in subscriptions:
        subscription.cancel()
    bus.publish(DormancyEntered(reason="other", triggered_by="manual"))

    assert [(n.title, n.severity) for n in one.got] == [("healing is dormant", "critical"), ("oom on b", "critical")]
    assert one.got[0].body == "ten failures. Nothing is healed until a person resumes it."
    assert one.got[1].labels == {"kind": "oom", "target": "b", "metric": "rss"}


def test_a_notifier_that_hangs_holds_nobody_up() -> None:
    """Whoever publishes goes on at once, and the other notifier gets its notification."""
    bus, release, one = EventBus(), threading.Event(), Recording()

    class Hanging:
        def notify(self, notification: Notification) -> None:
            assert release.wait(60)

    people = Notifiers({"hangs": Hanging(), "one": one})
    hanging, working = people.notify_on(bus)
    bus.publish(DormancyEntered(reason="x", triggered_by="manual"))

    assert working.drain(60)
    assert len(one.got) == 1
    release.set()
    assert hanging.drain(60)


SECRET = "https://hooks.example:8443/services/T000/SECRETPART?key=HIDDEN"


def test_an_address_never_shows() -> None:
    """Neither ``repr`` nor an error shows more of an address than its scheme and host."""
    shown = repr(WebhookNotifier(SECRET)) + repr(WebhookNotifier(SECRET)._config)
    assert "https://hooks.example:8443/[redacted]" in shown
    assert "SECRETPART" not in shown
    assert "HIDDEN" not in shown


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x/SECRETPART",
        "file:///SECRETPART",
        "SECRETPART",
        "http://",
        "http://x:99999/SECRETPART",
        "",
        "http://a b/",
        5,
    ],
)
def test_only_web_addresses_are_accepted(url: Any) -> None:
    """Other schemes are refused, and the refusal does not show the address."""
    with pytest.raises(ConfigError, match=r"WebhookConfig\.url must be an http or https address") as caught:
        WebhookNotifier(url)
    assert "SECRETPART" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: WebhookNotifier("http://x", timeout=0), r"timeout must be between"),
        (lambda: WebhookNotifier("http://x", attempts=0), r"attempts must be an integer"),
        (lambda: WebhookNotifier("http://x", headers={"a": "b\nc"}), r"headers must be text to text"),
        (lambda: FileNotifier("/none/there/x"), r"path must be a file in a directory that is there"),
        (lambda: FileNotifier(""), r"path must be a path to a file"),
        (lambda: FileNotifier("/tmp"), r"path must be a file in a directory"),
        (lambda: FileNotifier("/tmp/x", max_bytes=-1), r"max_bytes must be an integer"),
        (lambda: LogNotifier(""), r"logger must be"),
        (lambda: Notifiers({"x": ANYTHING}), r"notifiers\['x'\] must be an object with a method notify"),
        (lambda: Notifiers(ANYTHING), r"notifiers must be a mapping"),
        (lambda: Notifiers({}, most=0), r"most must be an integer"),
    ],
)
def test_bad_settings_are_refused(make: Any, told: str) -> None:
    """A value out of range is one clear error."""
    with pytest.raises(ConfigError, match=told):
        make()


def test_from_config(tmp_path: Path) -> None:
    """Plain data makes all notifiers; what is not accepted is told with its path in the file."""
    path = str(tmp_path / "told")
    people = Notifiers.from_config(
        {
            "most": 5,
            "to": {
                "log": {"type": "log"},
                "console": {"type": "console"},
                "file": {"type": "file", "path": path},
                "hook": {"type": "webhook", "url": SECRET},
            },
        }
    )
    assert [s.name for s in people.snapshot()] == ["log", "console", "file", "hook"]
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"to": {"x": {"type": "pigeon"}}}, r"levers\.notify\.to\.x\.type"),
        ({"to": {"x": {"type": "webhook", "url": "ftp://SECRETPART"}}}, r"levers\.notify\.to\.x\.url must be an http"),
        ({"to": {"x": {"type": "file", "path": "/none/x"}}}, r"levers\.notify\.to\.x\.path must be a file"),
        ({"most": -1}, r"levers\.notify\.most must be"),
        ({"mots": 1}, r"levers\.notify\.mots.*did you mean 'most'"),
    ]
    for bad, told in wrong:
        with pytest.raises(ConfigError, match=told) as caught:
            Notifiers.from_config(bad)
        assert "SECRETPART" not in str(caught.value)


def test_a_fork_while_a_notifier_holds_its_lock(tmp_path: Path) -> None:
    """A child can notify whatever the parent's threads were doing."""
    file = FileNotifier(tmp_path / "t")
    people = Notifiers({"file": file})
    channel, lock = people._channels[0], file._lock
    channel.lock.acquire()
    lock.acquire()
    pid = os.fork()
    if pid == 0:
        os._exit(0 if people.send(FULL).delivered == ("file",) else 1)
    channel.lock.release()
    lock.release()
    assert os.waitpid(pid, 0)[1] == 0
