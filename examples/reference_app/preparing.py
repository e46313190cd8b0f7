"""What has to be there before the app starts."""

from __future__ import annotations

import os
from collections.abc import Mapping

from examples.reference_app.config import AppConfig
from examples.reference_app.keys import VARIABLE
from examples.reference_app.places import Places
from examples.reference_app.provider_process import issue_key


def prepare_state(config: AppConfig, environ: Mapping[str, str] = os.environ) -> bool:
    """Make the state directory and, the first time, two keys that the provider accepts.

    Returns:
        Whether keys were issued. They are when neither ``.env.local`` nor the variable exists: a file without
        keys is a person's decision and stays.
    """
    state = config.state_dir
    Places(state).make()
    (state / ".gitignore").write_text("*\n")
    settings = state / ".env.local"
    if settings.exists() or VARIABLE in environ:
        return False
    keys = ",".join(issue_key(state / "provider") for _ in range(2))
    settings.touch(mode=0o600)
    settings.write_text(
        f"# Read live: an edit takes effect at the next decision, without a restart.\n{VARIABLE}={keys}\n"
    )
    return True
