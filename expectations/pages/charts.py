"""Charts as SVG within a page, each with its numbers as rows of a table.

Charts are plain Vega-Lite, which vl-convert renders without a browser or a network. Colours are
variables of `page.css`, with the light ones where a chart stands alone: so one SVG serves light and
dark pages and print. The second of two series is paler and has an outline, to differ in grey, too.
Labels have a font of fixed width: the room for them is computed here, and the font is the reader's.

The first chart of a process takes about a second, in which vl-convert starts its engine, the others
less than 0.1 s each. The start holds the interpreter lock, so a thread of its own gains nothing:
builds and `sluice report` render in another process (`use_renderer`), which starts it beforehand
(`prepare_charts`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from bedrock_sluice.expectations.pages.page import format_number
from bedrock_sluice.transforms.printable import printable

WIDTH = 520  # pixels: scaled to a phone, the text is still 9 pixels high
FONT_PIXELS = 12
ROW_PIXELS = 26
HEIGHT = 190  # pixels, of charts whose bars stand
MAX_LABEL_CHARACTERS = 24  # a release id has 23
MAX_BARS = 20  # of a chart with one row a name; the table has them all
BINS = 20

TEXT, QUIET, LINE = "var(--text, #1b2430)", "var(--quiet, #55617a)", "var(--line, #d5dce6)"
FIRST, SECOND = "var(--bar, #3b78c2)", "var(--bar-2, #b4530a)"
SECOND_FILL = "var(--bar-2-pale, #e3b592)"
_HEADROOM = 1.15  # of an axis, for the numbers at the ends of bars
_AXIS = {
    "labelColor": QUIET,
    "labelFont": "monospace",
    "labelFontSize": FONT_PIXELS,
    "labelLimit": 0,  # in pixels; `_label` limits the characters
    "titleColor": QUIET,
    "titleFontSize": FONT_PIXELS,
    "titleFontWeight": "normal",
    "gridColor": LINE,
    "domainColor": LINE,
    "tickColor": LINE,
}
_CONFIG = {
    "aria": False,
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": _AXIS,
    "legend": {
        "orient": "top",
        "title": None,
        "labelColor": TEXT,
        "labelFontSize": FONT_PIXELS,
        "symbolType": "square",
    },
}

Spec = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture and its numbers.

    `description` says in words what the picture shows. A heading that starts with `#` is one of
    numbers, as in the tables of `macros.html.j2`.
    """

    title: str
    description: str
    svg: Markup
    headings: tuple[str, ...]
    rows: list[tuple[str | int | float, ...]]


def prepare_charts() -> None:
    """Start the engine: about a second of work, in which no other thread runs Python."""
    _render({"mark": "bar", "data": {"values": []}})


def draw_releases(sizes: Sequence[tuple[str, int, int]]) -> Chart:
    """Draw the lines of releases: a label, the lines for training, those for validation."""
    bars = [(name, (train, validation)) for name, train, validation in sizes]
    totals = [sum(numbers) for _, numbers in bars] or [0]
    return Chart(
        title="Lines of each release",
        description=f"{len(bars)} releases with {min(totals):,} to {max(totals):,} lines",
        svg=_stacked_bars(bars[:MAX_BARS], ("train", "validation"), "lines"),
        headings=("release", "#train", "#validation"),
        rows=list(sizes),
    )


def draw_days(lines: Sequence[tuple[str, int, int]]) -> Chart:
    """Draw lines per day: the day, the lines for training, those for validation."""
    series = ("train", "validation")
    values = [
        {"day": _label(day), "lines": number, "series": name, "order": k}
        for day, *numbers in lines
        for k, (name, number) in enumerate(zip(series, numbers, strict=True))
    ]
    spec = {
        "data": {"values": values},
        "width": WIDTH,
        "height": HEIGHT,
        "mark": {"type": "bar"},
        "encoding": {
            "x": {
                "field": "day",
                "type": "ordinal",
                "sort": None,
                "axis": {"title": None, "labelAngle": 0, "labelOverlap": True},
            },
            "y": _quantity("lines"),
            **_two_series(series),
        },
    }
    most = max(lines, key=lambda each: each[1] + each[2], default=("no day", 0, 0))
    return Chart(
        title="Lines per day",
        description=f"{len(lines)} days; most lines, {most[1] + most[2]:,}, on {most[0]}",
        svg=_render(spec),
        headings=("day", "#train", "#validation"),
        rows=list(lines),
    )


