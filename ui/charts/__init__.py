"""Charts as SVG and HTML text, drawn by pure functions: state in, markup out."""
