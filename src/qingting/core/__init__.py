"""Errors, canonical JSON, events and the other words that every part shares."""
