"""What a template adds to a line: words that ask for the marker, and fields of the label."""

import json
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.rewards.line import instruct, render
from bedrock_sluice.rewards.templates.base import (
    OWN_KEYS,
    Template,
    add_instruction,
    template_named,
    templates,
)
from bedrock_sluice.transforms.errors import ConfigError

Json = dict[str, Any]

SYSTEM = {"role": "system", "content": "You count."}
MATH = template_named("math")


def user(content: object) -> Json:
    return {"role": "user", "content": content}


def assistant(content: object) -> Json:
    return {"role": "assistant", "content": content}


@pytest.mark.parametrize("template", templates().values(), ids=lambda template: template.name)
def test_an_instruction_asks_for_its_marker(template: Template) -> None:
    assert (template.marker is None) == (template.instruction is None)
    assert (template.marker or "") in (template.instruction or "")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([user("6 x 12?")], [user(f"6 x 12?\n\n{MATH.instruction}")]),
        ([SYSTEM, user("6?"), assistant("6"), user("x 12?\n")],
         [SYSTEM, user("6?"), assistant("6"), user(f"x 12?\n\n{MATH.instruction}")]),
        ([user("6?"), assistant("6")], [user(f"6?\n\n{MATH.instruction}"), assistant("6")]),
        ([user("6 x 12? Answer after ####")], None),
        ([{"role": "system", "content": "End with #### N"}, user("6 x 12?")], None),
        ([SYSTEM], None),
        ([user(None)], None),
        ([user([{"type": "text", "text": "6 x 12?"}])], None),
        ([], None),
    ],
)  # fmt: skip
def test_the_last_message_of_the_user_is_made_to_ask(
    before: list[Json], after: list[Json] | None
) -> None:
    kept = json.dumps(before)
    assert add_instruction(before, MATH) == (after or before, after is not None)
    assert json.dumps(before) == kept


@pytest.mark.parametrize("name", ["code", "format", "judge", "tool"])
def test_a_template_without_a_marker_changes_nothing(name: str) -> None:
    assert add_instruction([user("6 x 12?")], template_named(name)) == ([user("6 x 12?")], False)


@pytest.mark.parametrize("name", ["math", "math-openweight", "qa"])
@given(text=st.text(), system=st.text())
def test_once_is_enough(name: str, text: str, system: str) -> None:
    template = template_named(name)
    instructed_messages, _ = add_instruction(
        [{"role": "system", "content": system}, user(text)], template
    )
    assert add_instruction(instructed_messages, template) == (instructed_messages, False)
    assert any(template.marker in (message["content"] or "") for message in instructed_messages)


# --- prompts


def prompts(*contents: str, **columns: object) -> pl.DataFrame:
    rows: list[Json] = [
        {
            "request_id": f"r{place}",
            "messages": json.dumps([user(content)]),
            "reference_answer": '{"final_answer":"72"}',
            "tools": None,
            "request_metadata": None,
            **columns,
        }
        for place, content in enumerate(contents)
    ]
    return pl.DataFrame(rows, schema_overrides={"messages": pl.String})


def test_prompts_are_instructed_one_by_one_and_counted() -> None:
    frame = instruct(prompts("6 x 12?", "7? Use ####"), MATH)
    assert frame["is_instructed"].to_list() == [True, False]
    first, second = frame["messages"].to_list()
    assert json.loads(first) == [user(f"6 x 12?\n\n{MATH.instruction}")]
    assert second == prompts("7? Use ####")["messages"][0]


@pytest.mark.parametrize("template", [MATH, template_named("code")])
def test_no_prompts_are_no_trouble(template: Template) -> None:
    frame = instruct(prompts("6?").clear(), template)
    assert frame.is_empty()
    assert frame["is_instructed"].sum() == 0


def test_a_template_without_words_leaves_prompts_alone() -> None:
    before = prompts("6 x 12?")
    after = instruct(before, template_named("code"))
    assert after.drop("is_instructed").equals(before)
    assert not after["is_instructed"].any()


# --- fields of a label


def test_fields_of_a_label_ride_along() -> None:
    label = {"task_id": "t", "domain": None, "data_source": {1}, "novel": 1, "final_answer": "72"}
    assert MATH.passthrough({**label, "difficulty_level": 3}) == {
        "task_id": "t",
        "difficulty_level": 3,
    }


def test_they_stand_on_the_line_and_go_before_metadata() -> None:
    frame = prompts("6?", passthrough='{"domain":"maths"}')
    forged_metadata = pa.array(
        [[("domain", "FORGED"), ("team", "a")]], pa.map_(pa.string(), pa.string())
    )
    frame = frame.with_columns(request_metadata=pl.Series(forged_metadata))
    (line,) = render(frame, ["domain", "team"])
    assert {**json.loads(line), "domain": "maths", "team": "a"} == json.loads(line)


def test_a_prompt_without_such_fields_has_none() -> None:
    (line,) = render(prompts("6?", passthrough=None), [])
    assert (line,) == tuple(render(prompts("6?"), []))


@pytest.mark.parametrize("key", sorted(OWN_KEYS))
def test_they_never_replace_a_field_of_the_line(key: str) -> None:
    with pytest.raises(ConfigError, match=f"a line has its own {key}"):
        render(prompts("6?", passthrough=json.dumps({key: "x"})), [])


def test_no_template_of_ours_tries_to() -> None:
    assert not any(
        OWN_KEYS.intersection(template.passthrough_fields) for template in templates().values()
    )
