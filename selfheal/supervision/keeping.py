"""One worker kept as its machine decides: process, files, checks and records behind it. For one thread alone."""

from __future__ import annotations

import functools
import logging
import os
import signal

from selfheal.processes import Stat
from selfheal.supervision.checking import READ, Verdict, checkers
from selfheal.supervision.clearing import CLEAR_EVERY, Clearing
from selfheal.supervision.configs import WorkerConfig
from selfheal.supervision.exits import Exit, MemoryKills, classify
from selfheal.supervision.holding import Held
from selfheal.supervision.launching import Places, environment_of, fingerprint, launch, take_lock, taken_port
from selfheal.supervision.machine import WorkerMachine
from selfheal.supervision.output import OutputFile
from selfheal.supervision.processes import CHECK, TOKEN, bearers, send
from selfheal.supervision.records import Record, write
from selfheal.supervision.snapshots import WorkerSnapshot, view
from selfheal.supervision.states import NEVER, Fate, Memory, Order, WorkerState
from selfheal.supervision.telling import Desk, Teller

logger = logging.getLogger("selfheal.supervision")

LOCK_WAIT = 5.0
"""Seconds that a start waits for the processes of an earlier one to be gone."""


class Keeper:
    """Keeps one worker.

    Args:
        name: its name.
        config: its settings.
        places: its files.
        token: what its processes have in the environment.
        desk: the engine.
        retired: it is in no configuration any more: to be stopped and forgotten.
    """

    def __init__(
        self, name: str, config: WorkerConfig, places: Places, token: str, desk: Desk, *, retired: bool = False
    ) -> None:
        self.name = name
        self.config = config
        self.retired = retired
        self.places = places
        self.machine = WorkerMachine(config, desk.clock.monotonic())
        self.held: Held | None = None
        self.output = OutputFile(places.output, config.output)
        self.was_killed = False
        self._token = token
        self._desk = desk
        self._ready = False
        self._health = ""
        self._clearing: Clearing | None = None
        self._tell = Teller(name, desk)
        self._waiting: tuple[float, float] | None = None
        self._kills = MemoryKills()
        self._saved: object = None
        self.paused_until = -NEVER
        self._settings = fingerprint(config)
        env = functools.partial(environment_of, config, {TOKEN: token, CHECK: "1"})
        wanted = [(config.health, self._told_health), (config.readiness, self._told_readiness)]
        self._checkers = checkers(wanted, watcher=desk, beat=places.beat, cwd=config.cwd, env=env)

    # Taking over from an earlier supervisor.

    def adopt(self, record: Record | None, found: list[Stat]) -> None:
        """Go on where the supervisor before stood; ``found`` are the live processes that carry the token."""
        leader, now = self._leader(record, found), self._desk.clock.monotonic()
        if leader is None:
            self._clear_strays(found)
            if record is not None and not self.retired:
                lost = record.same_boot and record.process is not None
                memory = record.recalled(self._desk.clock)
                self.obey(self.machine.restore(now, memory, Fate.GONE if lost else Fate.NO_PROCESS))
            return
        found_running = Memory(state=WorkerState.STARTING, reason="found running")
        memory = found_running if record is None else record.recalled(self._desk.clock)
        self._hold(leader)
        self.obey(self.machine.restore(now, memory, Fate.ALIVE))
        self._begin_checks(now)
        if self.retired:
            self.obey(self.machine.stop(now, "it is in no configuration any more"))
        elif record is not None and record.settings != self._settings and not self.machine.held:
            self.obey(self.machine.restart(now, "its settings were changed"))
        self._watch()

    def _leader(self, record: Record | None, found: list[Stat]) -> Stat | None:
        """The process that was started as the worker, if it lives: by id and start time, else by token."""
        if record is not None and record.process is not None:
            held = Held(record.process.pid, record.process.started, self._token) if record.same_boot else None
            alive = held is not None and not held.over
            if held is not None and held.pidfd is not None:
                os.close(held.pidfd)
            if alive:
                pid, started = record.process.pid, record.process.started
                return Stat(pid, "S", 0, pid, pid, 0, started)
            return None
        return min((s for s in found if s.pid == s.session), key=lambda s: s.started, default=None)

    def _hold(self, leader: Stat) -> None:
        self.held = Held(leader.pid, leader.started, self._token)
        self._tell.adopted(leader.pid)

    def _clear_strays(self, found: list[Stat]) -> None:
        if found:
            send(found, signal.SIGTERM)
            self._clearing = Clearing(self._token, None, None, self._desk.clock.monotonic())

    # What the machine orders.

    def obey(self, order: Order | None) -> None:
        """Do what the machine wants done."""
        now = self._desk.clock.monotonic()
        if order is Order.SPAWN:
            self._waiting = (now, now)
            self._spawn(now)
        elif order is not None and self.held is not None:
            self._end(self.held, order)

    def _end(self, held: Held, order: Order) -> None:
        forced = order is Order.KILL
        for checker in self._checkers:
            checker.stop()
        if forced:
            self.was_killed = True
            held.kill()
        else:
            held.end(getattr(signal, f"SIG{self.config.stop.signal}"))
        self._tell.ending(held.pid, str(self.machine.ending), forced=forced)

    def _spawn(self, now: float) -> None:
        """Start the process, once nothing of the one before is left."""
        if self._clearing is not None or self._waiting is None:
            return
        if self.machine.alive or self.machine.state is not WorkerState.STARTING:  # a person stopped it meanwhile
            self._waiting = None
            return
        since, why = self._waiting[0], taken_port(self.config)
        if why is not None:
            self._waiting = None
            self.obey(self.machine.not_spawned(now, why))
            return
        with self._desk.spawning:
            problem = self._launch()
        if problem is None:
            self._waiting = None
            self.machine.spawned(now)
            self._begin_checks(now)
            self.save()
            self._watch()
        elif problem or now - since > LOCK_WAIT:
            self._waiting = None
            told = problem or f"a process that it left behind still holds {self.places.lock}"
            self.obey(self.machine.not_spawned(now, told))
        else:
            self._waiting = (since, now + CLEAR_EVERY)
            self._meet_holder(now)

    def _launch(self) -> str | None:
        """Start it; ``None`` if that was done, ``""`` if another process holds its lock, else what went wrong."""
        lock = output = None
        try:
            lock = take_lock(self.places.lock)
            if lock is None:
                return ""
            self.save()  # the intent is on record before there is a process
            output = self.output.open()
            self._kills = MemoryKills.seen(os.getpid())
            self.held = Held.spawned(launch(self.config, self._token, self.places, output, lock), self._token)
        except OSError as error:
            named = f": {error.filename}" if error.filename else ""
            return f"{(error.strerror or str(error)).lower()}{named}"
        finally:
            for fd in (lock, output):
                if fd is not None:
                    os.close(fd)
        return None

    def _meet_holder(self, now: float) -> None:
        """Another process holds the lock: one that a supervisor, killed while starting it, left behind."""
        found = bearers(self._token).get(self._token, [])
        leader = self._leader(None, found)
        if leader is None:
            self._clear_strays(found)
            return
        self._waiting = None
        self._hold(leader)
        self.machine.spawned(now)
        self._begin_checks(now)
        self._watch()

    # What happens to the process.

    def _watch(self) -> None:
        if self.held is not None and self.held.pidfd is not None:
            self._desk.watch(self.held.pidfd, READ, self._died)
        else:
            self._died()

    def _begin_checks(self, now: float) -> None:
        self._ready, self._health, self.was_killed = False, "", False
        for checker in self._checkers:
            checker.start(self.machine.generation, now)

    def _died(self) -> None:
        """The process is over. It is reaped only when nothing it left behind is there: until then its id is its."""
        held, now = self.held, self._desk.clock.monotonic()
        if held is None:
            return
        left = held.left()  # before anything is told: where this fails, all of it is tried again
        if held.pidfd is not None:
            self._desk.unwatch(held.pidfd)
        for checker in self._checkers:
            checker.stop()
        exit = classify(
            held.status(),
            success=self.config.restart.success_codes,
            no_restart=self.config.restart.no_restart_codes,
            ended=self.machine.ending is not None,
            memory_ran_out=MemoryKills.seen(os.getpid()).concern(self._kills, held.pid),
        )
        self._tell.exited(held.pid, exit, now - self.machine.started)
        self._told_readiness(self.machine.generation, (False, "its process ended"))
        if not left:
            self._finish(exit, now)
            return
        send(left, signal.SIGTERM)
        patience = 0.0 if self.machine.ending is None else self.machine.due() - now
        self._clearing = Clearing(self._token, held, exit, now, patience)

    def _cleared(self, exit: Exit | None, now: float) -> None:
        self._clearing = None
        if exit is not None:
            self._finish(exit, now)
        else:
            self._spawn(now)

    def _finish(self, exit: Exit, now: float) -> None:
        if self.held is not None:
            self.held.close()
            self.held = None
        self.obey(self.machine.exited(now, exit))

    def _told_health(self, generation: int, verdict: Verdict) -> None:
        good, told = verdict
        if good is None and told != self._health:
            logger.warning("worker %r cannot be checked: %s", self.name, told)
        self._health, now = told, self._desk.clock.monotonic()
        if good is None:
            self.machine.not_checked(generation, now)
        else:
            self.obey(self.machine.checked(generation, now, good))

    def _told_readiness(self, generation: int, verdict: Verdict) -> None:
        ready, told = verdict
        if generation == self.machine.generation and ready is not None and ready != self._ready:
            self._ready = ready
            self._tell.ready(ready, told)

    # Time.

    def due(self) -> float:
        """When to call :meth:`turn`."""
        if self._clearing is not None:
            return max(self._clearing.next, self.paused_until)
        waiting = NEVER if self._waiting is None else self._waiting[1]
        return max(min(waiting, self.machine.due(), *(c.due() for c in self._checkers)), self.paused_until)

    def turn(self, now: float) -> None:
        """Do what is due."""
        if self._clearing is not None:
            if now >= self._clearing.next and self._clearing.turn(now):
                self._cleared(self._clearing.exit, now)
            return
        if self._waiting is not None and now >= self._waiting[1]:
            self._spawn(now)
        self.obey(self.machine.tick(now))
        for checker in self._checkers:
            checker.turn(now)

    def keep_house(self, now: float) -> float:
        """Bound the output, reap orphans; return when to do it again, in seconds."""
        if self.held is not None:
            self.held.sweep()
            if self.held.over and self._clearing is None:  # what was to be done at its end went wrong
                self._died()
        return self.output.look(now)

    @property
    def busy(self) -> bool:
        """Whether it has, or is about to have, any process."""
        return self.held is not None or self._clearing is not None or self._waiting is not None

    # Telling.

    def settle(self) -> None:
        """Tell what changed, and write it down."""
        machine = self.machine
        ending = None if machine.ending is None else str(machine.ending)
        key = (machine.state, machine.held, ending, self.held and self.held.pid, machine.good_seen, machine.reason)
        if key != self._saved:
            try:
                self.save()
                self._saved = key
            except OSError as error:  # a full disk must not end the supervision; it is tried again each turn
                logger.warning("the record of worker %r cannot be written: %s", self.name, error)
        moves, machine.moves = machine.moves, []
        for move in moves:
            self._tell.moved(move)

    def save(self) -> None:
        """Write the record.

        Raises:
            OSError: if it cannot be written.
        """
        clock = self._desk.clock
        process = None if self.held is None else self.held.key
        write(self.places.record, self.machine.memory(clock.monotonic()), process, self._settings, clock)

    def forget(self) -> None:
        """Remove its record, lock and heartbeat; its output is left to people."""
        for file in (self.places.record, self.places.lock, self.places.beat):
            file.unlink(missing_ok=True)

    def snapshot(self) -> WorkerSnapshot:
        """What is shown of it."""
        now, ready = self._desk.clock.monotonic(), self.config.readiness is None or self._ready
        return view(self.name, self.machine, self.held, now, ready=ready, health=self._health, output=self.output)

    def kill(self) -> None:
        """Kill what there is of it, whatever its grace."""
        if self.held is not None:
            self.was_killed = True
            self.held.kill()

    def leave(self) -> None:
        """Let go of the process, be it alive, and of all descriptors."""
        for checker in self._checkers:
            checker.stop()
        if self.held is not None:
            self.held.close()
            self.held = None
