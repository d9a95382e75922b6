"""Judgments from elsewhere: read, understood by a mapping, checked against a study, written."""
