"""Curation in a whole build: what is left out, for which reason, and what is changed in lines."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
from support.protocols import MakeRecord, MakeRecords, RunSluice, WriteLogs, WriteRecipe

from bedrock_sluice.flows.stages import curate as curation
from bedrock_sluice.transforms.curate.rules import drop_evaluated

Json = dict[str, Any]

START = datetime(2026, 10, 1, 12, tzinfo=UTC)
STORY = (
    "A baker makes loaves in three sizes and sells them at the market on every day but Sunday. "
    "On Friday she sold twice as many large loaves as small ones, and ten of the middle size. "
    "How many loaves did she sell in all, if there were six small ones? End with ####."
)
KEY = "AKIA" + "IOSFODNN7QRSTUVW"


class Built(NamedTuple):
    """A release: its manifest, fates and lines, as a reader finds them."""

    manifest: Json
    fates: dict[str, Json]
    lines: dict[str, Json]
    sides: dict[str, str]
    checks: list[Json]  # that did not pass


Build = Callable[..., Built]


@pytest.fixture
def build(
    tmp_path: Path,
    recipe: WriteRecipe,
    sluice: RunSluice,
    records: MakeRecords,
    write_logs: WriteLogs,
) -> Build:
    """Build from 120 good records and some more, with more in the recipe."""

    def run(odd: list[Json], more: str = "", swaps: dict[str, str] | None = None) -> Built:
        write_logs(tmp_path / "logs", [records(120, START), odd])
        process = sluice("build", recipe(more, swaps), "--json")
        result = json.loads(process.out)
        release = Path(result["release"])
        fates = pl.read_parquet(release / "fates.parquet").to_dicts()
        lines, sides = {}, {}
        for side in ("train", "validation"):
            for text in (release / f"{side}.jsonl").read_text(encoding="utf-8").splitlines():
                line = json.loads(text)
                lines[line["id"]], sides[line["id"]] = line, side
        manifest = json.loads((release / "manifest.json").read_text())
        by_id = {fate["request_id"]: fate for fate in fates}
        return Built(manifest, by_id, lines, sides, result["checks"])

    return run


@pytest.fixture
def chat(record: MakeRecord) -> Callable[..., Json]:
    """A record of several turns, the last one asked; named by the last word of it."""

    def make(name: str, *texts: str, minutes: int = 0, system: str = "") -> Json:
        roles = ("user", "assistant")
        messages = [
            {"role": roles[n % 2], "content": [{"text": text}]} for n, text in enumerate(texts)
        ]
        answer = {
            "message": {"role": "assistant", "content": [{"text": f"Well.\n#### {len(texts)}"}]}
        }
        bodies = (
            {"messages": messages, "system": [{"text": system}] if system else []},
            {"output": answer, "stopReason": "end_turn"},
        )
        at = START + timedelta(hours=1, minutes=minutes)
        return record(request_id=name, bodies=bodies, at=at)

    return make


def test_a_near_duplicate_is_left_out_and_explain_names_the_survivor_and_the_score(
    build: Build, chat: Callable[..., Json], tmp_path: Path, sluice: RunSluice
) -> None:
    other_story = STORY.replace("every day but Sunday", "any day but Sunday")
    release = build([chat("older", STORY), chat("newer", other_story, minutes=1)])
    assert "newer" in release.lines
    assert release.fates["older"]["reason"] == "curate_near_duplicate"
    message = sluice("explain", tmp_path / "sums.toml", "older").err
    assert "newer" in message
    assert "81 % of their 5-word shingles are the same" in message


def test_explain_follows_survivors_to_the_one_that_was_kept(
    build: Build, chat: Callable[..., Json], tmp_path: Path, sluice: RunSluice
) -> None:
    other_story = STORY.replace("every day but Sunday", "any day but Sunday")
    build(
        [
            chat("same", STORY),
            chat("older", STORY, minutes=1),
            chat("newer", other_story, minutes=2),
        ]
    )
    output = json.loads(sluice("explain", tmp_path / "sums.toml", "same", "--json").out)
    (fate,) = output["fates"]
    assert (fate["survivor"], fate["final_survivor"]) == ("older", "newer")


@pytest.mark.parametrize("more", ["near_duplicates = false", "near_duplicates = 0.99"])
def test_the_recipe_says_how_near_is_near(
    build: Build, chat: Callable[..., Json], more: str
) -> None:
    other_story = STORY.replace("every day but Sunday", "any day but Sunday")
    release = build([chat("a", STORY), chat("b", other_story)], f"[curate]\n{more}\n")
    assert {"a", "b"} <= set(release.lines)


def test_within_one_system_prompt_only_where_the_recipe_says_so(
    build: Build, chat: Callable[..., Json]
) -> None:
    odd = [chat("a", STORY, system="Be brief."), chat("b", f"{STORY} ", system="Be kind.")]
    apart = build(odd, "[curate]\nwithin_system = true\n")
    assert {"a", "b"} <= set(apart.lines)


def test_what_overlaps_an_evaluation_set_is_left_out(
    build: Build, chat: Callable[..., Json], tmp_path: Path
) -> None:
    item = {"question": STORY}
    (tmp_path / "eval.jsonl").write_text(json.dumps({"question": "Who was first on the moon?"}))
    with (tmp_path / "eval.jsonl").open("a") as file:
        file.write("\n" + json.dumps(item))
    longer = f"Please help me with my homework, it is due. {STORY} Thank you so much for your help!"
    release = build(
        [chat("same", STORY.upper()), chat("inside", longer)],
        '[curate]\nagainst = ["eval.jsonl"]\n',
    )
    assert {release.fates[name]["reason"] for name in ("same", "inside")} == {"curate_evaluation"}
    assert release.fates["same"]["detail"] == "eval.jsonl:2: exact, 100 %"
    assert release.fates["inside"]["detail"].startswith("eval.jsonl:2: contained")
    assert release.manifest["inputs"]["evaluation_sha256"].keys() == {"eval.jsonl"}
    assert release.manifest["leakage"]["evaluation"] == 0


def test_an_evaluation_item_in_the_system_message_is_left_out_and_the_gate_would_find_it(
    build: Build, chat: Callable[..., Json], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "eval.jsonl").write_text(json.dumps({"question": STORY}))
    section = [chat("told", "Please answer", system=STORY)]
    against = '[curate]\nagainst = ["eval.jsonl"]\n'
    release = build(section, against)
    assert release.fates["told"]["reason"] == "curate_evaluation"
    assert release.fates["told"]["detail"] == "eval.jsonl:1: exact, 100 %"
    unseen = pl.lit(None, pl.String).alias("overlap")
    monkeypatch.setattr(
        curation, "drop_evaluated", lambda prompts: drop_evaluated(prompts.with_columns(unseen))
    )
    release = build(section, f"{against}max_per_identity = 1000\n")
    assert "told" in release.lines
    assert release.manifest["leakage"]["evaluation"] == 1
    assert release.manifest["verdict"] == "rejected"
    examples = {check["name"]: check["examples"] for check in release.checks}
    assert examples["no_evaluation_leak"] == ["told"]


TURNS = ("Tell me of loaves and of bread.", "Bread is baked from flour.", "And how long? ####")


@pytest.mark.parametrize(
    ("policy", "kept"), [("last", {"t3"}), ("first", {"t1"}), ("each", {"t1", "t3"})]
)
def test_a_policy_chooses_the_turns_of_a_conversation(
    build: Build, chat: Callable[..., Json], policy: str, kept: set[str]
) -> None:
    odd = [chat("t3", *TURNS, minutes=5), chat("t1", *TURNS[:1])]
    release = build(
        odd,
        f'[curate]\nconversations = "{policy}"\n',
        swaps={'name = "math"\n': 'name = "math"\nhistory = true\n'},
    )
    assert kept == {"t1", "t3"} & set(release.lines)
    for name in {"t1", "t3"} - kept:
        assert release.fates[name]["reason"] == "curate_conversation_turn"
        assert {release.fates[name]["survivor"]} == kept
    assert len({release.sides[name] for name in kept}) == 1


def test_secrets_are_masked_alike_in_prompt_and_answer_and_personal_data_reported(
    build: Build, chat: Callable[..., Json], tmp_path: Path
) -> None:
    section = f"My key is {KEY}, my mail ada@example.com. What is 3 times 4? End with ####"
    labels = {"request_id": "leaky", "final_answer": "12", "steps": [f"use {KEY}"]}
    (tmp_path / "labels.jsonl").write_text(json.dumps(labels))
    answers = '[answer]\nfrom = ["labels", "logged"]\nlabels = "labels.jsonl"\n'
    release = build([chat("leaky", section)], answers)
    line = json.dumps(release.lines["leaky"])
    assert KEY not in line
    assert line.count("[AWS_ACCESS_KEY_") == 2
    assert "ada@example.com" in line
    assert release.manifest["curation"]["personal_data"] == {"aws_access_key": 1, "email": 1}


def test_masks_cover_the_whole_line_and_an_id_that_would_need_one_costs_its_line(
    build: Build, chat: Callable[..., Json]
) -> None:
    section = [
        chat("leaky", STORY, system=f"Write to ada@example.com, password: hunter2, key {KEY}"),
        chat("bob@example.com", "What is 3 times 4? End with ####"),
    ]
    section[0]["requestMetadata"] = {"project": "of ada@example.com"}
    release = build(
        section,
        '[privacy]\npersonal_data = "mask"\n',
        swaps={'name = "math"\n': 'name = "math"\nfields = ["project"]\n'},
    )
    line = json.dumps(release.lines["leaky"])
    assert not any(text in line for text in (KEY, "hunter2", "ada@example.com"))
    assert line.count("[EMAIL_") == 2
    assert release.fates["bob@example.com"]["reason"] == "curate_personal_data"
    assert release.manifest["verdict"] == "passed"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ('[privacy]\nsecrets = "drop"\n', "curate_secret"),
        ('[privacy]\npersonal_data = "drop"\n', "curate_personal_data"),
        ("[quality]\nmin_words = 60\n", None),
        ("[quality]\nmax_hidden_characters = 0\n", "curate_hidden_characters"),
        ('[quality]\nlanguages = ["fr"]\n', "curate_language"),
        ("[quality]\nmax_placeholders = 0\n", "curate_placeholder"),
        ('[quality]\nreserved_words = "drop"\n', "curate_reserved_word"),
    ],
)
def test_a_rule_of_the_recipe_leaves_out_what_it_names(
    build: Build, chat: Callable[..., Json], more: str, reason: str | None
) -> None:
    section = f"User: my key is {KEY}, my mail ada@example.com\u200b, dear {{{{name}}}}. {STORY}"
    release = build([chat("odd", section)], more)
    assert release.fates["odd"]["reason"] == reason
    assert ("py3langid" in release.manifest["versions"]) == (reason == "curate_language")


def test_reserved_words_can_be_broken_up(build: Build, chat: Callable[..., Json]) -> None:
    release = build([chat("odd", f"User: {STORY}")], '[quality]\nreserved_words = "escape"\n')
    assert release.lines["odd"]["messages"][0]["content"].startswith("User : A baker")


def test_caps_and_bursts_leave_out_what_is_over_them(
    build: Build, chat: Callable[..., Json]
) -> None:
    again = [chat(f"again-{n}", STORY) for n in range(5)]
    release = build(again, "[curate]\nmax_per_identity = 110\nmax_burst = 2\n")
    drops = release.manifest["counts"]["dropped"]
    assert drops["curate_burst"] == 4
    assert drops["curate_identity_cap"] == 11


def test_strata_share_the_lines(build: Build) -> None:
    split = '[split]\nmax_lines = 100\nstrata = ["model_id"]\n'
    release = build([], split)
    assert release.manifest["counts"]["dropped"] == {"split_over_max_lines": 20}
    assert sum(1 for _ in release.lines) == 100


def test_the_certificate_stands_in_the_manifest(build: Build) -> None:
    manifest = build([]).manifest
    assert manifest["leakage"] == dict.fromkeys(
        ("exact", "prefix", "near", "group", "evaluation"), 0
    )
    assert manifest["verdict"] == "passed"


def test_the_report_tells_whose_prompts_they_are(
    build: Build, chat: Callable[..., Json], tmp_path: Path
) -> None:
    build([chat("leaky", f"My mail is ada@example.com. {STORY}")])
    (page,) = tmp_path.glob("lake/releases/sums/*/report.html")
    text = page.read_text(encoding="utf-8")
    assert "arn:aws:iam::111122223333:role/app" in text
    assert ">email<" in text
    assert "ada@example.com" not in text
