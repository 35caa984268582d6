"""Training lines: decoded once, they say what JSON says; what is plain is told exactly."""

import msgspec
import polars as pl
import pytest
from support.odd_lines import odd_lines

from bedrock_sluice.transforms.chat.messages import chat_of
from bedrock_sluice.transforms.chat.tokens import estimate_tokens
from bedrock_sluice.transforms.chat.training_line import TrainingLine, line_tokens, messages_of

SEED = 20_261_128
NUMBER = 5_000


def of_messages(text: str) -> TrainingLine:
    """A line with this JSON text as its messages."""
    return TrainingLine(f'{{"id":"a","messages":{text}}}')


def test_a_line_is_a_mapping_of_what_json_says() -> None:
    for text in odd_lines(NUMBER, SEED):
        line, content = TrainingLine(text), msgspec.json.decode(text)
        assert dict(line) == content
        assert len(line) == len(content)
        assert line.get("messages", 7) == content.get("messages", 7)
        assert (line.get("tools"), line.get("x", 7)) == (content.get("tools"), content.get("x", 7))


def test_the_chat_of_a_line_is_that_of_its_content() -> None:
    texts = list(odd_lines(NUMBER, SEED + 1))
    lines = list(map(TrainingLine, texts))
    contents = [msgspec.json.decode(text) for text in texts]
    chats = [chat_of(content) for content in contents]
    assert [msgspec.to_builtins(line.chat()) for line in lines] == msgspec.to_builtins(chats)
    assert 0 < sum(line.plain_chat is not None for line in lines) < sum(map(bool, chats)) < NUMBER
    tools = [content.get("tools") for content in contents]
    expected = [estimate_tokens(chat, t or ()) for chat, t in zip(chats, tools, strict=True)]
    assert line_tokens(lines).to_list() == expected


def test_messages_are_found_as_they_are_written() -> None:
    texts = ['{"messages": [ {"role":"user"} ], "id": 1}', '{"id": 1}']
    assert messages_of(pl.Series(texts)) == [b'[ {"role":"user"} ]', b""]
    assert [TrainingLine(text).messages_json for text in texts] == [b'[ {"role":"user"} ]', b""]
    assert messages_of(pl.Series([], dtype=pl.String)) == []


@pytest.mark.parametrize(
    ("text", "is_plain"),
    [
        ('[{"role":"user","content":"a"}]', True),
        ('[{"role":"system","content":"a"},{"role":"user","content":"a"}]', True),
        (
            '[{"role":"user","content":"a"},{"role":"assistant","content":"a"},'
            '{"role":"user","content":"a"}]',
            True,
        ),
        ("[]", False),
        ("null", False),
        ("[7]", False),
        ('[{"role":"user","content":""}]', False),
        ('[{"role":"user","content":" \\u001c\\n"}]', False),
        ('[{"role":"user","content":null}]', False),
        ('[{"role":"user","content":[]}]', False),
        ('[{"role":"user"}]', False),
        ('[{"role":"User","content":"a"}]', False),
        ('[{"role":"tool","content":"a"},{"role":"user","content":"a"}]', False),
        ('[{"role":"assistant","content":"a"}]', False),
        ('[{"role":"user","content":"a"},{"role":"system","content":"a"}]', False),
        (
            '[{"role":"user","content":"a"},{"role":"system","content":"a"},'
            '{"role":"user","content":"a"}]',
            False,
        ),
        ('[{"role":"user","content":"a","name":"b"}]', False),
        ('[{"role":"user","content":"a","tool_calls":[]}]', False),
        ('[{"role":"user","content":"a","tool_c\\u0061lls":[]}]', False),
    ],
)
def test_a_chat_is_plain_if_it_is_nothing_but_texts_in_order(text: str, is_plain: bool) -> None:
    assert (of_messages(text).plain_chat is not None) == is_plain


def test_no_lines_have_no_tokens() -> None:
    assert line_tokens([]).to_list() == []


@pytest.mark.parametrize("text", ["[]", '{"x":"\\ud800"}', '{"messages":[{]}', '{"x":1e999}', ""])
def test_what_is_not_the_json_of_an_object_is_refused(text: str) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        TrainingLine(text)
