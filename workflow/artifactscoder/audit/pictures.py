"""Pictures of the workflow: its rules, its rules with their files, and each stage by itself.

In: what Snakemake prints of itself, `--rulegraph dot` and `--filegraph`. Out: SVG. A stage's picture holds its rules,
with the rules of other stages that they read from or are read by around them, in grey.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pygraphviz

from artifactscoder import files
from artifactscoder.errors import UserError

STAGES = ("cpt", "sft", "rl", "train", "eval")
COLOURS = {
    "cpt": "#e6f0ea", "sft": "#e4ecf7", "rl": "#fbf0df", "train": "#f1e6f4", "eval": "#f8e4e4", "other": "#eef0f3",
}  # fmt: skip
_TARGETS = {"all", "demo"}


def _graph(dot: Path) -> pygraphviz.AGraph:
    text = dot.read_text() if dot.exists() else ""
    start = text.find("digraph")
    if start < 0:
        raise UserError(f"{dot} holds no graph; run `snakemake all --rulegraph dot` and look at what it says")
    return pygraphviz.AGraph(text[start:])


def _name(label: str) -> str:
    return label.split("\\n")[0]


def rules(dot: Path) -> pygraphviz.AGraph:
    """The rulegraph in this project's colours, without the targets that only collect."""
    graph = _graph(dot)
    for node in list(graph.nodes()):
        name = _name(str(node.attr["label"]))
        if name in _TARGETS:
            graph.remove_node(node)
            continue
        colour = COLOURS.get(name.split("_")[0], COLOURS["other"])
        node.attr.update(
            label=name, shape="box", style="filled,rounded", fillcolor=colour,
            color="#5b6774", penwidth="0.8", fontname="Helvetica", fontsize="13", margin="0.14,0.06",
        )  # fmt: skip
    for edge in graph.edges():
        edge.attr.update(color="#8793a0", penwidth="1.1", arrowsize="0.7")
    graph.graph_attr.update(bgcolor="white", rankdir="TB", nodesep="0.18", ranksep="0.32", margin="0.1")
    return graph


def stage(dot: Path, name: str) -> pygraphviz.AGraph:
    """The rules of one stage, and in grey those of others next to them."""
    graph = rules(dot)
    own = {node for node in graph.nodes() if str(node.attr["label"]).split("_")[0] == name}
    near = {end for edge in graph.edges() if own & set(edge) for end in edge} - own
    graph.remove_nodes_from([node for node in graph.nodes() if node not in own | near])
    graph.remove_edges_from([edge for edge in graph.edges() if not own & set(edge)])
    for node in near:
        graph.get_node(node).attr.update(
            fillcolor="white", fontcolor="#8793a0", color="#c3cad2", style="rounded,dashed"
        )
    return graph


def svg(graph: pygraphviz.AGraph) -> bytes:
    """The graph drawn; scalable, and the same for the same graph."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Graphviz on fonts
        text = graph.draw(format="svg", prog="dot").decode()
    text = re.sub(r"<!--.*?-->\n?", "", text, flags=re.DOTALL)
    return text[text.index("<svg") :].encode()


def run(rulegraph: Path, filegraph: Path | None, output: Path) -> None:
    """Write rulegraph.svg, filegraph.svg and a picture a stage into the folder `output`."""
    drawn = {"rulegraph": rules(rulegraph), **{name: stage(rulegraph, name) for name in STAGES}}
    if filegraph is not None:
        drawn["filegraph"] = _graph(filegraph)
    for name, graph in drawn.items():
        path = output / f"{name}.svg"
        files.write_bytes(path, svg(graph))
        print(path)
