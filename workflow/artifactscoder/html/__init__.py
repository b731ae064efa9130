"""Pure functions over pages: no files, no network, no browser."""
