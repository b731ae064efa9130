"""Pictures of the workflow: its rules, its rules with their files, and each stage by itself.

In: what Snakemake prints of itself, `--rulegraph dot` and `--filegraph`. Out: SVG. A stage's picture holds its rules,
with the rules of other stages that they read from or are read by around them, in grey.
"""

from __future__ import annotations

from pathlib import Path

import pygraphviz

from artifactscoder import files
from artifactscoder.report import rulegraph

STAGES = ("cpt", "sft", "rl", "train", "eval")


def stage(dot: Path, name: str) -> pygraphviz.AGraph:
    """The rules of one stage, and in grey those of others next to them."""
    graph = rulegraph.rules(dot)
    own = {node for node in graph.nodes() if str(node.attr["label"]).split("_")[0] == name}
    near = {end for edge in graph.edges() if own & set(edge) for end in edge} - own
    graph.remove_nodes_from([node for node in graph.nodes() if node not in own | near])
    graph.remove_edges_from([edge for edge in graph.edges() if not own & set(edge)])
    for node in near:
        graph.get_node(node).attr.update(
            fillcolor="white", fontcolor="#8793a0", color="#c3cad2", style="rounded,dashed"
        )
    return graph


def run(rules: Path, filegraph: Path | None, output: Path) -> None:
    """Write rulegraph.svg, filegraph.svg and a picture a stage into the folder `output`."""
    drawn = {"rulegraph": rulegraph.rules(rules), **{name: stage(rules, name) for name in STAGES}}
    if filegraph is not None:
        drawn["filegraph"] = rulegraph.read(filegraph)
    for name, graph in drawn.items():
        path = output / f"{name}.svg"
        files.write_bytes(path, rulegraph.svg(graph).encode())
        print(path)
