"""Put a backup back while the service is stopped: ``python -m examples.reference_app.restore --dry-run``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from examples.reference_app.alone import AlreadyRunningError, alone
from examples.reference_app.backups import chosen, open_restorer, open_store, recover
from examples.reference_app.places import Places
from selfheal.errors import BackupError, NotFoundError

REFUSED = 1


def main(argv: Sequence[str] | None = None, step: Callable[[str], object] = lambda name: None) -> int:
    """Restore, and tell what came of it. Exit code 0 if the backup is in place, 1 if all is as it was.

    Args:
        argv: the command line.
        step: called between any two changes on the disk; for tests of crashes.
    """
    parser = argparse.ArgumentParser(
        prog="python -m examples.reference_app.restore", description="Put a backup of the stopped service back."
    )
    parser.add_argument("--state-dir", type=Path, default=Path(".reference_app"), help="of the service (%(default)s)")
    parser.add_argument("--backups", type=Path, help="directory of the backups (default: in the state directory)")
    parser.add_argument("--which", default="latest", help="an id, a date, or latest (default)")
    parser.add_argument("--section", action="append", help="only this one: config, data, state or journal; repeatable")
    parser.add_argument("--dry-run", action="store_true", help="tell what would be done, and do nothing")
    options = parser.parse_args(argv)
    places = Places(options.state_dir)
    try:
        places.make()
        with alone(places.root):
            if (cut_off := recover(places, options.backups)) is not None:
                print(f"a restore of {cut_off.backup} had been cut off: {cut_off.outcome}")
            return _restore(places, options, step)
    except (BackupError, NotFoundError, AlreadyRunningError, OSError) as error:
        print(f"not restored: {error}", file=sys.stderr)
        return REFUSED


def _restore(places: Places, options: argparse.Namespace, step: Callable[[str], object]) -> int:
    store = open_store(places, options.backups)
    restorer = open_restorer(places, store, step=step)
    plan = restorer.plan(chosen(store, options.which), sections=options.section)
    if options.dry_run:
        print(plan)
        return 0
    report = restorer.restore(plan)
    names = ", ".join(section.name for section in report.sections)
    print(f"{report.outcome}: backup {report.backup} ({names}) in {report.finished - report.started:.2f} s")
    print(f"report: {restorer.directory / 'restore_report_latest.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
