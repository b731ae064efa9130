"""The rulegraph that Snakemake prints (dot), laid out by Graphviz and drawn in the report's colours."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pygraphviz

from artifactscoder.errors import UserError

COLOURS = {
    "cpt": "#e6f0ea", "sft": "#e4ecf7", "rl": "#fbf0df", "train": "#f1e6f4", "eval": "#f8e4e4", "other": "#eef0f3",
}  # fmt: skip
_TARGETS = {"all", "demo"}


def read(dot: Path) -> pygraphviz.AGraph:
    """The graph in a file into which Snakemake has printed it."""
    text = dot.read_text() if dot.exists() else ""
    start = text.find("digraph")
    if start < 0:
        raise UserError(f"{dot} holds no graph; run `snakemake all --rulegraph dot` and look at what it says")
    return pygraphviz.AGraph(text[start:])


def rules(dot: Path, background: str = "white", margin: str = "0.1") -> pygraphviz.AGraph:
    """The rulegraph in this project's colours, without the targets that only collect.

    Snakemake numbers rules anew in each run; here they go by their names, so that the same rules are the same picture.
    """
    found = read(dot)
    names = {node: str(node.attr["label"]).split("\\n")[0] for node in found.nodes()}
    graph = pygraphviz.AGraph(directed=True)
    for name in sorted({*names.values()} - _TARGETS):
        graph.add_node(
            name, label=name, shape="box", style="filled,rounded", color="#5b6774", penwidth="0.8",
            fillcolor=COLOURS.get(name.split("_")[0], COLOURS["other"]), fontname="Helvetica", fontsize="13",
            margin="0.14,0.06",
        )  # fmt: skip
    for start, end in sorted({(names[start], names[end]) for start, end in found.edges()}):
        if not _TARGETS & {start, end}:
            graph.add_edge(start, end, color="#8793a0", penwidth="1.1", arrowsize="0.7")
    graph.graph_attr.update(bgcolor=background, rankdir="TB", nodesep="0.18", ranksep="0.32", margin=margin)
    return graph


def svg(graph: pygraphviz.AGraph) -> str:
    """The graph drawn: SVG without the XML head and comments."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Graphviz on fonts
        text = graph.draw(format="svg", prog="dot").decode()
    text = re.sub(r"<!--.*?-->\n?", "", text, flags=re.DOTALL)
    return text[text.index("<svg") :]


def draw(dot: Path) -> str:
    """SVG of the rulegraph for the report: as wide as there is room, on its background."""
    text = svg(rules(dot, "transparent", "0"))
    return re.sub(r'<svg width="[^"]*" height="[^"]*"', '<svg class="rulegraph"', text, count=1)
