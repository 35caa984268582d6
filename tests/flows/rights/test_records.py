"""`[rights]` in a build: consent, opting out, exclusion lists, Regions, models of answers."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zlib import crc32

import polars as pl
import pytest
from support.builds import without_checks
from support.logs import NOON, make_record, write_logs
from support.protocols import RunSluice, WriteRecipe

from bedrock_sluice.flows.context import open_context
from bedrock_sluice.flows.pipeline import build
from bedrock_sluice.lake.releases.release import Release
from bedrock_sluice.transforms.facts.rights_facts import RightsFacts

BASE = 'base_model = "amazon.nova-lite-v1:0"\ntraining_matrix = { "*" = ["*"] }\n'
APP = "arn:aws:iam::111122223333:role/app"
OTHER = "arn:aws:sts::111122223333:assumed-role/batch/job-7"
HOSTILE = "x'; DROP TABLE landed; --"
MIDNIGHT = datetime(2026, 10, 1, 18, tzinfo=UTC)


def log_record(name: str, **envelope: object) -> dict[str, object]:
    """A record with an id, and a question of its own."""
    number = crc32(name.encode())
    ask = f"What is {number} plus 1? End with #### and the number."
    return make_record(ask=ask, reply=f"#### {number + 1}", request_id=name, **envelope)  # type: ignore[arg-type]


def reasons(release: Release) -> dict[str, tuple[str | None, str | None]]:
    """The reason and the detail of each record, by its id."""
    rows = pl.read_parquet(release.file("fates.parquet"))
    counts = release.manifest.counts
    assert (
        counts.records
        == rows.height
        == counts.train
        + counts.validation
        + sum([*counts.dropped.values(), *counts.quarantined.values()])
    )
    return {row["request_id"]: (row["reason"], row["detail"]) for row in rows.to_dicts()}


def build_release(path: Path) -> Release:
    with open_context(path) as context, without_checks():
        return build(context)


METADATA: Mapping[str, dict[str, str] | None] = {
    "yes": {"consent": "yes"},
    "no": {"consent": "no"},
    "blank": {"consent": ""},
    "none": None,
    "other-key": {"Consent": "yes"},
    "hostile": {"consent": HOSTILE},
    "opted-out": {"consent": "yes", "opt_out": "1"},
    "opted-in": {"consent": "yes", "opt_out": "false"},
}
NO, OUT, GONE = "rights_no_consent", "rights_opted_out", "rights_excluded"
CONSENT = 'consent_key = "consent"\nconsent_values = ["yes", "sure"]\n'
OPT_OUT = 'opt_out_key = "opt_out"\nnot_opted_out = ["false"]\n'
LACKING = ("blank", "none", "other-key")


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        (CONSENT, dict.fromkeys([*LACKING, "no", "hostile"], NO)),
        (f'{CONSENT}missing = "keep"\n', dict.fromkeys(["no", "hostile"], NO)),
        (OPT_OUT, {"opted-out": OUT}),
        ('opt_out_key = "opt_out"\n', dict.fromkeys(["opted-out", "opted-in"], OUT)),
        (
            f'{OPT_OUT}missing = "drop"\n',
            dict.fromkeys(METADATA.keys() - {"opted-in"}, OUT),
        ),
        (
            CONSENT + OPT_OUT,
            dict.fromkeys([*LACKING, "no", "hostile"], NO) | {"opted-out": OUT},
        ),
    ],
)
def test_records_without_consent_are_dropped(
    section: str, expected: dict[str, str], tmp_path: Path, recipe: WriteRecipe
) -> None:
    logs = [log_record(name, metadata=values) for name, values in METADATA.items()]
    write_logs(tmp_path / "logs", [logs])
    release = build_release(recipe(f"[rights]\n{BASE}{section}"))
    actual = reasons(release)
    assert {name: reason for name, (reason, _) in actual.items() if reason} == expected
    assert release.manifest.rights == RightsFacts(
        records=len(METADATA),
        exclusions=0,
        exclusions_used=0,
        other_regions=0,
        base_model="amazon.nova-lite-v1:0",
        responses_by_model={"us.amazon.nova-lite-v1:0": len(METADATA) - len(expected)},
    )
    (stage,) = (each for each in release.manifest.stages if each.stage == "rights")
    assert (stage.input, stage.kept) == (len(METADATA), len(METADATA) - len(expected))
    assert HOSTILE not in str(actual)  # a detail names the key alone
    if NO in expected.values():
        assert actual["no"][1] == "another value of consent"


SUBJECT_KEYS = 'tenant_key = "tenant"\ncontract_key = "contract"\n'
CSV = f"""\
tenant,from,until,caller,contract,note
acme,2026-10-01T12:00:00Z,2026-10-01T18:00:00Z,,,left
,,,arn:aws:sts::*:assumed-role/batch/*,,
,,,,c-1,ended
"{HOSTILE}",,,,,
acme*,,,,,a wildcard is none for tenants
"""
INLINE = f"""\
exclude = [
    {{ tenant = "acme", from = 2026-10-01T14:00:00+02:00, until = 2026-10-01T18:00:00 }},
    {{ caller = "arn:aws:sts::*:assumed-role/batch/*" }},
    {{ contract = "c-1" }},
    {{ tenant = "{HOSTILE}" }},
    {{ tenant = "acme*" }},
]
"""
TOML = f"""\
[[exclude]]
tenant = "acme"
from = 2026-10-01T12:00:00Z
until = "2026-10-01T18:00:00+00:00"
[[exclude]]
caller = "arn:aws:sts::*:assumed-role/batch/*"
[[exclude]]
contract = "c-1"
[[exclude]]
tenant = "{HOSTILE}"
[[exclude]]
tenant = "acme*"
"""


@pytest.mark.parametrize(
    ("files", "section", "places"),
    [
        (
            {"left.csv": "\ufeff" + CSV},
            'exclude_files = "left.csv"\n',
            [f"left.csv:{n}" for n in (2, 3, 4, 5)],
        ),
        (
            {"left.toml": TOML},
            'exclude_files = ["left.toml"]\n',
            [f"left.toml:{n}" for n in (1, 2, 3, 4)],
        ),
        ({}, INLINE, [f"exclude[{n}]" for n in (1, 2, 3, 4)]),
    ],
    ids=["csv", "toml", "inline"],
)
def test_exclusions_apply_within_their_dates(
    files: dict[str, str], section: str, places: list[str], tmp_path: Path, recipe: WriteRecipe
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    second = timedelta(seconds=1)
    acme = {"tenant": "acme"}
    logs = [
        log_record("before", at=NOON - second, metadata=acme),
        log_record("from", at=NOON, metadata=acme),
        log_record("last", at=MIDNIGHT - second, metadata=acme),
        log_record("until", at=MIDNIGHT, metadata=acme),
        log_record("caller", identity={"arn": OTHER}),
        log_record("contract", metadata={"contract": "c-1"}),
        log_record("hostile", metadata={"tenant": HOSTILE}),
        log_record("longer", metadata={"tenant": "acme-2", "contract": "c-11"}),
        log_record("nobody", identity=None),
    ]
    write_logs(tmp_path / "logs", [logs])
    release = build_release(recipe(f"[rights]\n{BASE}{SUBJECT_KEYS}{section}"))
    first, caller, contract, hostile = places
    assert {name: pair for name, pair in reasons(release).items() if pair[0]} == {
        "from": (GONE, first),
        "last": (GONE, first),
        "caller": (GONE, caller),
        "contract": (GONE, contract),
        "hostile": (GONE, hostile),
    }
    assert release.manifest.rights
    assert (release.manifest.rights.exclusions, release.manifest.rights.exclusions_used) == (5, 4)
    assert len(release.manifest.inputs.exclusions_sha256) == len(files)


def test_records_of_other_regions_are_dropped_or_fail_the_gate(
    tmp_path: Path, recipe: WriteRecipe, sluice: RunSluice
) -> None:
    regions = {"here": "us-east-1", "there": "eu-west-1", "nowhere": None}
    logs = [log_record(name, region=region) for name, region in regions.items()]
    write_logs(tmp_path / "logs", [logs])
    section = f'[rights]\n{BASE}regions = ["us-east-1", "us-west-2"]\n'
    release = build_release(recipe(section))
    assert {name: pair for name, pair in reasons(release).items() if pair[0]} == {
        "there": ("rights_region", "eu-west-1"),
        "nowhere": ("rights_region", "no Region"),
    }
    result = sluice("build", recipe(f'{section}other_regions = "fail"\n'), "--json")
    files = tmp_path.glob("lake/releases/sums/*/checks.json")
    path = max(files, key=lambda path: path.stat().st_mtime_ns)
    checks = {each["name"]: each for each in json.loads(path.read_text())["checks"]}
    assert result.code == 1
    assert not checks["rights_regions"]["passed"]
    assert checks["rights_regions"]["severity"] == "fail"
    assert set(checks["rights_regions"]["examples"]) == {"there", "nowhere"}


