"""Six small models, one per candidate family, that run on a laptop."""
