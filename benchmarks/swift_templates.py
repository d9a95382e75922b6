"""Chat templates with which ms-swift trains the same tokens as Qingting; a plugin for ms-swift.

Given to ``swift sft``, ``swift export`` and ``swift infer`` as ``--external_plugins``. None of the
templates that ms-swift 4.6 brings gives the ids and targets of the six small models: ``llama3_2``
and ``gpt_oss`` print today's date, ``baichuan`` writes the ids 195 and 196, ``chatml`` trains the
line break behind the end of a turn, no ``chatglm3`` is left, and its jinja backend puts loss on the
client's words too. Its own declarative form can say it all:

- template text and contents are encoded apart (ms-swift joins them to one string first, so that a
  character of the template can merge with a person's), and contents hold no control tokens
  (ChatGLM3 has one spelt ``eop``, which ms-swift finds in "people");
- the end-of-turn token is a target, what stands behind it is not;
- what a model writes before the words of an answer (GPT-OSS's channel, ChatGLM3's line break) is a
  target, as it is part of what it must produce.

One thing cannot be said: ms-swift writes nothing behind the last turn's end, where a template may
put a line break. That token is neither a target nor seen by one.

This file runs in the environment that holds ms-swift; it imports nothing of Qingting.
"""

from __future__ import annotations

from typing import Any

from swift.template import Template, TemplateMeta, register_template


class _Segments(Template):
    """Encodes every piece of the rendering by itself, and contents without control tokens."""

    _contents: frozenset[str] | set[str] = frozenset()
    answer_opening = ""
    """What the model itself writes before the words of an answer; a target."""

    def _swift_prepare_inputs(self, inputs: Any) -> None:
        super()._swift_prepare_inputs(inputs)
        self._contents = {inputs.system, *(message["content"] for message in inputs.messages)}
        if not self.answer_opening:
            return
        for message in inputs.messages:
            if message["role"] == "assistant" and isinstance(message["content"], str):
                message["content"] = [self.answer_opening, message["content"]]

    def _tokenize(self, context: Any, **options: Any) -> Any:
        return super()._tokenize(context, split_special_tokens=context in self._contents, **options)

    def _simplify_context_list(
        self, context_list: list[Any], loss_scale_list: list[float], inputs: Any
    ) -> tuple[list[Any], list[float]]:
        return context_list, loss_scale_list  # ms-swift joins neighbours here


class _TrimmedSegments(_Segments):
    """Llama 3.1 trims contents."""

    def _swift_prepare_inputs(self, inputs: Any) -> None:
        for message in inputs.messages:
            if isinstance(message["content"], str):
                message["content"] = message["content"].strip()
        super()._swift_prepare_inputs(inputs)


class _BrokenLineSegments(_Segments):
    """ChatGLM3 opens every content with a line break and a space."""

    answer_opening = "\n "


class _ChannelSegments(_Segments):
    """GPT-OSS names the channel it speaks on."""

    answer_opening = "<|channel|>final<|message|>"


_LLAMA_SYSTEM = (
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
    "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
)
_GPT_OSS_SYSTEM = (
    "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\n"
    "Knowledge cutoff: 2024-06\nCurrent date: 2024-07-26\n\nReasoning: low\n\n"
    "# Valid channels: analysis, commentary, final. Channel must be included for every message."
    "<|end|>"
)
_DEVELOPER = "<|start|>developer<|message|># Instructions\n\n"
_CHATML_PROMPT = ["<|im_start|>user\n", "{{QUERY}}", "<|im_end|>\n<|im_start|>assistant\n"]
_LLAMA_PROMPT = [
    "<|start_header_id|>user<|end_header_id|>\n\n",
    "{{QUERY}}",
    "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
]

TEMPLATES = (
    TemplateMeta(
        "qwen2.5-tiny",
        prefix=[],
        system_prefix=["<|im_start|>system\n", "{{SYSTEM}}", "<|im_end|>\n"],
        default_system=("You are Qwen, created by Alibaba Cloud. You are a helpful assistant."),
        prompt=_CHATML_PROMPT,
        chat_sep=["<|im_end|>\n"],
        suffix=["<|im_end|>"],
        template_cls=_Segments,
    ),
    TemplateMeta(
        "llama3.1-tiny",
        prefix=[_LLAMA_SYSTEM + "<|eot_id|>"],
        system_prefix=[_LLAMA_SYSTEM, "{{SYSTEM}}", "<|eot_id|>"],
        prompt=_LLAMA_PROMPT,
        chat_sep=["<|eot_id|>"],
        suffix=["<|eot_id|>"],
        template_cls=_TrimmedSegments,
    ),
    TemplateMeta(
        "chatglm3-tiny",
        prefix=["[gMASK]sop"],
        system_prefix=["[gMASK]sop<|system|>\n ", "{{SYSTEM}}"],
        prompt=["<|user|>\n ", "{{QUERY}}", "<|assistant|>"],
        chat_sep=[],
        suffix=["<|user|>"],
        template_cls=_BrokenLineSegments,
    ),
    TemplateMeta(
        "internlm2.5-tiny",
        prefix=["<s>"],
        system_prefix=["<s><|im_start|>system\n", "{{SYSTEM}}", "<|im_end|>\n"],
        prompt=_CHATML_PROMPT,
        chat_sep=["<|im_end|>\n"],
        suffix=["<|im_end|>"],
        template_cls=_Segments,
    ),
    TemplateMeta(
        "baichuan2-tiny",
        prefix=["{{SYSTEM}}"],
        prompt=["<reserved_106>", "{{QUERY}}", "<reserved_107>"],
        chat_sep=["</s>"],
        suffix=["</s>"],
        template_cls=_Segments,
    ),
    TemplateMeta(
        "gpt-oss-tiny",
        prefix=[_GPT_OSS_SYSTEM],
        system_prefix=[_GPT_OSS_SYSTEM + _DEVELOPER, "{{SYSTEM}}", "\n\n<|end|>"],
        prompt=["<|start|>user<|message|>", "{{QUERY}}", "<|end|><|start|>assistant"],
        chat_sep=["<|end|>"],
        suffix=["<|return|>"],
        template_cls=_ChannelSegments,
    ),
)
"""One template per small model, called as the model is."""

for _template in TEMPLATES:
    register_template(_template, exist_ok=True)
