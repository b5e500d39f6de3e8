"""Grids and comparisons come in; they go out as markdown, CSV, LaTeX, HTML or lines for a terminal."""
