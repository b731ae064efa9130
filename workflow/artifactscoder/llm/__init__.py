"""Engines that answer a prompt: served language models and the procedural teacher."""
