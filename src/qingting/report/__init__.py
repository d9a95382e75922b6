"""Figures, tables, HTML and Markdown."""
