"""Chat templates of the converted families, as the originals build their prompts.

ChatGLM3 and Baichuan2 build token ids piece by piece; encoding what these templates render gives
the same ids. Where the tokenizer writes a space in front of every text, the originals do so in
front of each turn's words: hence the space before ``content``.
"""

from __future__ import annotations

_CHATGLM3 = """\
{#- ChatGLM3: a turn ends where the next one begins; answers stop at <|user|>. -#}
{{- '[gMASK]sop' -}}
{%- for message in messages -%}
{%- set content = message['content'] -%}
{%- if message['role'] == 'system' and message['tools'] -%}
{%- set content = content + '\\n' + message['tools'] | tojson(indent=4) -%}
{%- endif -%}
{{- '<|' + message['role'] + '|>' + (message['metadata'] or '') + '\\n' -}}
{%- if content -%}
{{- 'SPACE' + content -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|assistant|>' -}}
{%- endif -%}
"""

_BAICHUAN2 = """\
{#- Baichuan2: the system prompt stands bare; reserved tokens open turns, and nothing ends them. -#}
{%- for message in messages -%}
{%- if message['role'] == 'system' -%}
{{- message['content'] -}}
{%- elif message['role'] == 'user' -%}
{{- 'USERSPACE' + message['content'] -}}
{%- else -%}
{{- 'ASSISTANTSPACE' + message['content'] -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- 'ASSISTANT' -}}
{%- endif -%}
"""

INTERNLM2 = """\
{#- InternLM2 and InternLM2.5: ChatML with one <s> in front. -#}
{{- bos_token -}}
{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""


def chatglm3(*, dummy_prefix: bool) -> str:
    """Return ChatGLM3's template; ``dummy_prefix``: the tokenizer writes a space before texts."""
    return _CHATGLM3.replace("SPACE", " " if dummy_prefix else "")


def baichuan2(user: str, assistant: str, *, dummy_prefix: bool) -> str:
    """Return Baichuan2's template with the spellings of the tokens that open turns."""
    text = _BAICHUAN2.replace("SPACE", " " if dummy_prefix else "")
    return text.replace("USER", user).replace("ASSISTANT", assistant)
