"""The machine of daily tasks beside a plain model, while time passes and somebody sets the clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from selfheal.tasks.daily import DailySchedule
from selfheal.tasks.daytime import DailyTime
from selfheal.tasks.schedule import NEVER, Hold, Phase
from tests.tasks.walking import ZONES, walked

GRACE = 3_600.0


class Model:
    """Which dates had a run, kept one by one; what is next is looked for date by date."""

    def __init__(self, zone: str, at: str, wall: float) -> None:
        self.zone, self.at = zone, at
        self.ran: list[date] = []
        self.missed = self.misfires = 0
        self.done_until = self.passed(wall)

    def passed(self, wall: float) -> date:
        day = datetime.fromtimestamp(wall, UTC).date() + timedelta(days=3)
        while (moment := walked(self.zone, self.at, day)) is None or moment > wall:
            day -= timedelta(days=1)
        return day

    def follow(self, wall: float) -> None:
        self.done_until = min(self.done_until, self.passed(wall))

    def next(self) -> date:
        day = self.done_until + timedelta(days=1)
        while day in self.ran or walked(self.zone, self.at, day) is None:
            day += timedelta(days=1)
        return day

    def fire(self, wall: float, skip_late: bool) -> None:
        """One run for the newest date that had none, if there is one."""
        dates, first = [], None
        while (moment := walked(self.zone, self.at, self.next())) is not None and moment <= wall:
            first = moment if first is None else first
            self.done_until = self.next()
            dates.append(self.done_until)
        self.done_until = self.passed(wall)
        if first is None:
            return
        late = wall - first > GRACE
        self.misfires += late
        if late and skip_late:
            self.missed += len(dates)
        else:
            self.missed += len(dates) - 1
            self.ran.append(dates[-1])


class DailyAgainstModel(RuleBasedStateMachine):
    """Any order of time passing, the clock being set, firing, pausing."""

    @initialize(
        zone=st.sampled_from(ZONES),
        at=st.sampled_from(["00:00", "00:30", "01:45", "02:15", "02:30", "03:30", "23:45"]),
        start=st.one_of(
            st.just(1_325_070_000),  # right before the day that Apia left out
            st.sampled_from([1_774_600_000, 1_792_800_000, 1_775_250_000, 1_791_000_000]),  # changes of the clocks
            st.integers(946_684_800, 2_000_000_000),
        ),
        skip_late=st.booleans(),
    )
    def make(self, zone: str, at: str, start: int, skip_late: bool) -> None:
        self.now, self.apart = 1000.0, start - start % 60 - 1000.0
        self.skip_late = skip_late
        self.model = Model(zone, at, self.wall)
        time = DailyTime(at=at, tz=zone)
        self.real = DailySchedule(time, self.now, self.apart, grace=GRACE, skip_late=skip_late)

    @property
    def wall(self) -> float:
        return self.now + self.apart

    @rule(minutes=st.one_of(st.integers(0, 90), st.integers(0, 4 * 1440)))
    def time_passes(self, minutes: int) -> None:
        self.now += 60 * minutes

    @precondition(lambda self: self.now < self.real.due < NEVER)
    @rule()
    def time_passes_to_the_slot(self) -> None:
        self.now = self.real.due

    @rule(minutes=st.one_of(st.integers(-90, 90), st.integers(-5 * 1440, 5 * 1440), st.integers(-600_000, 600_000)))
    def the_clock_is_set(self, minutes: int) -> None:
        self.apart += 60 * minutes
        self.real.look(self.now, self.apart)
        if not self.real.paused:
            self.model.follow(self.wall)

    @precondition(lambda self: self.real.due <= self.now)
    @rule()
    def fire(self) -> None:
        before = len(self.model.ran)
        self.model.fire(self.wall, self.skip_late)
        wanted = self.real.fire(self.now)
        assert wanted == (len(self.model.ran) > before)
        if wanted:
            assert self.real.end(self.real.begin(self.now), self.now)
            assert self.real.last_day == self.model.ran[-1]

    @precondition(lambda self: not self.real.paused)
    @rule()
    def pause(self) -> None:
        self.real.pause(Hold.OWN)

    @precondition(lambda self: self.real.paused)
    @rule()
    def resume(self) -> None:
        self.real.resume(self.now)
        self.model.follow(self.wall)
        self.model.done_until = max(self.model.done_until, self.model.passed(self.wall - 1))

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "real"):
            return
        assert self.real.phase is Phase.WAITING
        assert (self.real.missed, self.real.misfires) == (self.model.missed, self.model.misfires)
        assert len(set(self.model.ran)) == len(self.model.ran), "a date ran twice"
        if self.real.paused:
            assert self.real.due == NEVER
        else:
            assert self.real.slot == walked(self.model.zone, self.model.at, self.model.next())
            assert self.real.due == self.real.slot - self.apart


TestDailyAgainstModel = DailyAgainstModel.TestCase
TestDailyAgainstModel.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
