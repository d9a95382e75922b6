"""Dialogues: reading, checking, repairing, converting, splitting."""
