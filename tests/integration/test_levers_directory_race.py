"""A directory being emptied while somebody puts links in its way, for real."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

from selfheal.levers import CacheControl


def test_links_put_in_the_way_lead_nowhere(tmp_path: Path) -> None:
    """A thread that swaps a directory for a link to a precious one, as fast as it can, gets nothing removed there."""
    outside, cache = tmp_path / "outside", tmp_path / "root" / "cache"
    outside.mkdir()
    cache.mkdir(parents=True)
    precious = [outside / f"precious{n}" for n in range(20)]
    for path in precious:
        path.write_text("keep me")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError):
                (cache / "sub").rename(cache / "aside")
            with contextlib.suppress(OSError):
                (cache / "sub").symlink_to(outside)
            with contextlib.suppress(OSError):
                (cache / "sub").unlink()
            with contextlib.suppress(OSError):
                (cache / "aside").rename(cache / "sub")

    attacker = threading.Thread(target=swap)
    attacker.start()
    control = CacheControl("thumbs", cache, root=tmp_path / "root")
    end, cleared = time.monotonic() + 2.0, 0
    try:
        while time.monotonic() < end or (not cleared and time.monotonic() < end + 60.0):
            with contextlib.suppress(OSError):
                (cache / "sub").mkdir(exist_ok=True)
                for n in range(5):
                    (cache / "sub" / f"{n}").write_text("x")
            cleared += control.clear().entries
    finally:
        stop.set()
        attacker.join()

    assert cleared > 0
    assert all(path.read_text() == "keep me" for path in precious)
