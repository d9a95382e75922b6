"""Candidate models: cards, resolution, chat templates, the small models that ship."""
