"""Paths into JSON documents, as JMESPath expressions."""

from typing import Any, NamedTuple

import jmespath
from jmespath.exceptions import JMESPathError, ParseError
from jmespath.functions import Functions

MAX_PATH_CHARS = 1_000
MAX_PATH_DEPTH = 64  # nested nodes of the parsed path; jmespath evaluates them by recursion


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
