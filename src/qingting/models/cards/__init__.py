"""The cards that ship, one YAML file each."""
