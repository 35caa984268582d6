"""A release of the demo, and what its papers are made of."""

from pathlib import Path

import pytest
from support.demo_releases import build_demo, train

from bedrock_sluice.flows.papers.facts import PaperFacts, find_facts
from bedrock_sluice.lake.releases.release import Release


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A release that nothing was trained on; tests do not change it."""
    return build_demo(tmp_path_factory.mktemp("papers"))


@pytest.fixture(scope="session")
def facts(release: Release) -> PaperFacts:
    """The facts of that release."""
    return find_facts(release)


@pytest.fixture
def trained_release(tmp_path: Path) -> Release:
    """A release of its own that a job was trained on."""
    release = build_demo(tmp_path / "demo")
    train(release)
    return release
