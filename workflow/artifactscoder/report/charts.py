"""The report's charts, by Plotly: each a figure that the browser draws, a text that is read out, and its numbers.

A figure has no colours of text and background: page.js takes those from the style sheet, light or dark, when it draws.
Colours that stand here are seen on both. Numbers are the same as the chart's, for a table beside it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import plotly
import plotly.graph_objects as go
from markupsafe import Markup

from artifactscoder.report.funnel import Flow

STATUS = {"ok": "#3a8f69", "rejected": "#cc8526", "failed": "#cc4b4b"}
LEVELS = {"0": "#c24747", "2.5": "#d98c5f", "5": "#d9bf6a", "7.5": "#7fb08a", "10": "#3a8f69"}
SERIES = ["#3f7fce", "#cc8526", "#3a8f69", "#a06bbb", "#cc4b4b", "#4d9aa6", "#a08a4a", "#7b8896"]
FLOW = {"": "rgba(63, 127, 206, 0.35)", "rejected": "rgba(204, 133, 38, 0.45)", "failed": "rgba(204, 75, 75, 0.5)"}
LEGEND = {"orientation": "h", "y": 1, "yanchor": "bottom", "traceorder": "normal"}
COLORBAR = {"thickness": 10, "outlinewidth": 0, "lenmode": "pixels", "len": 180, "y": 1, "yanchor": "top"}
ROW = 22  # height of a bar [px]

Rows = Sequence[dict[str, Any]]


def library() -> Path:
    """The script that draws figures, as the package brings it."""
    return Path(plotly.__file__).parent / "package_data/plotly.min.js"


@dataclass
class Chart:
    """`figure` is Plotly's JSON; `label` is read out; `head` and `rows` are its numbers; `least`: of its width [px]."""

    label: str
    figure: str
    height: int
    head: list[str]
    rows: list[list[Any]]
    least: int = 0

    @property
    def script(self) -> Markup:
        """The figure for a script element, which nothing in it can end."""
        return Markup(self.figure.replace("<", "\\u003c"))


def _chart(
    label: str,
    traces: list[Any],
    height: int,
    head: list[str],
    rows: list[list[Any]],
    least: int = 0,
    **layout: Any,
) -> Chart:
    layout.setdefault("margin", {"l": 8, "r": 8, "t": 8, "b": 8})
    figure = go.Figure(traces, go.Layout(template="none", height=height, **layout))
    figure.update_xaxes(automargin=True, fixedrange=True)
    figure.update_yaxes(automargin=True, fixedrange=True)
    return Chart(label, figure.to_json(), height, head, rows, least)


