"""A guarded block of code."""

from __future__ import annotations

from types import TracebackType

from selfheal.policies.breaker.circuit import Admitted, Circuit


class Guard:
    """One guarded block, sync or async: a breaker never waits, so one guard serves both.

    A block that ends is a success, one that raises is judged like a call, one that is cancelled
    decides nothing. :meth:`succeed`, :meth:`fail` and :meth:`cancel` decide earlier and by hand.
    """

    __slots__ = ("_admitted", "_circuit")

    def __init__(self, circuit: Circuit) -> None:
        self._circuit = circuit
        self._admitted: Admitted | None = None

    def succeed(self, result: object = None) -> None:
        """The call worked; ``result`` is put to ``failure_result`` where there is one."""
        if (admitted := self._take()) is not None:
            self._circuit.leave(admitted, result)

    def fail(self, error: BaseException | None = None) -> None:
        """The call failed, though the block raises nothing."""
        if (admitted := self._take()) is not None:
            self._circuit.leave_failed(admitted, error)

    def cancel(self) -> None:
        """The call says nothing: give its place back."""
        if (admitted := self._take()) is not None:
            self._circuit.leave_undecided(admitted)

    def _take(self) -> Admitted | None:
        admitted, self._admitted = self._admitted, None
        return admitted

    def __enter__(self) -> Guard:
        if self._admitted is not None:
            raise RuntimeError("a guard serves one block at a time; take another by breaker.guard()")
        self._admitted = self._circuit.enter()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is None:
            self.succeed()
        else:
            self.fail(error)

    async def __aenter__(self) -> Guard:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)