def test_responses_teach_only_models_that_the_matrix_lists(
    tmp_path: Path, recipe: WriteRecipe
) -> None:
    models = {
        "own": "us.amazon.nova-lite-v1:0",
        "arn": "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0",
        "sibling": "amazon.nova-pro-v1:0",
        "other": "anthropic.claude-3-haiku-20240307-v1:0",
        "labelled": "anthropic.claude-3-haiku-20240307-v1:0",
        "listed": "openai.gpt-oss-120b-1:0",
        "none": None,
        "hostile": "*",
    }
    logs = [log_record(name, modelId=model) for name, model in models.items()]
    # The same question, answered by two models: the answer that may teach survives.
    twin: dict[str, Any] = {"ask": "What is 2 plus 2? End with #### and the number."}
    logs += [
        make_record(**twin, request_id="twin-own"),
        make_record(
            **twin, request_id="twin-other", modelId=models["other"], at=NOON + timedelta(1 / 24)
        ),
    ]
    write_logs(tmp_path / "logs", [logs])
    (tmp_path / "labels.jsonl").write_text(
        json.dumps({"request_id": "labelled", "final_answer": "7"}) + "\n"
    )
    path = recipe(
        '[answer]\nfrom = ["labels", "logged"]\nlabels = "labels.jsonl"\n[rights]\n'
        'base_model = "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0:300k"\n'
        'training_matrix = { "openai.gpt-oss-*" = ["amazon.nova-*"], "*" = ["meta.*"] }\n'
    )
    release = build_release(path)
    actual = reasons(release)
    assert {name: pair for name, pair in actual.items() if pair[0]} == {
        "sibling": ("rights_reference_model", "amazon.nova-pro-v1:0"),
        "other": ("rights_reference_model", models["other"]),
        "none": ("rights_reference_model", "no model id"),
        "hostile": ("rights_reference_model", "*"),
        "twin-other": ("curate_exact_duplicate", None),
    }
    assert release.manifest.rights
    assert release.manifest.rights.responses_by_model == {
        "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0": 1,
        "openai.gpt-oss-120b-1:0": 1,
        "us.amazon.nova-lite-v1:0": 2,
    }


