"""The report's charts, by Altair, drawn to SVG twice: for wide and for narrow screens.

A chart is a function of its width, so that text keeps its size on a phone; the page shows the one that fits. Drawn
when the report is made, so that it opens from disk, without scripts and without a network.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable

import altair as alt
import vl_convert as vlc

WIDE, NARROW = 880, 300
INK, MUTED, LINE = "#1d2733", "#5b6774", "#d9dee5"
STATUS = {"ok": "#2f7d5b", "rejected": "#d08a2e", "failed": "#b23b3b"}
LEVELS = {"0": "#b23b3b", "2.5": "#d98c5f", "5": "#e3cf8a", "7.5": "#8fb98a", "10": "#2f7d5b"}
SERIES = ["#2b5c9e", "#d08a2e", "#2f7d5b", "#8a4f9e", "#b23b3b", "#4d8c96", "#7a6a3a", "#5b6774"]

Chart = Callable[[int], alt.Chart | alt.LayerChart | alt.FacetChart]


def draw(chart: Chart, label: str) -> str:
    """The chart as two SVG figures, one of which a style sheet shows; `label` is read out."""
    return "".join(
        f'<div class="chart {name}" role="img" aria-label="{label}">{_svg(chart(width))}</div>'
        for name, width in (("wide", WIDE), ("narrow", NARROW))
    )


def _svg(chart: alt.Chart | alt.LayerChart | alt.FacetChart) -> str:
    styled = chart.configure(
        font="system-ui, sans-serif",
        background="transparent",
        # The reader's font may be wider than the one that was measured with.
        padding={"left": 26, "right": 8, "top": 2, "bottom": 2},
    )
    styled = styled.configure_axis(
        labelColor=MUTED, titleColor=MUTED, gridColor=LINE, domainColor=LINE, tickColor=LINE, labelFontSize=12,
        titleFontSize=12, titleFontWeight="normal", labelLimit=220,
    )  # fmt: skip
    styled = styled.configure_legend(
        labelColor=MUTED, titleColor=MUTED, labelFontSize=12, titleFontSize=12, orient="top", columns=4
    )
    styled = styled.configure_view(stroke=None).configure_header(labelColor=INK, titleColor=INK, labelFontSize=12)
    svg = vlc.vegalite_to_svg(styled.to_dict())
    # Ids must be unique in the page that holds all charts.
    unique = zlib.crc32(svg.encode())
    return re.sub(r'(id="|url\(#)(\w*clip\w*)', rf"\g<1>c{unique}\g<2>", svg)


def _labels(width: int) -> alt.Axis:
    """An axis of long names beside bars: whole, and smaller on narrow screens."""
    return alt.Axis(labelLimit=240) if width > 500 else alt.Axis(labelLimit=190, labelFontSize=10)


def _data(rows: list[dict[str, object]]) -> alt.Data:
    return alt.Data(values=rows)


def funnel(rows: list[dict[str, object]]) -> Chart:
    """Rows of step, status, records: a stacked bar a step, in the recipe's order."""
    order = list(dict.fromkeys(str(row["step"]) for row in rows))

    def chart(width: int) -> alt.Chart:
        return (
            alt.Chart(_data(rows), width=width - 150, height=21 * len(order))
            .mark_bar()
            .encode(
                y=alt.Y("step:N", sort=order, title=None),
                x=alt.X("records:Q", title="records", axis=alt.Axis(tickCount=4)),
                color=alt.Color(
                    "status:N", scale=alt.Scale(domain=list(STATUS), range=list(STATUS.values())), title=None
                ),
                order=alt.Order("rank:Q"),
            )
        )

    return chart


def bars(rows: list[dict[str, object]], label: str, value: str, colour: str | None = None) -> Chart:
    """A horizontal bar a row; `label`, `value` and `colour` are column names."""
    order = [str(row[label]) for row in rows]

    def chart(width: int) -> alt.Chart:
        encoding: dict[str, object] = {
            "y": alt.Y(f"{label}:N", sort=order, title=None, axis=_labels(width)),
            "x": alt.X(f"{value}:Q", title=value, axis=alt.Axis(tickCount=4)),
        }
        if colour:
            encoding["color"] = alt.Color(
                f"{colour}:N", scale=alt.Scale(domain=list(STATUS), range=list(STATUS.values())), title=None
            )
        base = alt.Chart(_data(rows), width=width - (280 if width > 500 else 200), height=20 * max(1, len(rows)))
        mark = base.mark_bar() if colour else base.mark_bar(color=SERIES[0])
        return mark.encode(**encoding)

    return chart


