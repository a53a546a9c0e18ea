"""One world for the tests of the whole path, cleaned of its containers at the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .fleet import Fleet


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    # Containers run as another user, who must be able to enter these folders.
    for parent in [folder, *folder.parents][:3]:
        parent.chmod(parent.stat().st_mode | 0o055)
    made = Fleet(folder)
    yield made
    made.remove()
