"""Sketches that are too many for memory lie in a file, and the release is the same."""

from pathlib import Path

import numpy as np
import pytest
from support.builds import without_checks

from bedrock_sluice.flows.context import open_context
from bedrock_sluice.flows.pipeline import build
from bedrock_sluice.flows.stages import features
from bedrock_sluice.transforms.dedup.sketches import PERMUTATIONS


def release_id(recipe: Path) -> str:
    with open_context(recipe) as context, without_checks():
        return build(context).id


def test_a_release_is_the_same_with_sketches_in_a_file(
    sums: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory = release_id(sums)
    sizes, mapped_file = list[int](), np.memmap

    def note(path: Path, *arguments: object, **options: object) -> object:
        array = mapped_file(path, *arguments, **options)  # type: ignore[call-overload]
        sizes.append(path.stat().st_size)
        return array

    monkeypatch.setattr(features, "MAX_SKETCHES_IN_MEMORY", 10)
    monkeypatch.setattr(np, "memmap", note)
    assert release_id(sums) == in_memory
    assert sizes
    assert all(size % (4 * PERMUTATIONS) == 0 for size in sizes)
