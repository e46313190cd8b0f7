"""Daily tasks in a registry: driven by hand and by its threads, with a clock that somebody sets."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from selfheal.errors import ConfigError, TaskLimitError
from selfheal.events import ClockJumped, Event, EventBus
from selfheal.status import StatusReport
from selfheal.tasks import TaskHandle, TaskRegistry, TaskSnapshot
from selfheal.tasks.dailies import LOOK_EVERY
from selfheal.testing import FakeClock
from tests.tasks.rig import PATIENCE, Rig, rig, until

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3_600.0


class Night:
    """A registry without threads and a clock in Berlin."""

    def __init__(self, begin: str, **options: Any) -> None:
        self.clock = FakeClock(wall=datetime.fromisoformat(begin).replace(tzinfo=BERLIN).timestamp())
        self.events: list[Event] = []
        bus = EventBus()
        bus.subscribe(self.events.append, inline=True)
        self.registry = TaskRegistry(clock=self.clock, events=bus, start=False, **options)
        self.ran: list[str] = []

    def daily(self, at: str = "03:30", **options: Any) -> TaskHandle:
        return self.registry.register_daily("backup", self._note, at, **{"tz": "Europe/Berlin", **options})

    def _note(self) -> None:
        self.ran.append(f"{datetime.fromtimestamp(self.clock.wall(), BERLIN):%m-%d %H:%M}")

    def shows(self, told: str) -> int:
        """Let time pass until the clock shows ``told``; tell how many runs were due then."""
        moment = datetime.fromisoformat(told).replace(tzinfo=BERLIN).timestamp()
        self.clock.advance(moment - self.clock.wall())
        return self.registry.run_due()

    def is_set(self, seconds: float) -> int:
        """Set the clock; tell how many runs were due then."""
        self.clock.jump(seconds)
        return self.registry.run_due()

    @property
    def task(self) -> TaskSnapshot:
        return self.registry.snapshot().tasks[0]

    @property
    def next(self) -> str:
        assert self.task.next_run is not None
        return f"{datetime.fromtimestamp(self.task.next_run, BERLIN):%m-%d %H:%M %z}"


def test_a_daily_task_runs_at_its_time_and_tells_the_next() -> None:
    """Not before, not twice, and each time the next day is told in wall time."""
    night = Night("2026-11-21 20:00")
    night.daily()

    assert night.next == "11-22 03:30 +0100"
    assert [night.shows(told) for told in ("2026-11-22 03:29", "2026-11-22 03:30", "2026-11-22 03:31")] == [0, 1, 0]
    assert (night.task.type, night.task.last_day, night.next) == ("daily", date(2026, 11, 22), "11-23 03:30 +0100")
    assert (night.task.missed, night.task.misfires, night.task.next_in) == (0, 0, 24 * HOUR - 60)


def test_its_type_is_told_in_the_status() -> None:
    """Whoever watches tells daily tasks from intervals."""
    night = Night("2026-11-21 20:00")
    night.daily()

    (shown,) = StatusReport(tasks=night.registry, clock=night.clock).as_dict()["backgroundTasks"]["tasks"]
    assert (shown["type"], shown["nextRun"]) == ("daily", "2026-11-22T02:30:00.000Z")


def test_a_time_that_the_clocks_jump_over_comes_right_after() -> None:
    """On the night without 02:30 it runs at 03:00, and a day later at 02:30."""
    night = Night("2026-03-28 20:00")
    night.daily("02:30")

    assert night.next == "03-29 03:00 +0200"
    night.shows("2026-03-29 03:00")
    assert (night.ran, night.next) == (["03-29 03:00"], "03-30 02:30 +0200")


def test_a_time_that_is_shown_twice_runs_once() -> None:
    """The first 02:30 runs, the second does not."""
    night = Night("2026-10-24 20:00")
    night.daily("02:30")
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp()
    night.clock.advance(first - night.clock.wall())

    assert night.registry.run_due() == 1
    night.clock.advance(HOUR)
    assert night.registry.run_due() == 0
    assert (night.ran, night.next) == (["10-25 02:30"], "10-26 02:30 +0100")


def test_a_clock_set_back_over_the_time_does_not_run_it_again() -> None:
    """However far back and how often, a date that ran has no second run."""
    night = Night("2026-11-21 20:00")
    night.daily()
    night.shows("2026-11-22 03:30")

    for back in (0.5, 2 * HOUR, 10.0):
        assert night.is_set(-back) == 0
        assert night.next == "11-23 03:30 +0100"
        assert night.shows("2026-11-22 03:30") == 0
    assert night.shows("2026-11-23 03:30") == 1
    assert night.task.missed == 0


def test_a_clock_set_back_before_the_time_puts_it_off() -> None:
    """What has not run waits until the clock shows its time."""
    night = Night("2026-11-22 03:00")
    night.daily()
    night.is_set(-HOUR)

    night.clock.advance(0.5 * HOUR)
    assert night.registry.run_due() == 0
    night.clock.advance(HOUR)
    assert (night.registry.run_due(), night.ran) == (1, ["11-22 03:30"])


def test_a_clock_set_forward_over_the_time_runs_it_once() -> None:
    """Passed over within its grace: one run, no misfire; and none again when the clock is set right."""
    night = Night("2026-11-22 03:00")
    night.daily()

    assert night.is_set(HOUR) == 1
    assert (night.task.missed, night.task.misfires) == (0, 0)
    assert night.is_set(-HOUR) == 0
    assert night.shows("2026-11-22 03:30") == 0
    assert [event.seconds for event in night.events if isinstance(event, ClockJumped)] == [HOUR, -HOUR]


def test_a_machine_that_slept_for_days_runs_once_and_counts() -> None:
    """The wall clock went on, the monotonic one did not: one run for three dates."""
    night = Night("2026-11-21 20:00")
    night.daily()

    assert night.is_set(2.5 * 24 * HOUR) == 1
    assert (night.task.missed, night.task.misfires, night.task.last_day) == (2, 1, date(2026, 11, 24))
    assert (night.registry.run_due(), night.next) == (0, "11-25 03:30 +0100")


def test_late_runs_are_left_out_with_skip() -> None:
    """Beyond an hour, or whatever it is told, a run is a misfire and does not happen."""
    night = Night("2026-11-21 20:00")
    night.daily(misfire="skip")
    night.is_set(2.5 * 24 * HOUR)

    assert (night.ran, night.task.missed, night.task.misfires) == ([], 3, 1)
    assert night.shows("2026-11-25 03:30") == 1
    other = Night("2026-11-21 20:00")
    other.daily(misfire="skip", misfire_grace=12 * HOUR)
    assert other.is_set(15 * HOUR) == 1


def test_a_clock_that_was_a_year_ahead_does_not_silence_the_task_for_a_year() -> None:
    """Set right again, the nights in between run; only the one that had its run is left out."""
    night = Night("2026-11-21 20:00")
    night.daily()
    assert night.is_set(2 * 24 * HOUR) == 1
    night.is_set(-2 * 24 * HOUR)

    assert [night.shows(f"2026-11-{day} 03:30") for day in (22, 23, 24)] == [1, 0, 1]
    ahead = Night("2026-11-21 20:00")
    ahead.daily()
    assert ahead.is_set(365 * 24 * HOUR) == 1
    ahead.is_set(-365 * 24 * HOUR)
    assert ahead.next == "11-22 03:30 +0100"


def test_a_slow_drift_of_the_clocks_is_followed() -> None:
    """Steps too small to be called a jump add up, and none makes it early."""
    night = Night("2026-11-22 02:30")
    night.daily()
    for _ in range(400):  # 5 ms slower in each ten seconds
        night.clock.advance(9.0)
        night.is_set(-0.005)

    assert not any(isinstance(event, ClockJumped) for event in night.events)
    assert night.ran == []
    assert night.task.next_in == pytest.approx(2.0, abs=0.002)
    night.clock.advance(1.99)
    assert night.registry.run_due() == 0
    night.clock.advance(0.02)
    assert night.registry.run_due() == 1


def test_a_drift_too_small_to_be_followed_makes_nothing_early() -> None:
    """At its due time the exact clock is asked, so the clock on the wall never shows less than the time."""
    night = Night("2026-11-22 03:29")
    night.daily()
    night.is_set(-0.0009)
    night.clock.advance(60.0)

    assert night.registry.run_due() == 0
    night.clock.advance(0.001)
    assert night.registry.run_due() == 1


def test_what_passes_in_a_pause_is_not_missed() -> None:
    """Nor if the machine slept meanwhile: the next night is the next."""
    night = Night("2026-11-21 20:00")
    handle = night.daily()
    handle.pause()
    assert night.task.next_run is None
    assert night.shows("2026-11-23 12:00") == 0
    night.clock.jump(24 * HOUR)
    handle.resume()

    assert (night.registry.run_due(), night.task.missed, night.task.misfires) == (0, 0, 0)
    assert night.next == "11-25 03:30 +0100"
    night.registry.pause_all()
    night.clock.jump(24 * HOUR)
    night.registry.resume_all()
    assert (night.registry.run_due(), night.task.missed, night.next) == (0, 0, "11-26 03:30 +0100")


def test_a_slot_due_at_the_moment_of_resuming_runs() -> None:
    """What is not past yet is not lost."""
    night = Night("2026-11-21 20:00")
    handle = night.daily()
    handle.pause()
    night.shows("2026-11-22 03:30")
    handle.resume()

    assert night.registry.run_due() == 1


def test_pausing_right_after_a_run_does_not_repeat_it() -> None:
    """A date that ran stays run, whatever is paused and resumed at that moment."""
    night = Night("2026-11-21 20:00")
    handle = night.daily()
    night.shows("2026-11-22 03:30")
    handle.pause()
    handle.resume()

    assert (night.registry.run_due(), night.next) == (0, "11-23 03:30 +0100")


@pytest.mark.parametrize(
    ("last_run", "catch_up", "runs", "missed", "misfires"),
    [
        (None, True, 0, 0, 0),  # nothing is known to be missing
        (date(2026, 11, 21), True, 0, 0, 0),
        (date(2026, 11, 20), True, 1, 0, 1),
        (date(2026, 11, 17), True, 1, 3, 1),
        (date(2026, 11, 17), False, 0, 0, 0),
        (date(2027, 11, 17), True, 0, 0, 0),  # of a clock that was ahead
        (date(1970, 1, 1), True, 1, 20_777, 1),
    ],
)
def test_what_was_missed_while_the_process_was_down_is_made_up_for_once(
    last_run: date | None, catch_up: bool, runs: int, missed: int, misfires: int
) -> None:
    """One run for all dates since the last one, if that one is known and it is wanted."""
    night = Night("2026-11-21 20:00")
    night.daily(last_run=last_run, catch_up=catch_up)

    assert (night.registry.run_due(), night.registry.run_due()) == (runs, 0)
    assert (night.task.missed, night.task.misfires, night.next) == (missed, misfires, "11-22 03:30 +0100")


def test_the_date_of_the_last_run_does_not_run_again_in_the_next_process() -> None:
    """A clock set back between two processes makes no second run either."""
    night = Night("2026-11-22 02:00")
    night.daily(last_run=date(2026, 11, 22))

    assert night.shows("2026-11-22 03:30") == 0
    assert night.shows("2026-11-23 03:30") == 1


def test_a_clock_that_starts_in_1970_does_not_repeat_the_last_run() -> None:
    """A machine without a battery learns the time late: what was before the last run is not missed."""
    night = Night("1970-01-01 12:00")
    night.daily(last_run=date(2026, 11, 21))
    moment = datetime(2026, 11, 21, 20, 0, tzinfo=BERLIN).timestamp()

    assert night.is_set(moment - night.clock.wall()) == 0
    assert (night.task.missed, night.next) == (0, "11-22 03:30 +0100")
    assert night.is_set(12 * HOUR) == 1


def test_a_date_that_comes_during_a_run_is_an_overrun() -> None:
    """A run of more than a day makes the next one skipped, as with intervals."""
    night = Night("2026-11-21 20:00")

    def long() -> None:
        night.clock.advance(30 * HOUR)
        night.registry.run_due()

    night.registry.register_daily("backup", long, "03:30", tz="Europe/Berlin")
    night.shows("2026-11-22 03:30")

    assert (night.task.execution_count, night.task.skipped, night.next) == (1, 1, "11-24 03:30 +0100")


def test_a_replaced_daily_task_runs_no_more() -> None:
    """Replacing, taking out and the limit work as with every task."""
    night = Night("2026-11-21 20:00", max_tasks=1)
    night.daily()
    night.registry.register_interval("backup", lambda: night.ran.append("interval"), 24 * HOUR)
    with pytest.raises(TaskLimitError):
        night.registry.register_daily("other", print)
    night.shows("2026-11-22 03:30")
    handle = night.daily()
    handle.unregister()

    assert night.shows("2026-11-23 03:30") == 0
    assert (night.ran, night.registry.snapshot().tasks) == ([], ())


def test_a_coroutine_runs_daily_too() -> None:
    """Async tasks are awaited."""
    night = Night("2026-11-21 20:00")

    async def work() -> None:
        await asyncio.sleep(0)
        night.ran.append("async")

    night.registry.register_daily("backup", work, tz=UTC)
    night.shows("2026-11-22 04:30")

    assert night.ran == ["async"]
    night.registry.shutdown()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"at": "25:00"}, "DailyTime.at must be a time from '00:00' to '23:59', as HH:MM, got '25:00'. The default is"),
        ({"tz": "Mars/Olympus"}, "DailyTime.tz must be an IANA zone name such as 'Europe/Berlin'"),
        ({"catch_up": 1}, "DailyTime.catch_up must be True or False, got 1"),
        ({"last_run": "yesterday"}, "DailyTime.last_run must be a date"),
        ({"first_after": 5.0}, "TaskOptions.first_after must be left out where there is a daily time, got 5.0"),
        ({"every": 5.0}, "TaskOptions.every must be left out where there is a daily time, got 5.0"),
    ],
)
def test_what_is_not_accepted_is_told(options: dict[str, Any], told: str) -> None:
    """One error, with what is accepted; nothing is registered."""
    night = Night("2026-11-21 20:00")
    with pytest.raises(ConfigError) as caught:
        night.daily(**options)

    assert str(caught.value).startswith(told)
    assert night.registry.snapshot().tasks == ()


def test_an_interval_takes_no_daily_time() -> None:
    """What is not a daily time is refused as one, and an interval beside one too."""
    night = Night("2026-11-21 20:00")
    with pytest.raises(ConfigError, match=r"TaskOptions.daily must be a DailyTime or None, got '03:30'"):
        night.registry.register_interval("backup", print, 5.0, daily="03:30")


def settle(made: Rig) -> None:
    """Have the scheduler come to rest: what it does by itself on a registration is a look at the clocks too."""
    done = made.gate()
    made.registry.register_once("settle", done.set)
    assert done.wait(PATIENCE)
    assert made.registry.wait_idle()
    assert until(lambda: made.clock.waiters)
    made.clock.advance(1.0)
    assert until(lambda: made.clock.waiters)


def test_the_threads_run_it_at_its_time() -> None:
    """With threads as by hand, and nothing runs before."""
    with rig() as made:
        begin = datetime.fromtimestamp(made.clock.wall(), UTC)
        at = f"{begin + timedelta(minutes=10):%H:%M}"
        made.registry.register_daily("backup", lambda: None, at, tz=UTC)
        left = made.task("backup").next_in
        assert left is not None
        made.clock.advance(left - 1)
        made.registry.wait_idle()
        assert made.task("backup").execution_count == 0
        made.clock.advance(1)

        assert made.runs("backup", 1)
        assert made.task("backup").next_in == 24 * HOUR


def test_the_threads_notice_a_clock_that_was_set() -> None:
    """Nobody tells the scheduler, so it looks now and then while there is a daily task."""
    with rig() as made:
        ran: list[float] = []
        made.registry.register_interval("often", lambda: None, 2.5 * HOUR)
        at = f"{datetime.fromtimestamp(made.clock.wall(), UTC) + timedelta(hours=3):%H:%M}"
        made.registry.register_daily("backup", lambda: ran.append(made.clock.wall()), at, tz=UTC)
        settle(made)
        made.clock.jump(3 * HOUR)  # nothing is asked of the registry from here on: that would be a look too
        made.clock.advance(LOOK_EVERY)

        assert until(lambda: ran)
        made.clock.jump(-1 * HOUR)
        made.clock.advance(2 * HOUR)
        made.registry.wait_idle()
        assert len(ran) == 1


def test_a_look_from_outside_moves_the_scheduler_too() -> None:
    """Whoever asks how things stand and finds the clock set has the due run started at once."""
    with rig() as made:
        ran: list[float] = []
        at = f"{datetime.fromtimestamp(made.clock.wall(), UTC) + timedelta(hours=3):%H:%M}"
        made.registry.register_daily("backup", lambda: ran.append(made.clock.wall()), at, tz=UTC)
        settle(made)
        made.clock.jump(3 * HOUR)
        made.registry.snapshot()

        assert until(lambda: ran)


def test_a_date_that_ran_ahead_of_its_time_is_no_part_of_a_later_catch_up() -> None:
    """The run is for the newest date that had none, and the date that ran is not counted as missed."""
    night = Night("2026-11-21 20:00")
    night.daily()
    night.is_set(2.5 * 24 * HOUR)
    night.is_set(-2.5 * 24 * HOUR)
    assert (night.task.last_day, night.task.missed) == (date(2026, 11, 24), 2)

    assert night.is_set(2.5 * 24 * HOUR) == 1
    assert (night.task.last_day, night.task.missed) == (date(2026, 11, 23), 3)
    night.is_set(-2.5 * 24 * HOUR)
    assert night.is_set(5.5 * 24 * HOUR) == 1
    assert (night.task.last_day, night.task.missed) == (date(2026, 11, 27), 6)


def test_a_date_kept_during_a_run_has_its_run_once() -> None:
    """With buffer_one the date that came meanwhile runs right after, and not again after a step back."""
    night = Night("2026-11-21 20:00")

    def long() -> None:
        night.ran.append("run")
        if len(night.ran) == 1:
            night.clock.advance(24 * HOUR)
            with night.registry._lock:
                night.registry._book.fire_due(night.clock.monotonic())

    night.registry.register_daily("backup", long, "03:30", tz="Europe/Berlin", overrun="buffer_one")
    night.shows("2026-11-22 03:30")

    assert (len(night.ran), night.task.last_day) == (2, date(2026, 11, 23))
    night.is_set(-HOUR)
    assert (night.next, night.task.skipped) == ("11-24 03:30 +0100", 0)


def test_a_clock_that_gains_slowly_makes_nothing_late() -> None:
    """Steps too small to be called a jump are followed forward too."""
    night = Night("2026-11-22 02:30")
    night.daily()
    for _ in range(399):
        night.clock.advance(9.0)
        night.is_set(0.005)
    night.clock.advance(7.1)

    assert night.registry.run_due() == 1


def test_registering_looks_at_the_clock_first() -> None:
    """A time that passed before the registration is no miss of it, though nobody had looked since."""
    night = Night("2026-11-21 20:00")
    night.clock.jump(12 * HOUR)
    night.daily()

    assert (night.registry.run_due(), night.task.missed, night.next) == (0, 0, "11-23 03:30 +0100")


def test_what_was_taken_out_is_held_no_longer() -> None:
    """Replacing for ever keeps nothing, and without a daily task nobody looks at the clock for one."""
    night = Night("2026-11-21 20:00")
    for _ in range(3):
        handle = night.daily()
    assert len(night.registry._book.dailies._tasks) == 1
    handle.unregister()

    assert not night.registry._book.dailies
    night.daily()
    night.registry.shutdown()
    assert not night.registry._book.dailies


def test_a_snapshot_is_right_before_anybody_looked() -> None:
    """What is told follows the clock at once, not at the next look."""
    night = Night("2026-11-22 03:00")
    handle = night.daily()
    night.clock.jump(-HOUR)

    told = handle.snapshot()
    assert told is not None
    assert told.next_in == 1.5 * HOUR
