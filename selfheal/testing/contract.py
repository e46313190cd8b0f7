"""What all contracts have in common: checks by name, and breaches in words."""

from __future__ import annotations

from typing import ClassVar

from selfheal.errors import ConfigError


class ContractBreachError(AssertionError):
    """Something does not keep its contract; the message says in which way, or in which ways."""


def require(holds: bool, otherwise: str) -> None:
    """Raise a breach unless it holds."""
    if not holds:
        raise ContractBreachError(otherwise)


class Contract:
    """Checks of one thing: for each name in ``CHECKS`` a method of that name, with an underscore before it."""

    CHECKS: ClassVar[tuple[str, ...]] = ()
    """The names of all checks."""
    _ABOUT: ClassVar[str] = ""
    """What is checked, as ``an action``."""

    def check(self, name: str) -> None:
        """Make one check.

        Raises:
            ContractBreachError: if the contract is not kept.
            ConfigError: if there is no check of that name.
        """
        if name not in self.CHECKS:
            raise ConfigError(f"check of {self._ABOUT}", name, f"one of {', '.join(self.CHECKS)}")
        if self._concerns(name):
            getattr(self, f"_{name}")()

    def breaches(self) -> tuple[str, ...]:
        """What all checks find, each as ``check: in words``; empty if the contract is kept."""
        found = []
        for name in self.CHECKS:
            try:
                self.check(name)
            except ContractBreachError as breach:
                found.append(f"{name}: {breach}")
        return tuple(found)

    def _concerns(self, name: str) -> bool:
        """Whether a check says something about this one."""
        return True

    def _require_all(self, what: str) -> None:
        """Make all checks, and tell all that they find.

        Raises:
            ContractBreachError: with all that is not kept.
        """
        breaches = self.breaches()
        lines = "\n".join(f"- {breach}" for breach in breaches)
        require(not breaches, f"{what} does not keep the contract:\n{lines}")
