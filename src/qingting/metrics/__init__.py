"""Text, choice and efficiency metrics; every score carries a signature."""
