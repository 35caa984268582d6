"""Answers extracted from logged responses, by a regular expression or a path into their JSON."""

from typing import Any, NamedTuple

import jmespath
import msgspec
import polars as pl
from jmespath.exceptions import JMESPathError, ParseError
from jmespath.functions import Functions

from bedrock_sluice.transforms.chat.messages import Message
from bedrock_sluice.transforms.decode.json_limits import check_limits
from bedrock_sluice.transforms.derived_metadata import pattern_fault
from bedrock_sluice.transforms.errors import InputError

MAX_PATTERN_CHARS = 1_000
MAX_PATH_CHARS = 1_000
MAX_PATH_DEPTH = 64  # nested nodes of the parsed path; jmespath evaluates them by recursion

_FENCE = "```"
_RESPONSE = msgspec.json.Decoder(Message)


class JsonPath(NamedTuple):
    """A parsed JMESPath expression; make one with `parse_path`."""

    expression: jmespath.parser.ParsedResult

    def search(self, document: Any) -> Any:
        """Return the value at the path; None if there is none, or if a function rejects it."""
        try:
            return self.expression.search(document)
        # Functions raise these for values that they do not take, such as `length` of a number.
        except (JMESPathError, TypeError, ArithmeticError, RecursionError):
            return None


class Extraction(NamedTuple):
    """Where an answer is in a response: the only group of a pattern, or a path into its JSON."""

    pattern: str | None = None
    path: JsonPath | None = None


def extraction_fault(pattern: str) -> str | None:
    """Return why a pattern cannot be used to extract an answer; None if it can."""
    if len(pattern) > MAX_PATTERN_CHARS:
        return f"is over {MAX_PATTERN_CHARS} characters long"
    fault = pattern_fault(pattern)
    if fault:
        return fault
    groups = pl.Series([""]).str.extract_groups(pattern).struct.fields
    return None if len(groups) == 1 else "needs one group; write the others as `(?:…)`"


def parse_path(text: str) -> JsonPath:
    """Parse a JMESPath expression, such as `result.items[-1]."total cost"`.

    Raises:
        ValueError: it is not valid, is too long or too deeply nested, or calls a function that
            does not exist or with a wrong number of arguments. The message says where.
    """
    if not 0 < len(text) <= MAX_PATH_CHARS:
        raise ValueError(f"needs 1 to {MAX_PATH_CHARS} characters, as in `result.total`")
    try:
        expression = jmespath.compile(text)
    except ParseError as error:
        raise ValueError(
            f"is not a JMESPath expression: error at character {error.lex_position + 1}; write it "
            'as `a.b[0]`, with names other than letters, digits and `_` in quotes: `a."c d"`'
        ) from None
    except RecursionError:
        raise ValueError(f"is nested over {MAX_PATH_DEPTH} levels deep") from None
    _check_nodes(expression.parsed)
    return JsonPath(expression)


def _check_nodes(root: dict[str, Any]) -> None:
    """Check the depth and the function calls, which jmespath checks only when it evaluates them."""
    nodes = [(root, 1)]
    while nodes:
        node, depth = nodes.pop()
        if depth > MAX_PATH_DEPTH:
            raise ValueError(f"is nested over {MAX_PATH_DEPTH} levels deep")
        children = node["children"]
        if node["type"] == "function_expression":
            function = Functions.FUNCTION_TABLE.get(node["value"])
            if function is None:
                raise ValueError(f"calls {node['value']}(), which is not a function of JMESPath")
            parameters = function["signature"]
            is_variadic = bool(parameters) and parameters[-1].get("variadic", False)
            if len(children) < len(parameters) or (
                len(children) > len(parameters) and not is_variadic
            ):
                raise ValueError(
                    f"calls {node['value']}() with {len(children)} arguments; "
                    f"it takes {len(parameters)}{' or more' if is_variadic else ''}"
                )
        nodes += [(child, depth + 1) for child in children if isinstance(child, dict)]


def extract(responses: pl.Series, extraction: Extraction) -> list[Any]:
    """Return the value that each response (JSON of a chat message) has there; None if none.

    A path is evaluated on the arguments of the tool call, if there is exactly one; else on the
    content, with or without a fence of three backticks around it.
    """
    messages = [_RESPONSE.decode(response) for response in responses]
    if extraction.pattern is not None:
        contents = pl.Series([message.content for message in messages], dtype=pl.String)
        return contents.str.extract(extraction.pattern, 1).to_list()
    if extraction.path is None:
        return [None] * len(messages)
    return [extraction.path.search(_decode_document(message)) for message in messages]


def _decode_document(message: Message) -> Any:
    if len(message.tool_calls) == 1:
        text = message.tool_calls[0].function.arguments
    else:
        text = _strip_fence((message.content or "").strip())
    try:
        check_limits(text.encode())
        return msgspec.json.decode(text)
    except (InputError, ValueError, RecursionError):
        return None


def _strip_fence(text: str) -> str:
    """Remove a fence around the whole text. A pattern for it would backtrack on hostile text."""
    if not (text.startswith(_FENCE) and text.endswith(_FENCE)):
        return text
    language, _, inner = text[len(_FENCE) : -len(_FENCE)].partition("\n")
    language = language.strip()
    return inner if not language or (language.isascii() and language.isalpha()) else text
