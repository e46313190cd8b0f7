"""What begins and ends again and again. Pure."""

from __future__ import annotations

from collections import OrderedDict, deque


class Flaps:
    """Remembers when each incident was raised, and tells which are flapping.

    Args:
        raises: so many of one incident within ``window`` are flapping.
        window: seconds.
        most: incidents that are remembered; the one raised the longest ago goes first.

    >>> flaps = Flaps(raises=3, window=60.0)
    >>> [flaps.raised("cpu", at) for at in (0.0, 20.0, 40.0, 101.0)]
    [False, False, True, False]
    """

    def __init__(self, raises: int, window: float, most: int = 1000) -> None:
        self._raises = raises
        self._window = window
        self._most = most
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._times)

    def raised(self, fingerprint: str, at: float) -> bool:
        """Note that it was raised at ``at`` (monotonic seconds); answers whether it is flapping with that."""
        times = self._times.setdefault(fingerprint, deque(maxlen=self._raises))
        self._times.move_to_end(fingerprint)
        times.append(at)
        if len(self._times) > self._most:
            self._times.popitem(last=False)
        return len(times) == self._raises and at - times[0] <= self._window

    def forget(self, fingerprint: str) -> None:
        """It has been quiet: counting begins anew."""
        self._times.pop(fingerprint, None)
