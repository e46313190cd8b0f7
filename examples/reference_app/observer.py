"""What an operator does all the time: send something through the service, look at its status, watch it fail."""

from __future__ import annotations

from examples.reference_app.app import HEALER
from examples.reference_app.running import Json, RunningApp
from examples.reference_app.story import Story
from examples.reference_app.traffic import Sent, Traffic, told


class Observer:
    """Looks at a running app and tells what it sees, with the commands that show it.

    Args:
        app: the service.
        story: tells it.

    Attributes:
        warned: whether five failures in a row were seen reported as an issue.
        opened: whether the healer's breaker was seen open.
    """

    def __init__(self, app: RunningApp, story: Story) -> None:
        self._app = app
        self._story = story
        self._traffic: Traffic | None = None
        self.warned = 0
        self.opened = False

    def send(self, count: int) -> list[Sent]:
        """Send documents; say who answered."""
        traffic = self._traffic = self._traffic or Traffic(self._app.port)
        self._story.typed(f"python -m examples.reference_app.traffic --port {self._app.port} --count {count}")
        sent = traffic.send(count)
        self._story.shown(told(sent))
        return sent

    def see(self, *paths: str) -> Json:
        """Show an excerpt of the status and the command that gives it; returns the whole status."""
        status = self._app.status()
        wanted = ", ".join(path if "." not in path else f"{path.rpartition('.')[2]}: .{path}" for path in paths)
        self._story.typed(f"curl -s http://127.0.0.1:{self._app.port}/api/status | jq '{{{wanted}}}'")
        self._story.shown({path.rpartition(".")[2]: _at(status, path) for path in paths})
        return status

    def is_well(self) -> bool:
        """Whether both breakers are closed and no healing failed since the last that did not."""
        status = self._app.status()
        states = {one["state"] for one in status["circuitBreakers"]}
        return states == {"CLOSED"} and status["selfHealing"]["consecutiveFailures"] == 0

    def problems(self) -> list[str]:
        """What detection has found."""
        return list(self._app.status()["gateway"]["problems"])

    def provider(self) -> Json:
        """What the status says of the provider process."""
        return dict(self._app.status()["gateway"]["provider"])

    def fault(self, mode: str, seconds: float = 0.0) -> None:
        """Break the provider, or mend it, by the call that an operator would make."""
        body = f'"mode": "{mode}"' + (f', "seconds": {seconds:g}' if seconds else "")
        self._story.typed(
            f"curl -s -X POST http://127.0.0.1:{self.provider()['port']}/admin/fault "
            f"-H \"X-Admin-Token: $PROVIDER_ADMIN_TOKEN\" -d '{{{body}}}'"
        )
        self._app.fault(mode, seconds)

    def watch_failures(self, until: int, within: float = 120.0) -> dict[int, int]:
        """Tell each failed healing as it shows in the status; returns the backoff, in ms, by number of failures."""
        grown: dict[int, int] = {}

        def look() -> bool:
            status = self._app.status()
            healing = status["selfHealing"]
            failures = int(healing["consecutiveFailures"])
            if failures and failures not in grown:
                grown[failures] = int(healing["backoffDelay"])
                state = next(one["state"] for one in status["circuitBreakers"] if one["name"] == HEALER)
                self._note(failures, state, str(status["status"]), status["issues"])
                self._story.tell(
                    f"  failed healing {failures:2}: backoff {grown[failures]:4} ms, breaker {HEALER!r} {state}, "
                    f"status {status['status']}"
                )
            return failures >= until

        self._app.wait_for(look, f"{until} failed healings in a row", within)
        return grown

    def _note(self, failures: int, state: str, level: str, issues: list[str]) -> None:
        self.opened = self.opened or state == "OPEN"
        told = any(f"{failures} healings failed in a row" in one for one in issues)
        if failures >= 5 and told and not self.warned:  # who looks seldom sees the next one
            self.warned = failures


def _at(status: Json, path: str) -> object:
    found: object = status
    for name in path.split("."):
        assert isinstance(found, dict)
        found = found[name]
    return found
