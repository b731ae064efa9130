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


def draw(dot: Path) -> str:
    """SVG of the graph, without the XML head, scalable; targets that only collect are left out."""
    text = dot.read_text()
    start = text.find("digraph")
    if start < 0:
        raise UserError(f"{dot} holds no graph; run `snakemake all --rulegraph dot` and look at what it says")
    graph = pygraphviz.AGraph(text[start:])
    for node in list(graph.nodes()):
        name = str(node.attr["label"]).split("\\n")[0]
        if name in ("all", "demo", "config"):
            graph.remove_node(node)
            continue
        stage = name.split("_")[0]
        node.attr.update(
            label=name,
            shape="box",
            style="filled,rounded",
            fillcolor=COLOURS.get(stage, COLOURS["other"]),
            color="#5b6774",
            penwidth="0.8",
            fontname="Helvetica",
            fontsize="13",
            margin="0.14,0.06",
        )
    for edge in graph.edges():
        edge.attr.update(color="#8793a0", penwidth="1.1", arrowsize="0.7")
    graph.graph_attr.update(bgcolor="transparent", rankdir="TB", nodesep="0.18", ranksep="0.32", margin="0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Graphviz on fonts
        svg = graph.draw(format="svg", prog="dot").decode()
    svg = svg[svg.index("<svg") :]
    return re.sub(r'<svg width="[^"]*" height="[^"]*"', '<svg class="rulegraph"', svg, count=1)
