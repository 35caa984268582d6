"""Templates of other distributions: found by their entry points, and refused by their names."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bedrock_sluice.rewards.templates.base import template_named, templates
from bedrock_sluice.transforms.errors import ConfigError

VERDICT = '''
"""A template of a user."""

from bedrock_sluice.rewards.templates.base import Template


class Verdict(Template):
    name = "verdict"
    marker = "VERDICT:"
    instruction = "End with VERDICT: yes or no."

    def from_fields(self, fields):
        said = fields.get("verdict")
        return said if self.fits(said) else None

    def fits(self, reference):
        return reference in ("yes", "no")
'''

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a distribution: a module of its own name, and an entry point in it."""

    def make(distribution: str, point: str, source: str = VERDICT) -> None:
        place = tmp_path / distribution
        info_folder = place / f"{distribution}-1.0.dist-info"
        info_folder.mkdir(parents=True)
        (info_folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1\n"
        )
        (info_folder / "entry_points.txt").write_text(f"[bedrock_sluice.templates]\n{point}\n")
        (place / f"{distribution}.py").write_text(source)
        monkeypatch.syspath_prepend(str(place))

    return make


def test_a_template_of_a_user_is_one_like_ours(install: Install) -> None:
    install("plug_good", "verdict = plug_good:Verdict")
    assert "verdict" in templates()
    template = template_named("verdict")
    assert template.from_fields({"verdict": "yes"}) == "yes"
    assert template.from_fields({"verdict": "?"}) is None
    assert template.from_text("yes") is None
    assert template.accepts({"reference_answer": "no"})


@pytest.mark.parametrize(
    ("distribution", "point", "source", "message"),
    [
        ("plug_a", "verdict = plug_a:Judge", VERDICT, "can't be loaded from plug_a:Judge: Attrib"),
        ("plug_b", "verdict = plug_bb:Verdict", VERDICT, "ModuleNotFoundError"),
        ("plug_c", "verdict = plug_c:Verdict", "1 / 0", "ZeroDivisionError"),
        ("plug_d", "verdict = plug_d:Verdict", "Verdict = dict", "is not a subclass of Template"),
        ("plug_e", "verdict = plug_e:Verdict", "Verdict = None", "TypeError"),
        ("plug_f", "judgement = plug_f:Verdict", VERDICT, "has another name in plug_f:Verdict"),
    ],
)
def test_a_broken_one_is_told_with_its_distribution(
    install: Install, distribution: str, point: str, source: str, message: str
) -> None:
    install(distribution, point, source)
    name = point.partition(" ")[0]
    for ask in (templates, lambda: template_named(name)):
        with pytest.raises(ConfigError) as failure:
            ask()
        assert f"template {name!r} of the distribution {distribution!r}" in str(failure.value)
        assert message in str(failure.value)


def test_one_that_is_not_asked_for_is_not_loaded(install: Install) -> None:
    install("plug_g", "verdict = plug_g:Verdict", "1 / 0")
    assert template_named("math").name == "math"
    with pytest.raises(ConfigError, match=r"no template 'maths'; there are .*, verdict"):
        template_named("maths")


@pytest.mark.parametrize("name", ["math", "qa", "verdict"])
def test_a_name_can_only_be_taken_once(install: Install, name: str) -> None:
    install("plug_h", "math = plug_h:Verdict")
    with pytest.raises(ConfigError, match=r"'math' is offered by .*'plug_h' and by Sluice itself"):
        template_named(name)


def test_two_distributions_may_not_offer_one_name(install: Install) -> None:
    install("plug_i", "verdict = plug_i:Verdict")
    install("plug_j", "verdict = plug_j:Verdict")
    with pytest.raises(ConfigError, match=r"'verdict' is offered by .*'plug_[ij]' and by .*'plug_"):
        template_named("math")
