"""Markup, figures, axes and layouts, and numbers as words; nothing here knows of a search."""
