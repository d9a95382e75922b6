"""The sizes of published models, as their cards state them, under short names."""

from qingting.models.catalogue import require_card

_CARDS = {
    "Qwen2.5-0.5B": "Qwen2.5-0.5B-Instruct",
    "Qwen2.5-1.5B": "Qwen2.5-1.5B-Instruct",
    "Qwen2.5-3B": "Qwen2.5-3B-Instruct",
    "Qwen2.5-7B": "Qwen2.5-7B-Instruct",
    "Qwen3-8B": "Qwen3-8B",
    "Llama-3.2-3B": "Llama-3.2-3B-Instruct",
    "Llama-3.1-8B": "Llama-3.1-8B-Instruct",
    "InternLM2-7B": "InternLM2-7B-Chat",
    "Baichuan2-7B": "Baichuan2-7B-Chat",
    "ChatGLM3-6B": "ChatGLM3-6B",
    "GLM-4-9B": "GLM-4-9B-Chat",
    "GPT-OSS-20B": "GPT-OSS-20B",
}

PUBLISHED = {short: require_card(name).to_config_dict() for short, name in _CARDS.items()}

PARAMETERS_B = {
    "Qwen2.5-0.5B": 0.494,
    "Qwen2.5-1.5B": 1.544,
    "Qwen2.5-3B": 3.086,
    "Qwen2.5-7B": 7.616,
    "Qwen3-8B": 8.191,
    "Llama-3.2-3B": 3.213,
    "Llama-3.1-8B": 8.030,
    "InternLM2-7B": 7.738,
    "Baichuan2-7B": 7.506,
    "ChatGLM3-6B": 6.244,
    "GLM-4-9B": 9.400,
    "GPT-OSS-20B": 20.915,
}
"""Parameters in billions, as the files on the hubs add up."""
