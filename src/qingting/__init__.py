"""Qingting chooses, fine-tunes, compares and reports on counselling language models."""

__version__ = "0.1.0"
