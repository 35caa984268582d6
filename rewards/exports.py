"""The lines of a release as other trainers read them: one row a line, the same bytes each time.

    bedrock      the lines as they are
    openai-rft   `messages`, `tools`, and the other fields beside them, for `{{ item.… }}`
    verl         `data_source, prompt, ability, reward_model, extra_info`; JSONL and Parquet
    trl          `prompt, ground_truth` and what else a line has; JSONL and Parquet, for GRPO

Rows for `verl` and `trl` hold a reference that is an object as JSON text, and `tools` too: a column
of Parquet has one type.
Sources: verl, "Prepare Data for Post-Training"; TRL, "Dataset formats"; OpenAI, "Reinforcement
fine-tuning"; SageMaker, "Customize models with RFT".
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_sluice.rewards.templates.base import OWN_KEYS
from bedrock_sluice.transforms.errors import ConfigError

ExportFormat = Literal["verl", "trl", "openai-rft", "bedrock"]
FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)
PARQUET_FORMATS: tuple[ExportFormat, ...] = ("verl", "trl")
DATA_SOURCE, ABILITY = "data_source", "domain"  # fields of a line that verl has columns for
JUDGE_TEMPLATE = "judge"

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a line comes from: a side of the split, and the recipe's name and template."""

    split: str
    recipe: str
    template: str


def export_lines(kind: ExportFormat, source: Path, target: Path, origin: Origin) -> int:
    """Write the lines of a JSONL file as rows of another one, and return how many there are."""
    if kind == "bedrock":
        shutil.copyfile(source, target)
        with target.open("rb") as file:
            return sum(1 for _ in file)
    count = 0
    with target.open("wb") as file:
        for row in _rows(kind, source, origin):
            file.write(msgspec.json.encode(row) + b"\n")
            count += 1
    return count


def write_parquet(kind: ExportFormat, source: Path, target: Path, origin: Origin) -> None:
    """Write the lines of a JSONL file as rows of a Parquet file.

    Raises:
        ConfigError: fields of two lines have types that one column can't hold.
    """
    rows = list(_rows(kind, source, origin))
    try:
        table = pa.Table.from_pylist(rows)
    except pa.ArrowException:
        raise ConfigError(
            "the messages or fields of these lines differ in type, which Parquet can't hold; take "
            "the JSONL file (--no-parquet)"
        ) from None
    pq.write_table(table, target, compression="zstd")


def _rows(kind: ExportFormat, source: Path, origin: Origin) -> Iterator[Row]:
    convert = _CONVERTERS[kind]
    with source.open("rb") as file:
        for index, text in enumerate(file):
            yield convert(msgspec.json.decode(text), index, origin)


def _verl_row(line: Mapping[str, Any], index: int, origin: Origin) -> Row:
    further = _further(line)
    return {
        "data_source": str(further.pop(DATA_SOURCE, origin.recipe)),
        "prompt": line["messages"],
        "ability": str(further.pop(ABILITY, origin.template)),
        "reward_model": {
            "ground_truth": _as_text(line.get("reference_answer")),
            "style": "model" if origin.template == JUDGE_TEMPLATE else "rule",
        },
        "extra_info": {
            "id": line["id"],
            "split": origin.split,
            "index": index,
            **_tools(line),
            **further,
        },
    }


def _trl_row(line: Mapping[str, Any], _: int, origin: Origin) -> Row:  # noqa: ARG001
    return {
        "prompt": line["messages"],
        "ground_truth": _as_text(line.get("reference_answer")),
        "id": line["id"],
        **_tools(line),
        **_further(line, but=("prompt", "ground_truth", "completion")),
    }


def _openai_row(line: Mapping[str, Any], _: int, origin: Origin) -> Row:  # noqa: ARG001
    names = ("messages", "tools")
    first = {name: line[name] for name in names if name in line}
    return {**first, **{name: value for name, value in line.items() if name not in names}}


def _further(line: Mapping[str, Any], but: tuple[str, ...] = ()) -> Row:
    """The passthrough fields; objects and lists as JSON text."""
    values = {key: value for key, value in line.items() if key not in {*OWN_KEYS, *but}}
    return {
        key: value if isinstance(value, str | int | float | None) else _as_text(value)
        for key, value in values.items()
    }


def _tools(line: Mapping[str, Any]) -> Row:
    return {"tools": _as_text(line["tools"])} if "tools" in line else {}


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


_CONVERTERS: dict[ExportFormat, Callable[[Mapping[str, Any], int, Origin], Row]] = {
    "verl": _verl_row,
    "trl": _trl_row,
    "openai-rft": _openai_row,
}
