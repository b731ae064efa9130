"""The procedural teacher: pages, flaws and task texts composed by rule, without a language model."""
