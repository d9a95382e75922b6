"""The history of the schema of judging databases."""