def draw_lengths(lengths: Sequence[int], unit: str = "tokens") -> Chart:
    """Draw how many lines have which length, in `unit`; the last bin holds the longest 1 %."""
    sorted_lengths = sorted(lengths) or [0]
    top = sorted_lengths[int(0.99 * (len(sorted_lengths) - 1))]
    step = _round_step(top)
    bins = top // step + 1
    counts = [0] * (bins + 1)
    for length in lengths:
        counts[min(length // step, bins)] += 1
    rows = [(f"{k * step:,} to {(k + 1) * step:,}", number) for k, number in enumerate(counts)]
    rows[-1:] = [(f"{bins * step:,} or more", counts[-1])] if counts[-1] else []
    edges = [float(k * step) for k in range(len(rows) + 1)]
    words = f"median {sorted_lengths[len(sorted_lengths) // 2]:,} {unit}"
    return _histogram("Length of the lines", words, unit, edges, rows)


def draw_rewards(counts: Sequence[int], edges: tuple[float, float]) -> Chart:
    """Draw how many responses got which reward: bins of equal width between the edges."""
    low, high = edges
    limits = [low + (high - low) * k / max(len(counts), 1) for k in range(len(counts) + 1)]
    rows = [(f"{limits[k]:.4g} to {limits[k + 1]:.4g}", number) for k, number in enumerate(counts)]
    title, words = "Rewards of the logged responses", f"from {low:.4g} to {high:.4g}"
    return _histogram(title, words, "reward", limits, rows)


def draw_steps(title: str, unit: str, series: Mapping[str, Sequence[tuple[int, float]]]) -> Chart:
    """Draw lines over the steps of a training run: pairs of step and value, by the line's name.

    There are at most two lines; the second is dashed, so that it differs in grey, too.
    """
    names = list(series)[:2]
    values = [
        {"step": step, "value": value, "series": name}
        for name in names
        for step, value in series[name]
    ]
    domain = _pad_range([value for name in names for _, value in series[name]])
    ranges: Spec = {"stroke": [FIRST, SECOND], "strokeDash": [[1, 0], [6, 3]]}
    by_series = {"field": "series", "type": "nominal", "sort": None}
    styles = {
        channel: {**by_series, "scale": {"domain": names, "range": range_[: len(names)]}}
        for channel, range_ in ranges.items()
    }
    spec = {
        "data": {"values": values},
        "width": WIDTH,
        "height": HEIGHT,
        "mark": {"type": "line", "point": False, "strokeWidth": 2},
        "encoding": {
            "x": _quantity("step", axis={"title": "step", "grid": False, "tickMinStep": 1}),
            "y": _quantity(
                "value",
                axis={"title": None, "tickCount": 5},
                scale={"domain": domain, "nice": True},
            ),
            **(styles if len(names) > 1 else {"stroke": {"value": FIRST}}),
        },
    }
    by_step = {name: dict(pairs) for name, pairs in series.items()}
    steps = sorted({step for pairs in by_step.values() for step in pairs})
    last = [f"{name} {pairs[-1][1]:.4g}" for name, pairs in series.items() if pairs]
    return Chart(
        title=title,
        description=f"{len(steps):,} steps; last {', '.join(last)} ({unit})",
        svg=_render(spec),
        headings=("step", *(f"#{name}" for name in series)),
        rows=[(step, *(by_step[name].get(step, "–") for name in series)) for step in steps],
    )


def _pad_range(values: Sequence[float]) -> list[float]:
    """The range of values, with room above and below; a range of one value gets some, too."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    margin = 0.05 * (high - low) or 0.1 * abs(high) or 0.1
    return [low - margin, high + margin]


def _histogram(
    title: str, words: str, unit: str, edges: Sequence[float], rows: Sequence[tuple[str, int]]
) -> Chart:
    """Draw a bar for each bin: its name and its number, between two edges."""
    values = [
        {"from": edges[k], "to": edges[k + 1], "number": number}
        for k, (_, number) in enumerate(rows)
    ]
    spec = {
        "data": {"values": values},
        "width": WIDTH,
        "height": HEIGHT,
        "mark": {"type": "bar", "color": FIRST, "binSpacing": 1},
        "encoding": {
            "x": {
                "field": "from",
                "bin": "binned",
                "type": "quantitative",
                "axis": {"title": unit, "grid": False, "tickCount": 6},
                "scale": {"zero": False},
            },
            "x2": {"field": "to"},
            "y": _quantity("number"),
        },
    }
    return Chart(
        title=title,
        description=f"{sum(number for _, number in rows):,} values; {words}",
        svg=_render(spec),
        headings=(unit, "#number"),
        rows=list(rows),
    )


def _stacked_bars(
    bars: Sequence[tuple[str, tuple[int, int]]], series: tuple[str, str], unit: str
) -> Markup:
    """Render lying bars of two parts, with the sum of both parts at their ends."""
    # A name may occur twice; `row` keeps the bars apart.
    names = [_label(name) for name, _ in bars]
    values = [
        {"row": k, "number": number, "series": series[i], "order": i}
        for k, (_, numbers) in enumerate(bars)
        for i, number in enumerate(numbers)
    ]
    ends = [
        {"row": k, "end": sum(numbers), "label": format_number(sum(numbers))}
        for k, (_, numbers) in enumerate(bars)
    ]
    most = max((sum(numbers) for _, numbers in bars), default=0)
    axis = {"title": None, "labelExpr": "names[datum.value]", "domain": False, "ticks": False}
    rows = {"field": "row", "type": "ordinal", "axis": axis}
    x_axis = {"title": unit, "tickCount": 5, "tickMinStep": 1}
    spec = {
        "width": WIDTH,
        "height": {"step": ROW_PIXELS},
        "params": [{"name": "names", "value": names}],
        "encoding": {"y": rows},
        "layer": [
            {
                "data": {"values": values},
                "mark": {"type": "bar"},
                "encoding": {
                    "x": _quantity(
                        "number",
                        axis=x_axis,
                        scale={"domainMax": max(most, 1) * _HEADROOM},
                    ),
                    **_two_series(series),
                },
            },
            {
                "data": {"values": ends},
                "mark": {
                    **{"type": "text", "align": "left", "dx": 5},
                    **{"color": TEXT, "fontSize": FONT_PIXELS},
                },
                "encoding": {"x": _quantity("end", axis=x_axis), "text": {"field": "label"}},
            },
        ],
    }
    return _render(spec)


def _names() -> Spec:
    axis = {"title": None, "domain": False, "ticks": False}
    return {"type": "nominal", "sort": None, "axis": axis}


def _quantity(field: str, **options: Spec) -> Spec:
    default = {"axis": {"title": None, "tickCount": 5, "tickMinStep": 1}}
    return {"field": field, "type": "quantitative", **default, **options}


def _two_series(series: tuple[str, str]) -> Spec:
    """Return the encoding of the field `series`: two colours that differ in grey, too."""
    colours = {"fill": [FIRST, SECOND_FILL], "stroke": [FIRST, SECOND]}
    by_series = {"field": "series", "type": "nominal", "sort": None}
    return {
        channel: {**by_series, "scale": {"domain": series, "range": values}}
        for channel, values in colours.items()
    } | {"order": {"field": "order"}}


def _label(text: str) -> str:
    text = " ".join(printable(text).split())
    return text if len(text) <= MAX_LABEL_CHARACTERS else f"{text[:MAX_LABEL_CHARACTERS]}…"


def _round_step(top: int) -> int:
    """Return a round width of bins, of which BINS reach from 0 beyond `top`."""
    step = 1
    while step * BINS <= top:
        step = step * 5 // 2 if str(step).startswith("2") else step * 2
    return step


def _render(spec: Spec) -> Markup:
    """Render a Vega-Lite chart, which holds its data, to SVG without ids, styles or links.

    It is hidden from screen readers, which get the description and the table.
    """
    autosize = {"type": "fit-x", "contains": "padding"}
    svg = _renderer.get()({"autosize": autosize, "config": _CONFIG, **spec})
    # It is XML, in which vl-convert escapes all texts.
    return Markup(svg.replace("<svg ", '<svg aria-hidden="true" ', 1))  # noqa: S704


def render_svg(chart: Spec) -> str:
    """Render a chart in this process."""
    import vl_convert  # noqa: PLC0415 - 80 MB, and only who writes a page needs them

    svg: str = vl_convert.vegalite_to_svg(chart, allowed_base_urls=[])
    return svg


@contextmanager
def use_renderer(renderer: Callable[[Spec], str]) -> Iterator[None]:
    """Let another function render charts, in place of `render_svg`, until the block ends."""
    token = _renderer.set(renderer)
    try:
        yield
    finally:
        _renderer.reset(token)


_renderer: ContextVar[Callable[[Spec], str]] = ContextVar("renderer", default=render_svg)