def levels(rows: list[dict[str, object]]) -> Chart:
    """Rows of dimension, level, rank, share: a stacked bar a dimension, from level 0 to level 10."""
    order = list(dict.fromkeys(str(row["dimension"]) for row in rows))

    def chart(width: int) -> alt.Chart:
        return (
            alt.Chart(_data(rows), width=width - (290 if width > 500 else 195), height=20 * len(order))
            .mark_bar()
            .encode(
                y=alt.Y("dimension:N", sort=order, title=None, axis=_labels(width)),
                x=alt.X("share:Q", title="share of pages", axis=alt.Axis(format="%", tickCount=4)),
                color=alt.Color(
                    "level:N",
                    title="level",
                    scale=alt.Scale(domain=list(LEVELS), range=list(LEVELS.values())),
                    legend=alt.Legend(columns=5),
                ),
                order=alt.Order("rank:Q"),
            )
        )

    return chart


def histogram(rows: list[dict[str, object]], value: str, title: str, threshold: float) -> Chart:
    """Counts of a percentage in steps of 2.5, with the threshold as a line."""

    def chart(width: int) -> alt.LayerChart:
        base = alt.Chart(_data(rows), width=width - 90, height=180)
        counts = base.mark_bar(color=SERIES[0]).encode(
            x=alt.X(f"{value}:Q", bin=alt.Bin(step=2.5), title=title, axis=alt.Axis(values=list(range(0, 101, 10)))),
            y=alt.Y("count()", title="pages"),
        )
        rule = alt.Chart(_data([{"at": threshold}])).mark_rule(color="#b23b3b", strokeDash=[5, 4]).encode(x="at:Q")
        return counts + rule

    return chart


def heat(rows: list[dict[str, object]], y: str, x: str, value: str) -> Chart:
    """A tile for each (y, x), darker for more; zero stays white."""
    ys = list(dict.fromkeys(str(row[y]) for row in rows))
    xs = list(dict.fromkeys(str(row[x]) for row in rows))

    def chart(width: int) -> alt.Chart:
        left, angle = (210, -60) if width > 500 else (150, -90)
        return (
            alt.Chart(_data(rows), width=width - left - 20, height=18 * len(ys))
            .mark_rect(stroke="#ffffff", strokeWidth=1)
            .encode(
                y=alt.Y(f"{y}:N", sort=ys, title=None, axis=alt.Axis(labelLimit=left - 10)),
                x=alt.X(f"{x}:N", sort=xs, title=None, axis=alt.Axis(labelAngle=angle, labelLimit=150)),
                color=alt.Color(
                    f"{value}:Q", title=value, scale=alt.Scale(range=["#f3f5f8", "#2b5c9e"], domainMin=0),
                    legend=alt.Legend(gradientLength=120, tickCount=3),
                ),
            )
        )  # fmt: skip

    return chart


def lines(rows: list[dict[str, object]], y_title: str, zero: bool = True) -> Chart:
    """Rows of step, series, value: a line a series with its points, the fifth dashed, as it hides the fourth."""
    names = list(dict.fromkeys(str(row["series"]) for row in rows))

    def chart(width: int) -> alt.Chart:
        return (
            alt.Chart(_data(rows), width=width - 90, height=240)
            .mark_line(point=alt.OverlayMarkDef(size=28) if len(rows) <= 150 else False, strokeWidth=2)
            .encode(
                x=alt.X("step:Q", title="training step", axis=alt.Axis(tickMinStep=1, tickCount=8)),
                y=alt.Y("value:Q", title=y_title, scale=alt.Scale(zero=zero)),
                color=alt.Color(
                    "series:N",
                    sort=names,
                    title=None,
                    scale=alt.Scale(domain=names, range=SERIES[: len(names)]),
                    legend=alt.Legend(columns=3 if width < 500 else 8),
                ),
                strokeDash=alt.StrokeDash(
                    "series:N",
                    legend=None,
                    scale=alt.Scale(domain=names, range=[[1, 0], [1, 0], [1, 0], [1, 0], [6, 6], [1, 0]][: len(names)]),
                ),
            )
        )

    return chart


def models(rows: list[dict[str, object]]) -> Chart:
    """Rows of model, checklist, low, high: a bar a model with its interval."""
    order = [str(row["model"]) for row in rows]

    def chart(width: int) -> alt.LayerChart:
        base = alt.Chart(_data(rows), width=width - 110, height=40 * len(rows)).encode(
            y=alt.Y("model:N", sort=order, title=None)
        )
        bar = base.mark_bar(color=SERIES[0], height=20).encode(
            x=alt.X("checklist:Q", title="checklist score [%], 95 % interval", scale=alt.Scale(domain=[0, 100]))
        )
        span = base.mark_rule(color=INK, strokeWidth=2).encode(x="low:Q", x2="high:Q")
        return bar + span

    return chart
