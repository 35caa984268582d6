"""Metadata filters: their grammar and limits, and that the SQL says what the filter says."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from botocore.loaders import Loader
from botocore.model import ShapeResolver
from botocore.validate import ParamValidator
from hypothesis import assume, given
from hypothesis import strategies as st
from support.protocols import MakeRecord

from bedrock_sluice.lake.duck import query
from bedrock_sluice.sql import statement
from bedrock_sluice.transforms.decode.records import decode_object
from bedrock_sluice.transforms.errors import ConfigError
from bedrock_sluice.transforms.metadata_filter import (
    MAX_CLAUSES,
    MAX_DEPTH,
    Literal,
    parse_filter,
    why_not_native,
)
from bedrock_sluice.transforms.tables import landed_table

Json = dict[str, Any]
Tree = dict[str, Any]
Metadata = Mapping[str, str] | None

EQUALS: Tree = {"equals": {"team": "math"}}


# --- what a filter means


def holds(tree: Tree, metadata: Metadata) -> bool:
    """The meaning of a filter, as plainly as it can be said."""
    if len(tree) != 1:  # a base filter of Bedrock: each of its words, or none
        return all(holds({word: body}, metadata) for word, body in tree.items())
    ((word, body),) = tree.items()
    pairs = metadata or {}
    if word in ("andAll", "orAll"):
        return (all if word == "andAll" else any)(holds(each, metadata) for each in body)
    if word == "not":
        return not holds(body, metadata)
    if word == "exists":
        return body in pairs
    ((key, value),) = body.items()
    is_match = key in pairs and pairs[key] in (value if word == "in" else [value])
    return is_match != (word == "notEquals")


_KEYS = st.sampled_from(["team", "env", "a b", "$since"])
_VALUES = st.sampled_from(["", "math", "dev", "*", "1.0"])
_BASES: st.SearchStrategy[Tree] = (
    st.builds(lambda k, v: {"equals": {k: v}}, _KEYS, _VALUES)
    | st.builds(lambda k, v: {"notEquals": {k: v}}, _KEYS, _VALUES)
    | st.builds(lambda k, vs: {"in": {k: vs}}, _KEYS, st.lists(_VALUES, min_size=1, max_size=3))
    | st.builds(lambda k: {"exists": k}, _KEYS)
    | st.fixed_dictionaries(
        {
            "equals": st.dictionaries(_KEYS, _VALUES, min_size=1, max_size=1),
            "notEquals": st.dictionaries(_KEYS, _VALUES, min_size=1, max_size=1),
        }
    )
    | st.just({})
)
_TREES = st.recursive(
    _BASES,
    lambda inner: (
        st.builds(lambda each: {"not": each}, inner)
        | st.builds(lambda all_: {"andAll": all_}, st.lists(inner, min_size=1, max_size=3))
        | st.builds(lambda any_: {"orAll": any_}, st.lists(inner, min_size=1, max_size=3))
    ),
    max_leaves=6,
)
_METADATA = st.none() | st.dictionaries(_KEYS, _VALUES, max_size=4)


@pytest.fixture(scope="session")
def matches(
    record: MakeRecord, log_object: Callable[[Sequence[Json]], bytes]
) -> Callable[[Tree, Sequence[Metadata]], list[bool]]:
    """Whether sql/select_v1.sql lets records of these metadata through the filter."""

    def run(tree: Tree, metadata_rows: Sequence[Metadata]) -> list[bool]:
        logs = [record(request_id=f"r{n}", metadata=each) for n, each in enumerate(metadata_rows)]
        selection = select(landed_table(decode_object(log_object(logs), "a.json.gz")), tree)
        return selection["reason"].is_null().to_list()

    return run


def select(landed: pa.Table, tree: Tree) -> pl.DataFrame:
    """What sql/select_v1.sql says of landed rows under a filter and nothing else."""
    clauses = [[test.as_parameter() for test in clause] for clause in parse_filter(tree)]
    everything: Json = {"since": None, "until": None, "operations": [], "models": []}
    return query(statement("select_v1"), {"landed": landed}, {**everything, "clauses": clauses})


@given(tree=_TREES, metadata_rows=st.lists(_METADATA, min_size=1, max_size=6))
def test_the_sql_says_what_the_filter_says(
    matches: Callable[[Tree, Sequence[Metadata]], list[bool]],
    tree: Tree,
    metadata_rows: list[Metadata],
) -> None:
    try:
        parse_filter(tree)
    except ConfigError:
        assume(False)
    assert matches(tree, metadata_rows) == [holds(tree, each) for each in metadata_rows]


def _says(clauses: Sequence[Sequence[Literal]], metadata: Metadata) -> bool:
    pairs = metadata or {}

    def one(test: Literal) -> bool:
        is_match = pairs.get(test.key) in test.vals if test.vals else test.key in pairs
        return is_match != test.is_negated

    return all(any(one(test) for test in clause) for clause in clauses)


@given(trees=st.lists(_TREES, min_size=1, max_size=3), metadata=_METADATA)
def test_the_laws_of_de_morgan_hold(trees: list[Tree], metadata: Metadata) -> None:
    nots = [{"not": each} for each in trees]
    pairs: list[tuple[Tree, Tree]] = [
        ({"not": {"andAll": trees}}, {"orAll": nots}),
        ({"not": {"orAll": trees}}, {"andAll": nots}),
        ({"not": {"not": trees[0]}}, trees[0]),
    ]
    for one, other in pairs:
        try:
            both = parse_filter(one), parse_filter(other)
        except ConfigError:
            continue
        assert _says(both[0], metadata) == _says(both[1], metadata) == holds(one, metadata)


def test_clauses_are_a_conjunction_of_disjunctions() -> None:
    tree = {"orAll": [EQUALS, {"andAll": [{"exists": "env"}, {"notEquals": {"env": "dev"}}]}]}
    team = Literal("team", ("math",))
    exists, not_dev = Literal("env", ()), Literal("env", ("dev",), is_negated=True)
    assert parse_filter(tree) == ((team, exists), (team, not_dev))


# --- its grammar


@pytest.mark.parametrize(
    ("tree", "place"),
    [
        ({}, "metadata must be a table"),
        ({"equals": {"a": "b"}, "exists": "a"}, "metadata must be a table"),
        ({"Equals": {"a": "b"}}, "metadata has the unknown word 'Equals'"),
        ({"equals": "a"}, "metadata.equals must hold exactly one key"),
        ({"equals": {}}, "metadata.equals must hold exactly one key"),
        ({"equals": {"a": "b", "c": "d"}}, "metadata.equals must hold exactly one key"),
        ({"equals": {"a": 1}}, "metadata.equals holds 1"),
        ({"equals": {"a": ["b"]}}, "metadata.equals holds ['b']"),
        ({"equals": {"": "b"}}, "metadata.equals holds ''"),
        ({"equals": {"a;b": "c"}}, "metadata.equals holds 'a;b'"),
        ({"notEquals": {"a": "é"}}, "metadata.notEquals holds 'é'"),
        ({"equals": {"k" * 257: "v"}}, "metadata.equals holds"),
        ({"equals": {"k": "v" * 257}}, "metadata.equals holds"),
        ({"in": {"a": []}}, "metadata.in needs a list"),
        ({"in": {"a": "b"}}, "metadata.in needs a list"),
        ({"in": {"a": ["b", "'"]}}, "metadata.in holds"),
        ({"exists": ""}, "metadata.exists holds ''"),
        ({"exists": {"a": "b"}}, "metadata.exists holds"),
        ({"exists": ["a"]}, "metadata.exists holds"),
        ({"not": "a"}, "metadata.not must be a table"),
        ({"not": {}}, "metadata.not must be a table"),
        ({"not": {"orAll": [{}]}}, "metadata.not.orAll[0] is empty"),
        ({"andAll": [{**EQUALS, "exists": "a"}]}, "metadata.andAll[0] must be a table"),
        ({"andAll": []}, "metadata.andAll needs a list of 1 to 16"),
        ({"andAll": EQUALS}, "metadata.andAll needs a list"),
        ({"andAll": [EQUALS] * 17}, "metadata.andAll needs a list of 1 to 16"),
        ({"orAll": [EQUALS, {"oops": 1}]}, "metadata.orAll[1] has the unknown word 'oops'"),
        (
            {"andAll": [EQUALS, {"not": {"orAll": [{"in": {"a": [7]}}]}}]},
            "metadata.andAll[1].not.orAll[0].in holds 7",
        ),
    ],
)
def test_a_wrong_filter_is_told_with_its_place(tree: Tree, place: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse_filter(tree)
    assert str(refusal.value).startswith(place)


@pytest.mark.parametrize("tree", [None, "team", 7, ["a"]])
def test_a_filter_must_be_a_table(tree: Any) -> None:
    with pytest.raises(ConfigError, match="metadata must be a table"):
        parse_filter(tree)


@pytest.mark.parametrize(
    "tree",
    [
        {"equals": {"k" * 256: "v" * 256}},
        {"equals": {"aZ9 :_@$#=/+,-.": ""}},
        {"andAll": [EQUALS] * 16},
        {"in": {"a": ["x"] * 500}},
    ],
)
def test_what_bedrock_can_log_can_be_asked_for(tree: Tree) -> None:
    assert parse_filter(tree)


def _nested(depth: int) -> Tree:
    tree = EQUALS
    for _ in range(depth):
        tree = {"not": tree}
    return tree


def test_nesting_has_a_limit() -> None:
    assert parse_filter(_nested(MAX_DEPTH))
    for depth in (MAX_DEPTH + 1, 5_000):
        with pytest.raises(ConfigError, match=f"nested more than {MAX_DEPTH} deep"):
            parse_filter(_nested(depth))


def test_the_number_of_clauses_has_a_limit() -> None:
    pair = {"andAll": [EQUALS, {"exists": "env"}]}
    assert len(parse_filter({"orAll": [pair] * 9})) == 2**9 <= MAX_CLAUSES
    with pytest.raises(ConfigError, match=r"metadata\.orAll needs 1024 clauses.*write it flatter"):
        parse_filter({"orAll": [pair] * 10})


# --- what Bedrock itself can say


@pytest.mark.parametrize(
    "tree",
    [
        EQUALS,
        {"notEquals": {"a": ""}},
        {"andAll": [EQUALS, {"notEquals": {"a.b/c": "d @x"}}]},
        {"orAll": [EQUALS] * 16},
        {"orAll": [{}]},
        {"andAll": [{**EQUALS, "notEquals": {"env": "dev"}}, {}]},
    ],
)
def test_native_filters_are_known_as_such(tree: Tree) -> None:
    parse_filter(tree)
    assert why_not_native(tree) is None
    shapes = Loader().load_service_model("bedrock", "service-2")["shapes"]
    shape = ShapeResolver(shapes).get_shape_by_name("RequestMetadataFilters")
    assert not ParamValidator().validate(tree, shape).has_errors()


@pytest.mark.parametrize(
    ("tree", "why"),
    [
        ({**EQUALS, "notEquals": {"a": "b"}}, "'equals' and 'notEquals' at once"),
        ({"in": {"a": ["b"]}}, "'in'"),
        ({"exists": "a"}, "'exists'"),
        ({"not": EQUALS}, "'not'"),
        ({"andAll": [{"exists": "a"}]}, "'exists' inside 'andAll'"),
        ({"orAll": [{"andAll": [EQUALS]}]}, "'andAll' inside 'orAll'"),
        ({"andAll": [EQUALS, {"orAll": [EQUALS]}]}, "'orAll' inside 'andAll'"),
        ({"equals": {"a#b": "c"}}, "'a#b'"),
        ({"orAll": [EQUALS, {"notEquals": {"a": "b,c"}}]}, "'a'"),
    ],
)
def test_what_bedrock_cannot_say_is_told(tree: Tree, why: str) -> None:
    parse_filter(tree)
    assert why in (why_not_native(tree) or "")
