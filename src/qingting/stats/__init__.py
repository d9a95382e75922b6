"""Statistics as pure functions: arrays and an rng in, frozen results out."""
