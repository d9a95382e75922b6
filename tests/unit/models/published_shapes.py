"""The sizes of published models, as their config.json files state them."""


def _decoder(vocabulary, hidden, ffn, n_layers, n_heads, n_kv, *, kind="llama", tied=False, **more):
    return {
        "model_type": kind,
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": ffn,
        "num_hidden_layers": n_layers,
        "num_attention_heads": n_heads,
        "num_key_value_heads": n_kv,
        "tie_word_embeddings": tied,
        "hidden_act": "silu",
        **more,
    }


_GLM = {"kind": "glm", "head_dim": 128, "attention_bias": True}

PUBLISHED = {
    "Qwen2.5-0.5B": _decoder(151936, 896, 4864, 24, 14, 2, kind="qwen2", tied=True),
    "Qwen2.5-1.5B": _decoder(151936, 1536, 8960, 28, 12, 2, kind="qwen2", tied=True),
    "Qwen2.5-3B": _decoder(151936, 2048, 11008, 36, 16, 2, kind="qwen2", tied=True),
    "Qwen2.5-7B": _decoder(152064, 3584, 18944, 28, 28, 4, kind="qwen2"),
    "Qwen3-8B": _decoder(151936, 4096, 12288, 36, 32, 8, kind="qwen3", head_dim=128),
    "Llama-3.2-3B": _decoder(128256, 3072, 8192, 28, 24, 8, tied=True, head_dim=128),
    "Llama-3.1-8B": _decoder(128256, 4096, 14336, 32, 32, 8),
    "InternLM2-7B": _decoder(92544, 4096, 14336, 32, 32, 8),
    "Baichuan2-7B": _decoder(125696, 4096, 11008, 32, 32, 32),
    "ChatGLM3-6B": _decoder(65024, 4096, 13696, 28, 32, 2, **_GLM),
    "GLM-4-9B": _decoder(151552, 4096, 13696, 40, 32, 2, **_GLM),
    "GPT-OSS-20B": _decoder(
        201088, 2880, 2880, 24, 64, 8, kind="gpt_oss", head_dim=64, sliding_window=128,
        num_local_experts=32, num_experts_per_tok=4, max_position_embeddings=131072,
    ),
}  # fmt: skip

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
