"""What strategies restart, by name."""

from __future__ import annotations

import pytest

from examples.reference_app.services import Service, Services
from selfheal.errors import NotFoundError
from selfheal.levers.protocols import ServiceControl


def test_each_service_is_restarted_in_its_own_way() -> None:
    """By its name; the others are left alone."""
    done: list[str] = []
    services = Services(
        {
            "indexer": Service(restart=lambda: done.append("indexer"), status=lambda: "it runs"),
            "provider": Service(restart=lambda: done.append("provider"), status=lambda: "it listens"),
        }
    )

    services.restart("provider")

    assert isinstance(services, ServiceControl)
    assert done == ["provider"]
    assert services.status("indexer") == "it runs"


def test_a_service_that_is_not_there_is_named() -> None:
    """With those that are."""
    with pytest.raises(NotFoundError, match="'indxer'"):
        Services({"indexer": Service(restart=int, status=int)}).restart("indxer")
