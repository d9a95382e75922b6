"""The parts of build_small_models.py: corpus, tokenizers, training, model cards."""
