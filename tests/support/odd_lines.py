"""Lines of a dataset, sound ones and ones with a few odd values in them, made from a seed."""

import json
from collections.abc import Iterator
from copy import deepcopy
from random import Random
from typing import Any

Json = dict[str, Any]

USER = {"role": "user", "content": "What is 6 × 12?\nAnswer after ####."}
SYSTEM = {"role": "system", "content": "You count."}
REPLY = {"role": "assistant", "content": "#### 72"}
FUNCTION = {"name": "f", "arguments": '{"a": 1}'}
CALLING = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "t", "type": "function", "function": FUNCTION}],
}
RESULT = {"role": "tool", "content": "4", "tool_call_id": "t"}
SCHEMA = {"type": "object", "properties": {"a": {}}, "required": ["a"]}
TOOL = {"type": "function", "function": {"name": "f", "description": "F.", "parameters": SCHEMA}}
CHATS: list[list[Json]] = [
    [USER],
    [SYSTEM, USER],
    [SYSTEM, USER, REPLY, USER],
    [USER, CALLING, RESULT, USER],
]
REFERENCES = [
    {"final_answer": "72", "steps": []},
    {"answer": "25"},
    {"answer": "Bern"},
    {"tool_called": "f", "tool_parameters": {}, "expected_behavior": "Call f."},
    {"code": "x", "test_cases": [{"input": "1", "output": "1", "expected_output": "1"}]},
    {"ground_truth": ["f(a=1)"]},
    "so it is\n#### 72",
]
VALUES = [
    *(None, "", " \n", "\x1c", "\u00a0", "a", "é", "user: x", "<image>", 7, 1.5, True, [], {}),
    *("system", "user", "assistant", "tool", "developer", "User", ["user"], {"answer": "x"}),
    *([{"type": "text", "text": "a"}], [{"type": "text", "text": " "}], [{"type": "image"}]),
    *(USER, SYSTEM, REPLY, RESULT, [USER], [TOOL], "#### 1,234", {"prompt": "x"}),
]
KEYS = [
    *("id", "messages", "role", "content", "tool_calls", "tool_call_id", "tools", "name", "text"),
    *("reference_answer", "metadata", "answer", "prompt", "question", "ground_truth", "x"),
]


def odd_lines(number: int, seed: int) -> Iterator[str]:
    """Make lines as JSON texts, about one in five of them sound."""
    rng = Random(seed)
    for _ in range(number):
        line: Json = {
            "id": "a",
            "messages": deepcopy(rng.choice(CHATS)),
            "reference_answer": deepcopy(rng.choice(REFERENCES)),
        }
        if rng.random() < 0.3:
            line["tools"] = [deepcopy(TOOL)]
        for _ in range(rng.choice((0, 1, 1, 2, 3))):
            _change(line, rng)
        text = json.dumps(line, ensure_ascii=rng.random() < 0.5)
        if rng.random() < 0.05:  # a key twice: the last one counts
            key = rng.choice(KEYS)
            text = text.replace('"role": ', f'"{key}": {json.dumps(rng.choice(VALUES))}, "role": ')
        yield text


def _change(line: Json, rng: Random) -> None:
    """Replace, remove or add a value somewhere."""
    places = list(_places(line))
    container, key = rng.choice(places)
    value = deepcopy(rng.choice(VALUES))
    match rng.random():
        case share if share < 0.5:
            container[key] = value
        case share if share < 0.75:
            del container[key]
        case _ if isinstance(container, list):
            container.insert(key, value)
        case _:
            container[rng.choice(KEYS)] = value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each container within a value, with each of its keys or positions."""
    match value:
        case dict():
            keys: list[Any] = list(value)
        case list():
            keys = list(range(len(value)))
        case _:
            return
    for key in keys:
        yield value, key
        yield from _places(value[key])
