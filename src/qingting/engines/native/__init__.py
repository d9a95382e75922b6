"""The native engine: transformers and peft, one loop that a person can read."""
