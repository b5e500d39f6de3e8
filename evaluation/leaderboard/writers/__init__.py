"""A grid comes in; it goes out as markdown, CSV, LaTeX, HTML, or as lines for a terminal: text is joined here only."""
