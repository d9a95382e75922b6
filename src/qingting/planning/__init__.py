"""Which stages an experiment needs, what each is keyed by, what is cached."""
