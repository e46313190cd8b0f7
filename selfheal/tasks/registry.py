"""The face: :class:`TaskRegistry`, the one place where a service keeps its background work."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from selfheal.clock import SYSTEM_CLOCK
from selfheal.errors import NotFoundError, RegistryStoppedError
from selfheal.events import DEFAULT_BUS, Event, EventBus, WorkersExhausted
from selfheal.forking import track
from selfheal.tasks import exits
from selfheal.tasks.book import TaskBook
from selfheal.tasks.engine import Engine
from selfheal.tasks.handle import TaskHandle
from selfheal.tasks.inline import InlineRunner
from selfheal.tasks.options import RegistryOptions, TaskOptions
from selfheal.tasks.registering import Registering
from selfheal.tasks.schedule import Hold
from selfheal.tasks.signals import SIGTERM, SignalGuard
from selfheal.tasks.snapshots import RegistrySnapshot, RegistryState, ShutdownReport, TaskSnapshot, summary
from selfheal.tasks.stopping import StopJournal, Stopper, write_stop

if TYPE_CHECKING:
    from collections.abc import Iterable

    from selfheal.clock import Clock
    from selfheal.tasks.task import Task


class TaskRegistry(Registering):
    """Runs callables on a fixed grid of times or daily, none ever twice at once, and always knows how to stop.

    No thread is started before the first task, none is left after :meth:`shutdown` or the end of a ``with``.

    Args:
        clock: by which tasks are due.
        events: where failures, overdue runs, exhaustion and clock jumps are published.
        start: start threads as soon as there is a task; otherwise call :meth:`start` or :meth:`run_due`.
        on_exhausted: called with the event when ``max_abandoned`` runs are stuck; must be quick.
        journal: closed by the first shutdown once everything has ended, with what was stopped; whoever else
            writes it has to be stopped before.
        options: the fields of :class:`~selfheal.tasks.options.RegistryOptions`: ``max_tasks=10``,
            ``max_workers``, ``max_abandoned=3``, ``exit_timeout=10.0``, ``settle=30.0``, ``owner=None``.

    Raises:
        ConfigError: if a value is not accepted.

    >>> TaskRegistry(start=False).register_interval("poll", print, every=10)
    TaskHandle(id='poll', generation=1)
    """

    def __init__(
        self,
        *,
        clock: Clock = SYSTEM_CLOCK,
        events: EventBus = DEFAULT_BUS,
        start: bool = True,
        on_exhausted: Callable[[WorkersExhausted], object] | None = None,
        journal: StopJournal | None = None,
        **options: Any,
    ) -> None:
        self._journal = journal
        self._options = RegistryOptions(**options)
        self._clock = clock
        self._events = events
        self._autostart = start
        self._on_exhausted = on_exhausted
        self._quiet = False
        self._forked = False
        self._signals: SignalGuard | None = None
        self._book = TaskBook()
        self._assemble()
        track(self, TaskRegistry._start_over, lock=lambda me: me._lock)
        exits.take_over(self, self._options.owner)

    def _assemble(self) -> None:
        """Make everything that holds a lock or a thread; once more in a forked child."""
        self._engine = Engine(
            self._book,
            self._clock,
            self._publish,
            max_workers=self._options.workers,
            max_abandoned=self._options.max_abandoned,
            settle=self._options.settle,
            on_exhausted=self._on_exhausted,
        )
        self._lock = self._engine.lock
        self._inline = InlineRunner(self._engine)
        self._stopper = Stopper(self._engine)

    def __enter__(self) -> TaskRegistry:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    def __repr__(self) -> str:
        return f"TaskRegistry(state={self.state.value!r}, tasks={list(self._book.tasks)})"

    # --- registering

    def _register(self, options: TaskOptions, enabled: bool, replace: bool) -> TaskHandle:
        if options.daily is not None:
            self._engine.look_at_clocks()
        with self._lock:
            if self._stopper.begun:
                raise RegistryStoppedError(options.id)
            self._book.admit(options, self._options.max_tasks, replace)
            task = self._book.add(options, self._clock.monotonic(), enabled)
        if self._autostart and not self._forked and not self._engine.started:
            self.start()
        if options.daily is None:
            self._engine.expect(task.schedule.due)
        else:
            self._engine.kick()  # from now on it looks at the clocks now and then
        return TaskHandle(self, task.id, task.generation)

    def unregister(self, id: str, *, generation: int | None = None) -> bool:
        """Take a task out. A run of it under way ends by itself; its result is not counted.

        Returns:
            Whether there was one (and it was registration ``generation`` of the id, if that is given).
        """
        with self._lock:
            task = self._book.tasks.get(id)
            if task is None or generation not in (None, task.generation):
                return False
            self._book.remove(task)
            return True

    def unregister_owner(self, owner: str) -> list[str]:
        """Take out every task that was registered with ``owner``; return their ids."""
        with self._lock:
            gone = [task for task in self._book.tasks.values() if task.options.owner == owner]
            for task in gone:
                self._book.remove(task)
        return [task.id for task in gone]

    # --- steering

    def pause(self, id: str) -> bool:
        """Hold a task back; a run under way goes on. Tell whether this changed anything.

        Raises:
            NotFoundError: if there is no such task.
        """
        with self._lock:
            return self._find(id).schedule.pause(Hold.OWN)

    def resume(self, id: str) -> bool:
        """Let a task run again at its next slot; those that passed are no misses. Raises as :meth:`pause`."""
        self._engine.look_at_clocks()
        with self._lock:
            return self._resume([self._find(id)]) != ()

    def pause_all(self) -> tuple[str, ...]:
        """Hold every task back, those registered later too, until :meth:`resume_all`. Return the ids this paused."""
        with self._lock:
            return self._book.pause_all()

    def resume_all(self) -> tuple[str, ...]:
        """Undo :meth:`pause_all`; a task that was paused on its own stays paused. Return the ids this resumed."""
        self._engine.look_at_clocks()
        with self._lock:
            return self._resume(self._book.tasks.values(), Hold.ALL)

    def _resume(self, tasks: Iterable[Task], *holds: Hold) -> tuple[str, ...]:
        if self._stopper.begun:
            return ()
        resumed = self._book.resume(tasks, self._clock.monotonic(), *holds)
        self._engine.expect(self._book.next_due())
        return resumed

    def _find(self, id: str) -> Task:
        task = self._book.tasks.get(id)
        if task is None:
            raise NotFoundError("task", id, self._book.tasks)
        return task

    # --- running and stopping

    def start(self) -> None:
        """Start the scheduler thread, if it is not running. In a forked child this is what starts it again.

        Raises:
            RegistryStoppedError: if the registry was shut down.
        """
        self._engine.look_at_clocks()
        with self._lock:
            if self._stopper.begun:
                raise RegistryStoppedError("start")
            if self._forked:
                self._forked = False
                self._book.realign(self._clock.monotonic())
            self._autostart = True
        exits.watch(self)
        self._engine.start()

    def run_due(self) -> int:
        """Run everything that is due now in the calling thread, async tasks too; tell how many ran.

        For tests on a virtual clock and for hosts that want no threads: make the registry with ``start=False``.
        """
        return 0 if self._stopper.begun else self._inline.run_due()

    def wait_idle(self, timeout: float = 5.0) -> bool:
        """Wait until no run is queued or under way, at most ``timeout`` real seconds; tell whether it came to that."""
        return self._stopper.wait_idle(timeout)

    def shutdown(self, timeout: float = 10.0) -> ShutdownReport:
        """Stop for good: refuse new tasks, drop queued runs, cancel, wait, end the threads.

        Async runs are cancelled; sync runs see :func:`selfheal.tasks.cancel_requested` and are waited for.
        Calling again does nothing but tell how things stand.

        Args:
            timeout: real seconds this may take.

        Returns:
            What was dropped and what is still running. Such a run is on a daemon thread: it does not hold
            the interpreter's exit.
        """
        first = not self._stopper.begun
        report = self._stopper.stop(timeout)
        if first and self._journal is not None:
            write_stop(self._journal, report)
        self._inline.close()
        self.uninstall_signals()
        exits.forget(self)
        return report

    cleanup = shutdown

    async def ashutdown(self, timeout: float = 10.0) -> ShutdownReport:
        """:meth:`shutdown` without blocking the loop, so that tasks running on it can end."""
        return await exits.in_a_thread(lambda: self.shutdown(timeout))

    def install_signals(self, signals: Iterable[int] = (SIGTERM,), timeout: float = 10.0) -> tuple[int, ...]:
        """Shut down when one of ``signals`` comes, then let happen what would have happened without us.

        A handler of the host is called as before; an ignored signal stays ignored; a signal with its default
        action takes that action after the clean-up; a handler that is not Python's is left alone.

        Args:
            signals: which. SIGINT only if you name it: ``asyncio.run`` and anyio look for its default handler.
            timeout: seconds the clean-up may take.

        Returns:
            The signals it was installed for.

        Raises:
            ConfigError: if called in another thread than the main thread, where Python runs handlers.
        """
        self._signals = self._signals or SignalGuard(lambda: self.shutdown(timeout))
        return self._signals.install(signals)

    def uninstall_signals(self) -> None:
        """Put the handlers back that were there before, wherever ours is still the one installed."""
        if self._signals is not None:
            self._signals.uninstall()

    def _at_exit(self, spent: float) -> None:
        self._quiet = True  # delivering events would start threads
        self.shutdown(max(self._options.exit_timeout - spent, 0.0))

    def _publish(self, event: Event) -> None:
        if not self._quiet:
            self._events.publish(event)

    # --- telling

    @property
    def state(self) -> RegistryState:
        """What the registry is doing."""
        if self._stopper.begun:
            return RegistryState.STOPPED
        if self._forked:
            return RegistryState.FORKED
        if self._engine.exhausted:
            return RegistryState.EXHAUSTED
        return RegistryState.RUNNING if self._engine.started else RegistryState.IDLE

    @property
    def settling(self) -> float:
        """Seconds left to let things settle after a clock jump; 0 if there was none lately."""
        return self._engine.look_at_clocks()

    def snapshot(self) -> RegistrySnapshot:
        """How everything stands."""
        with self._lock:
            tasks = list(self._book.tasks.values())
            abandoned = len(self._book.abandoned)
        return summary(
            tuple(self._tell(task) for task in tasks),
            max_tasks=self._options.max_tasks,
            state=self.state.value,
            abandoned=abandoned,
            settling=self.settling,
        )

    def _tell(self, task: Task) -> TaskSnapshot:
        if task.options.daily is not None:
            self._engine.look_at_clocks()
        with self._lock:  # one task at a time: twenty thousand must not hold up the scheduler
            return task.snapshot(self._clock)

    def _current(self, id: str, generation: int) -> Task | None:
        """The task of a handle, unless it is gone or was replaced."""
        task = self._book.tasks.get(id)
        return task if task is not None and task.generation == generation else None

    def _start_over(self) -> None:
        """In a forked child: keep the tasks, but no thread, lock or run. Nothing happens until :meth:`start`."""
        exits.keep((self._engine, self._inline))  # collecting the parent's event loop would reach into the parent
        stopped = self._stopper.begun
        self._forked = not stopped
        self._book.forget_runs(self._clock.monotonic())
        self._assemble()
        if stopped:
            self._stopper.stop(0.0)
        if self._signals is not None:
            self._signals.after_fork()
