"""Files verified by checksums that another tool wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from selfheal.backup.comparing import Compared, Comparison
from selfheal.backup.damages import Verification
from selfheal.backup.entries import ManifestLimits
from selfheal.backup.paths import Below
from selfheal.backup.progress import Progress, Teller
from selfheal.backup.sums import read_sums
from selfheal.clock import SYSTEM_CLOCK, Clock


def verify_sums(
    path: Path | str,
    *,
    extras: bool = True,
    limits: ManifestLimits | None = None,
    progress: Callable[[Progress], object] | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Verification:
    """Verify the files beside a file of MD5 or SHA-256 sums (``md5sum * > MD5SUMS``), every byte.

    Args:
        path: the file of checksums.
        extras: whether files that it does not name are damage.
        limits: what is accepted in it.
        progress: called now and then with how far it is.
        clock: tells the time.

    Raises:
        ManifestRefusedError: if the file of checksums is not as it must be.
        OSError: if it cannot be read.
    """
    begun = clock.monotonic()
    path = Path(path).absolute()
    manifest = read_sums(path, limits=limits)
    (section,) = manifest.sections
    compared = Compared()
    with Below.at(path.parent) as tree:
        Comparison(
            tree,
            section,
            reads=lambda entry: True,
            algorithm=manifest.algorithm,
            teller=Teller(progress, "verifying", section.name, section.files, 0),
            compared=compared,
            extras=extras,
            ignored=frozenset({path.name}),
        ).run()
    return Verification(
        path.name,
        "deep",
        clock.wall(),
        tuple(compared.damages),
        compared.files,
        compared.files_read,
        compared.bytes_read,
        clock.monotonic() - begun,
        entries=len(section.entries),
    )
