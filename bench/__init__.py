"""Measures what docs/performance.md shows: `python -m bench`."""
