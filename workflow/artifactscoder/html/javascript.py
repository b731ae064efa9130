"""JavaScript as tree-sitter reads it: one parser for all who look at scripts."""

from __future__ import annotations

from functools import lru_cache

import tree_sitter
import tree_sitter_javascript


@lru_cache(maxsize=1)
def language() -> tree_sitter.Language:
    """The grammar, for queries."""
    return tree_sitter.Language(tree_sitter_javascript.language())


@lru_cache(maxsize=1)
def _parser() -> tree_sitter.Parser:
    return tree_sitter.Parser(language())


def parsed(script: bytes) -> tree_sitter.Node:
    """The root of a script's syntax tree."""
    return _parser().parse(script).root_node
