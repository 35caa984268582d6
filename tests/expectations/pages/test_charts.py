"""Charts: what they show stands beside them as numbers, and no label can leave its text."""

from xml.etree import ElementTree

import pytest
from support.hostile_texts import HOSTILE_TEXTS
from support.html import Page

from bedrock_sluice.expectations.pages import charts
from bedrock_sluice.expectations.pages.charts import Chart

NUMBERS = [(900, 100), (800, 90), (700, 0)]


def draw_all(labels: list[str]) -> list[Chart]:
    """Every chart that takes labels, and those that take numbers alone."""
    counts = [(label, *pair) for label, pair in zip(labels, NUMBERS * 20, strict=False)]
    return [
        charts.draw_releases(counts),
        charts.draw_days(counts),
        charts.draw_lengths([1, 5, 80, 100_000]),
        charts.draw_rewards([3, 0, 7], (0.0, 1.0)),
    ]


def texts(chart: Chart) -> list[str]:
    """The texts of the picture."""
    root = ElementTree.fromstring(str(chart.svg))  # an error, if it is not XML
    return [each.text or "" for each in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("chart", draw_all(["a", "b", "c"]), ids=lambda chart: chart.title)
def test_a_chart_shows_its_numbers_and_needs_nothing_else(chart: Chart) -> None:
    assert len(chart.headings) == len(chart.rows[0])
    assert chart.description
    page = Page(str(chart.svg))
    assert {"script", "style", "image", "use", "a", "foreignobject"} & set(page.tags) == set()
    names = {name for name, _ in page.attributes}
    assert {"id", "style", "class", "href", "xlink:href"} & names == {"class"}
    assert {value for name, value in page.attributes if name == "aria-hidden"} == {"true"}
    colours = {value for name, value in page.attributes if name in {"fill", "stroke"}}
    assert {each for each in colours if each and not each.startswith("var(")} <= {
        *("none", "transparent", "#000")
    }


def test_hostile_labels_stay_labels() -> None:
    plain = [f"label {k}" for k in range(len(HOSTILE_TEXTS))]
    for hostile_chart, plain_chart in zip(
        draw_all(list(HOSTILE_TEXTS)), draw_all(plain), strict=True
    ):
        hostile_page, plain_page = Page(str(hostile_chart.svg)), Page(str(plain_chart.svg))
        assert hostile_page.tags == plain_page.tags
        assert len(hostile_page.attributes) == len(plain_page.attributes)
        assert all(text.isprintable() for text in texts(hostile_chart))
        assert max(map(len, texts(hostile_chart))) <= charts.MAX_LABEL_CHARACTERS + 1


def test_names_of_built_in_objects_are_labels_too() -> None:
    chart = charts.draw_releases([("__proto__", 3, 1), ("constructor", 1, 2), ("toString", 1, 1)])
    assert {"__proto__", "constructor", "toString"} <= set(texts(chart))


def test_the_same_numbers_give_the_same_bytes() -> None:
    assert draw_all(["a", "b"]) == draw_all(["a", "b"])


def test_a_chart_of_nothing_is_a_chart() -> None:
    drawn_charts = [
        *(charts.draw_releases([]), charts.draw_days([])),
        *(charts.draw_lengths([]), charts.draw_rewards([], (0.0, 1.0))),
    ]
    assert all(str(chart.svg).startswith("<svg ") for chart in drawn_charts)


def test_the_last_bin_of_lengths_holds_the_longest() -> None:
    chart = charts.draw_lengths([*range(1, 1000), 50_000])
    assert chart.rows[0] == ("0 to 50", 49)
    assert chart.rows[-1] == ("1,000 or more", 1)
    assert sum(int(number) for _, number in chart.rows) == 1000


def test_a_table_has_the_bars_that_the_picture_leaves_out() -> None:
    names = [f"release {k}" for k in range(charts.MAX_BARS + 5)]
    chart = charts.draw_releases([(name, 1, 1) for name in names])
    assert [row[0] for row in chart.rows] == names
    assert names[-1] not in texts(chart)
