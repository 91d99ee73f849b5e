"""Figures as SVG: markup, axes, layouts, the graphs of networks, and numbers as words; nothing here knows of a search."""
