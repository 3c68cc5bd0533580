"""What all tests share: the fixtures that the package ships for everybody's suite, and who may run beside whom."""

from pathlib import Path

import pytest

pytest_plugins = ["resetsvc.testing"]

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With `-n 2 --dist loadgroup`: a file stays together, and all that shares one Chromium and its event loop does."""
    for item in items:
        folder, *_, name = item.path.relative_to(HERE).parts
        group = folder if folder == "browser" else f"{folder}/{name}"
        item.add_marker(pytest.mark.xdist_group(group))
