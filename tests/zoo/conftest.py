"""Loads the zoo's one script by its path: test folders are no packages."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def specimens() -> dict[str, bytes]:
    """All specimens by name."""
    spec = spec_from_file_location("make_zoo", Path(__file__).with_name("make_zoo.py"))
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    content_by_name: dict[str, bytes] = module.specimens()
    return content_by_name
