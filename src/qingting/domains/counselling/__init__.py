"""The counselling pack: dialogues, knowledge questions, prompts."""
