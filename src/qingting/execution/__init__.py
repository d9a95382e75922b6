"""Executors run stages; the runner decides which, and what failure means."""