@pytest.mark.parametrize(
    ("section", "files", "message"),
    [
        ('consent_key = "c"', {}, "give consent_key and consent_values, or neither"),
        ('not_opted_out = ["no"]', {}, "not_opted_out needs opt_out_key"),
        ('missing = "keep"', {}, "missing needs consent_key or opt_out_key"),
        ("exclude = [{ until = 2026-10-01 }]", {}, "name at least one of tenant, caller, contract"),
        ('exclude = [{ tenant = "a" }]', {}, "exclude names a tenant, but there is no tenant_key"),
        (
            'exclude = [{ caller = "a", from = 2026-10-02, until = 2026-10-02 }]',
            {},
            "from must be before until",
        ),
        ('exclude = [{ user = "a" }]', {}, "unknown key"),
        ('regions = ["mars"]', {}, "regions"),
        ('exclude_files = "x.csv"', {}, "exclusion list x.csv: no such file"),
        ('exclude_files = "x.json"', {"x.json": "[]"}, "must end in one of .csv, .toml"),
        (
            'exclude_files = "x.csv"',
            {"x.csv": "caller,tennant\na,b\n"},
            "x.csv:2: unknown key 'tennant'",
        ),
        (
            'exclude_files = "x.csv"',
            {"x.csv": "caller,until\na,soon\n"},
            "x.csv:2: until is not a date",
        ),
        (
            'exclude_files = "x.csv"',
            {"x.csv": "caller,note\n,who?\n"},
            "x.csv:2: name at least one",
        ),
        (
            'exclude_files = "x.csv"',
            {"x.csv": "tenant\na\n"},
            "x.csv:2: names a tenant, but [rights]",
        ),
        ('exclude_files = "x.toml"', {"x.toml": "exclude = 1"}, "other keys than [[exclude]]"),
        (
            'exclude_files = "x.toml"',
            {"x.toml": "[[exclude]]\ncaller = 3"},
            "x.toml:1: caller must be",
        ),
    ],
)
def test_a_wrong_section_or_list_is_refused(
    section: str,
    files: dict[str, str],
    message: str,
    tmp_path: Path,
    recipe: WriteRecipe,
    sluice: RunSluice,
) -> None:
    write_logs(tmp_path / "logs", [[log_record("one")]])
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    result = sluice("build", recipe(f"[rights]\n{BASE}{section}\n"))
    assert (result.code, result.out) == (2, "")
    assert message in " ".join(result.err.split())


def test_answers_of_responses_need_a_base_model(recipe: WriteRecipe, sluice: RunSluice) -> None:
    result = sluice("validate", recipe('[rights]\nregions = ["us-east-1"]\n'))
    assert result.code == 2
    assert "[rights] needs base_model, or [train] a model" in " ".join(result.err.split())
