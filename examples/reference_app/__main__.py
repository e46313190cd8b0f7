"""Serve the reference app: ``python -m examples.reference_app``."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import attrs
import uvicorn

from examples.reference_app.alone import AlreadyRunningError, alone
from examples.reference_app.app import ReferenceApp
from examples.reference_app.backups import recover
from examples.reference_app.config import TOKEN, AppConfig, read_config
from examples.reference_app.places import Places
from examples.reference_app.preparing import prepare_state
from examples.reference_app.provider_process import ProviderStartError
from selfheal.errors import ConfigError, RegistryStoppedError, RestoreError

logger = logging.getLogger("reference_app")

USAGE, FAILED = 64, 1


class Stopper:
    """Remembers that the app was told to end, from the first moment on: by TERM, Ctrl-C or a terminal that closed.

    uvicorn takes TERM and INT over while it serves; when it is done it hands them on to the handlers
    that were there before, which are these: so the process ends by its own clean-up and not by the signal.
    """

    def __init__(self) -> None:
        self.told = False
        self.server: uvicorn.Server | None = None
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or a shell's background job: as they wish
                signal.signal(number, self._handle)

    def stop(self) -> None:
        """Have the server finish what it does, and end."""
        self.told = True
        if self.server is not None:
            self.server.should_exit = True

    def stop_at_end_of(self, descriptor: int) -> None:
        """Stop if what is there to read is the end."""
        if not os.read(descriptor, 4096):
            self.stop()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.stop()


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until TERM or INT. Exit code 0 after a clean stop, 1 after any other, 64 for a wrong option."""
    stopper = Stopper()
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)-8s %(name)s: %(message)s"
    )
    try:
        config = read_config(sys.argv[1:] if argv is None else argv)
        return _run(config, stopper)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return USAGE
    except (OSError, AlreadyRunningError, ProviderStartError, RestoreError) as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return FAILED


def _run(config: AppConfig, stopper: Stopper) -> int:
    places = Places(config.state_dir)
    places.make()
    with alone(config.state_dir), _listening(config) as listening:
        if (cut_off := recover(places, config.backups)) is not None:  # before anything opens what it puts back
            print(f"a restore of {cut_off.backup} had been cut off: {cut_off.outcome}")
        issued = prepare_state(config)
        port = listening.getsockname()[1]
        made = "" if config.token else secrets.token_urlsafe(32)
        config = attrs.evolve(config, port=port, token=config.token or made)
        app = ReferenceApp(config)
        try:
            app.start()
            _greet(config, made, issued)
            asyncio.run(_serve(app, listening, stopper))
        finally:
            report = app.stop()
            print(report, flush=True)
    return 0 if report.clean else FAILED


async def _serve(app: ReferenceApp, listening: socket.socket, stopper: Stopper) -> None:
    server = uvicorn.Server(
        uvicorn.Config(app.web, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=3)
    )
    stopper.server = server
    if stopper.told:
        return
    # A reload, as daemons have it: the tasks are registered anew, in place of those that run.
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, _reload, app)
    if app.config.end_with_stdin:
        loop.add_reader(sys.stdin.fileno(), lambda: stopper.stop_at_end_of(sys.stdin.fileno()))
    await server.serve(sockets=[listening])


def _reload(app: ReferenceApp) -> None:
    try:
        app.register_tasks()
    except RegistryStoppedError as error:
        logger.error("not reloaded: %s", error)


def _greet(config: AppConfig, made: str, issued: bool) -> None:
    if issued:
        print(f"issued two provider keys into {config.state_dir / '.env.local'}")
    if made:
        print(f"no {TOKEN} is set; the token for this run, shown once: {made}")
    print(f"reference app on {config.address} (process {os.getpid()}), stop with Ctrl-C", flush=True)


@contextmanager
def _listening(config: AppConfig) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((config.host, config.port))
        except OSError as error:
            raise OSError(f"port {config.port} on {config.host} cannot be used: {error.strerror}") from error
        yield listening


if __name__ == "__main__":
    sys.exit(main())
