"""The experiment file: typed, strict, frozen."""
