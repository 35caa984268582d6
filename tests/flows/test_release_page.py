"""What an artifact of Prefect shows of a release, from the release itself: no server is needed."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from support.protocols import RunSluice

from bedrock_sluice.expectations.checks import decode_checks
from bedrock_sluice.flows.prefect_view.release_page import check_rows, link_to, verdict_page
from bedrock_sluice.lake.releases.release import open_release

NOTE = "jane.doe@example.com asked for it"


def test_the_page_tells_the_next_step_before_and_after_an_approval(
    sums: Path, sluice: RunSluice
) -> None:
    release = open_release(sluice("build", sums).out.strip())
    checks = decode_checks(release.file("checks.json").read_bytes(), "checks.json")
    assert f"```\nsluice approve {release.uri} --by NAME\n```" in verdict_page(release, checks)
    arguments = ("--by", "<b>R.</b> Viewer", "--role", "domain", "--note", NOTE)
    assert sluice("approve", release.uri, *arguments).code == 0
    page = verdict_page(release, checks)
    assert f"```\nsluice train {release.uri}\n```" in page
    assert r"- approved by \<b\>R.\</b\> Viewer (domain), 20" in page
    assert "sluice approve" not in page
    assert NOTE not in page


def test_the_examples_of_a_check_stay_in_the_report(sums: Path, sluice: RunSluice) -> None:
    release = open_release(sluice("build", sums).out.strip())
    checks = decode_checks(release.file("checks.json").read_bytes(), "checks.json")
    checks = [replace(check, passed=False, examples=[NOTE]) for check in checks]
    text = verdict_page(release, checks) + str(check_rows(checks))
    assert "failed" in text
    assert NOTE not in text


@pytest.mark.parametrize(
    ("uri", "link"),
    [
        ("/srv/lake/a b/report.html", None),
        (
            "s3://acme/lake/a&b/report.html",
            "https://console.aws.amazon.com/s3/object/acme?prefix=lake/a%26b/report.html",
        ),
    ],
)
def test_a_link_opens_an_object_in_the_console(uri: str, link: str | None) -> None:
    assert link_to(uri) == link