def funnel(flows: list[Flow]) -> Chart:
    """A Sankey diagram from seeds to the set: what stays in goes on, every loss ends in a node of its own."""
    names = list(dict.fromkeys(name for flow in flows for name in (flow.source, flow.target)))
    total = {name: sum(flow.places for flow in flows if flow.target == name) for name in names}
    total[names[0]] = flows[0].places
    lost = {flow.target: flow.status for flow in flows if flow.status}

    def label(name: str) -> str:
        words = name.partition(": ")[2] if name in lost else name.removeprefix("sft/")
        return "<br>".join([*textwrap.wrap(words.replace("_", " "), 12, break_long_words=False), f"{total[name]:,}"])

    node = {
        "label": [label(name) for name in names],
        "customdata": [f"{name} {total[name]:,}" for name in names],
        "color": [STATUS[lost.get(name, "ok")] if name in lost else SERIES[0] for name in names],
        "pad": 30,
        "thickness": 12,
        "line": {"width": 0},
        "align": "left",
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    link = {
        "source": [names.index(flow.source) for flow in flows],
        "target": [names.index(flow.target) for flow in flows],
        "value": [flow.places for flow in flows],
        "color": [FLOW[flow.status] for flow in flows],
        "hovertemplate": "%{source.customdata} to %{target.customdata}: %{value:,}<extra></extra>",
    }
    kept = flows[-1]
    return _chart(
        f"Of {flows[0].places:,} places for a page, {kept.places:,} end in the set; the table names every loss.",
        [go.Sankey(node=node, link=link, arrangement="fixed")],
        max(460, 22 * len(lost) + 200),
        ["from", "to", "places", "status"],
        [[flow.source, flow.target, flow.places, flow.status or "goes on"] for flow in flows],
        least=1000,
        margin={"l": 8, "r": 8, "t": 20, "b": 28},
    )


def bars(rows: Rows, name: str, value: str, label: str, colour: str | None = None) -> Chart:
    """A horizontal bar a row; `name`, `value` and `colour` (a status) are column names."""
    groups = list(dict.fromkeys(str(row[colour]) for row in rows)) if colour else [""]
    order = list(dict.fromkeys(str(row[name]) for row in rows))
    traces = []
    for group in groups:
        own = [row for row in rows if not colour or row[colour] == group]
        traces.append(
            go.Bar(
                x=[row[value] for row in own],
                y=[str(row[name]) for row in own],
                orientation="h",
                name=group,
                marker={"color": STATUS.get(group, SERIES[groups.index(group)])},
                hovertemplate=f"%{{y}}: %{{x:,}} {value}<extra></extra>",
            )
        )
    return _chart(
        label,
        traces,
        ROW * len(order) + 90,
        [name, value, *([colour] if colour else [])],
        [[row[name], row[value], *([row[colour]] if colour else [])] for row in rows],
        barmode="stack",
        bargap=0.25,
        showlegend=len(groups) > 1,
        legend=LEGEND,
        xaxis={"title": {"text": value}, "nticks": 6},
        yaxis={"categoryorder": "array", "categoryarray": order, "autorange": "reversed", "showgrid": False},
    )


def pairs(rows: Rows, name: str, columns: dict[str, str], label: str) -> Chart:
    """Planned beside actual: for each row two bars, of the columns named (column -> legend), on a logarithmic axis."""
    order = [str(row[name]) for row in rows]
    traces = [
        go.Bar(
            x=[row[column] or None for row in rows],
            y=order,
            orientation="h",
            name=legend,
            marker={"color": SERIES[(7, 0)[number]]},
            hovertemplate=f"%{{y}}, {legend}: %{{x:,.0f}}<extra></extra>",
        )
        for number, (column, legend) in enumerate(columns.items())
    ]
    return _chart(
        label,
        traces,
        2 * ROW * len(order) + 90,
        [name, *columns.values()],
        [[row[name], *("–" if row[column] is None else round(row[column]) for column in columns)] for row in rows],
        barmode="group",
        legend=LEGEND,
        xaxis={"type": "log", "title": {"text": f"{label.lower()} (logarithmic)"}, "dtick": 1, "exponentformat": "SI"},
        yaxis={"categoryorder": "array", "categoryarray": order, "autorange": "reversed", "showgrid": False},
    )


def levels(rows: Rows, label: str) -> Chart:
    """Rows of dimension, mean, and a share for each of the five levels: a stacked bar a dimension."""
    order = [f"{row['dimension']} ({row['mean']:.1f})" for row in rows]
    traces = [
        go.Bar(
            x=[row[level] for row in rows],
            y=order,
            orientation="h",
            name=level,
            marker={"color": colour},
            hovertemplate=f"%{{y}}, level {level}: %{{x:.1%}}<extra></extra>",
        )
        for level, colour in LEVELS.items()
    ]
    return _chart(
        label,
        traces,
        ROW * len(order) + 90,
        ["dimension", "mean", *(f"level {level}" for level in LEVELS)],
        [[row["dimension"], round(row["mean"], 2), *(f"{row[level]:.1%}" for level in LEVELS)] for row in rows],
        barmode="stack",
        bargap=0.2,
        legend=LEGEND | {"title": {"text": "level "}},
        xaxis={"tickformat": ".0%", "range": [0, 1]},
        yaxis={"categoryorder": "array", "categoryarray": order, "autorange": "reversed", "showgrid": False},
    )


def histogram(counts: dict[str, list[int]], edges: Sequence[float], threshold: float, label: str) -> Chart:
    """Pages by bin of the weighted score, a colour a group, with the threshold as a line."""
    middles = [(low + high) / 2 for low, high in zip(edges, edges[1:], strict=False)]
    traces = [
        go.Bar(
            x=middles,
            y=values,
            name=name,
            width=[(edges[1] - edges[0]) * 0.94] * len(middles),
            marker={"color": SERIES[(0, 7)[number]]},
            hovertemplate=f"%{{x:.2f}} %, {name}: %{{y:,}}<extra></extra>",
        )
        for number, (name, values) in enumerate(counts.items())
    ]
    line = {"color": STATUS["failed"], "dash": "dash", "width": 2}
    return _chart(
        label,
        traces,
        280,
        ["weighted score [%]", *counts],
        [
            [f"{low:g} to {high:g}", *values]
            for low, high, *values in zip(edges, edges[1:], *counts.values(), strict=False)
        ],
        barmode="stack",
        shapes=[{"type": "line", "x0": threshold, "x1": threshold, "y0": 0, "y1": 1, "yref": "paper", "line": line}],
        legend=LEGEND,
        xaxis={"range": [0, 100], "dtick": 10, "title": {"text": "weighted score [%]"}},
        yaxis={"title": {"text": "pages"}},
    )  # fmt: skip


def heat(
    ys: list[str], xs: list[str], values: Sequence[Sequence[float | None]], unit: str, label: str, signed: bool = False
) -> Chart:
    """A tile for each (y, x): more is stronger; `signed`: from -1 to 1."""
    scale = {"zmin": -1, "zmax": 1} if signed else {"zmin": 0}
    trace = go.Heatmap(
        x=xs,
        y=ys,
        z=values,
        xgap=1,
        ygap=1,
        meta="signed" if signed else "amount",
        texttemplate="" if signed else "%{z}",
        hovertemplate=f"%{{y}}, %{{x}}: %{{z}} {unit}<extra></extra>",
        colorbar=COLORBAR | {"title": {"text": unit, "side": "right"}},
        **scale,
    )
    return _chart(
        label,
        [trace],
        18 * len(ys) + 180,
        ["", *xs],
        [[y, *("" if value is None else value for value in row)] for y, row in zip(ys, values, strict=True)],
        least=700,
        xaxis={"tickangle": -50},
        yaxis={"autorange": "reversed", "dtick": 1},
    )


def lines(rows: Rows, y_title: str, label: str, zero: bool = True) -> Chart:
    """Rows of step, series, value: a line a series, the fifth dashed, as it hides the fourth."""
    names = list(dict.fromkeys(str(row["series"]) for row in rows))
    few = len(rows) <= 150
    traces = []
    for number, name in enumerate(names):
        own = [row for row in rows if row["series"] == name]
        traces.append(
            go.Scatter(
                x=[row["step"] for row in own],
                y=[row["value"] for row in own],
                name=name,
                mode="lines+markers" if few else "lines",
                line={"color": SERIES[number % len(SERIES)], "width": 2, "dash": "dash" if number == 4 else "solid"},
                marker={"size": 5},
                hovertemplate=f"step %{{x}}, {name}: %{{y:.4g}}<extra></extra>",
            )
        )
    by_step: dict[int, dict[str, float]] = {}
    for row in rows:
        by_step.setdefault(row["step"], {})[str(row["series"])] = row["value"]
    every = max(1, len(by_step) // 50)  # of a long training a table of every step is no reading
    return _chart(
        label,
        traces,
        310,
        ["step", *names],
        [[step, *(_short(found.get(name)) for name in names)] for step, found in list(by_step.items())[::every]],
        showlegend=len(names) > 1,
        legend=LEGEND,
        xaxis={"title": {"text": "training step"}, "nticks": 10},
        yaxis={"title": {"text": y_title}, "rangemode": "tozero" if zero else "normal"},
    )


def models(rows: Rows, label: str) -> Chart:
    """Rows of model, checklist, low, high: a bar a model, with its interval where it has one."""
    order = [str(row["model"]) for row in rows]
    bar = go.Bar(
        x=[row["checklist"] for row in rows],
        y=order,
        orientation="h",
        marker={"color": SERIES[0]},
        error_x={
            "array": [None if row["high"] is None else row["high"] - row["checklist"] for row in rows],
            "arrayminus": [None if row["low"] is None else row["checklist"] - row["low"] for row in rows],
            "color": SERIES[7],
            "thickness": 2,
        },
        hovertemplate="%{y}: %{x:.1f} %<extra></extra>",
    )
    return _chart(
        label,
        [bar],
        44 * len(order) + 70,
        ["model", "checklist score [%]", "low", "high"],
        [[row["model"], *(_short(row[name]) for name in ("checklist", "low", "high"))] for row in rows],
        bargap=0.4,
        xaxis={"range": [0, 100], "title": {"text": "checklist score [%], 95 % interval"}},
        yaxis={"categoryorder": "array", "categoryarray": order, "autorange": "reversed", "showgrid": False},
    )


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
