"""Masking: what tells the model goes, words that only look like names stay."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qingting.judging.blinding import MASK, mask_names
from qingting.models.catalogue import load_cards

# Before; after, with § for the mask.
GOES = [
    # makers and models in introductions, in both languages
    ("我是由Meta开发的人工智能助手。", "我是由§开发的人工智能助手。"),
    ("I was created by Meta.", "I was created by §."),
    ("我由百川开发。", "我由§开发。"),
    ("我是书生，你的助手。", "我是§，你的助手。"),
    ("我是 Alibaba 的模型", "我是 § 的模型"),
    ("阿里巴巴达摩院训练了我", "§§训练了我"),
    ("我是腾讯混元大模型。", "我是§大模型。"),
    ("我是混元，很高兴见到你", "我是§，很高兴见到你"),
    ("由Google训练", "由§训练"),
    ("我是谷歌开发的语言模型", "我是§开发的语言模型"),
    (
        "I am a large language model, trained by Google.",
        "I am a large language model, trained by §.",
    ),
    ("I am Phi, developed by Microsoft.", "I am §, developed by §."),
    ("Phi-4 says so", "§ says so"),
    ("QwQ-32B and QwQ", "§ and §"),
    ("Mixtral 8x7B", "§"),
    ("作为科大讯飞研发的讯飞星火，", "作为§研发的§，"),
    ("我是零一万物的Yi-34B-Chat", "我是§的§"),
    ("MiniCPM3-4B，面壁智能与清华大学联合推出的模型", "§，§与§联合推出的模型"),
    ("我叫面壁。", "我叫§。"),
    ("I'm Grok, built by xAI.", "I'm §, built by §."),
    ("ＱＷＥＮ２．５ 说", "§ 说"),
    ("我是Ｑｗｅｎ", "我是§"),
    ("Q w e n, Q-w-e-n, Q.w.e.n", "§, §, §"),
    ("Qw\u200ben2.5\u2060-7B", "§"),
    ("通 义 千 问、通义·千问、通義千問", "§、§、§"),
    ("Meta-Llama-3-8B-Instruct", "§"),
    ("meta-llama/Llama-3.1-8B-Instruct", "§"),
    ("Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4", "§"),
    ("GPT-4 Turbo, gpt-4o-mini, GPT4, GPTs", "§, §, §, §"),
    ("QwenLM and Qwen's answer", "§ and §'s answer"),
    ("作为智谱AI和清华大学KEG实验室共同训练的模型", "作为§和§§实验室共同训练的模型"),
    ("trained by Zhipu AI and Tsinghua University", "trained by § and §"),
    ("a large language model created by Alibaba Cloud", "a large language model created by §"),
    ("我的名字是文心一言。", "我的名字是§。"),
    ("我的名字叫“文心”。", "我的名字叫“§”。"),
    ("你可以叫我豆包~", "你可以叫我§~"),
    ("我是豆包，字节跳动推出的AI助手", "我是§，§推出的AI助手"),
    ("My name is Claude.", "My name is §."),
    ("I am Claude, made by Anthropic.", "I am §, made by §."),
    ("As Claude, I try to help.", "As §, I try to help."),
    ("Claude 3.5 Sonnet; claude-3-opus", "§; §"),
    (
        "I am Gemini, a large language model built by Google DeepMind.",
        "I am §, a large language model built by §.",
    ),
    ("Google's Gemini and Meta's Llama", "§'s § and §'s §"),
    ("Gemini 1.5 Pro", "§"),
    ("I'm Llama, an AI assistant from Meta.", "I'm §, an AI assistant from §."),
    ("Llama 3.1 is here, llama-2 and llama3 too", "§ is here, § and § too"),
    ("an AI assistant by Microsoft", "an AI assistant by §"),
    ("developed and trained by the team at Google", "developed and trained by the team at §"),
    ("an AI model called Gemma", "an AI model called §"),
    ("一个名为百川的大模型", "一个名为§的大模型"),
    ("本模型是百川。", "本模型是§。"),
    ("基于百川的模型", "基于§的模型"),
    ("based on Llama", "based on §"),
    ("我的开发者是华为。", "我的开发者是§。"),
    ("华为盘古", "§§"),
    ("我的开发团队来自百度", "我的开发团队来自§"),
    ("Google created me.", "§ created me."),
    ("百度公司的AI助手", "§公司的AI助手"),
    ("我是天工，由昆仑万维开发", "我是§，由§开发"),
    ("书生·浦语、书生浦语、浦语", "§、§、§"),
    ("ChatGLM3-6B、GLM-4-9B-Chat", "§、§"),
    ("Baichuan2-7B-Chat by Baichuan Inc.", "§ by §"),
    ("bert-base-chinese", "§"),
    ("Claude v2, Vicuna v1.5", "§, §"),
    ("DeepSeek-R1-Distill-Qwen-7B", "§"),
    ("deepseek 和 深度求索", "§ 和 §"),
    ("Kimi K2，月之暗面", "§，§"),
    ("我是Kimi，由月之暗面科技有限公司训练", "我是§，由§科技有限公司训练"),
]

STAYS = [
    "文心雕龙是一部书，我喜欢文心雕龙。",
    "查一查通义词典",
    "A llama farm, two llamas and an alpaca.",
    "My brother Claude is older than I am.",
    "I talked to Claude about it, he is an AI researcher.",
    "A Gemini like me; my star sign is Gemini.",
    "百川归海，海纳百川。",
    "一份 meta-analysis 说的，supported and provided by meta-analysis.",
    "You may google it, or search Google.",
    "打开腾讯会议，百度一下，用微软的文档。",
    "你在腾讯上班，压力很大。",
    "作为百度员工，你很累。",
    "他吃了两个豆包，一介书生，面壁思过。",
    "我有一千问题，千问万问都不够。",
    "通讯飞速发展，黄浦语言学校。",
    "阿里巴巴和四十大盗，阿里巴巴的马云",
    "星火燎原，混元太极，巧夺天工。",
    "The mistral wind blew; the anthropic principle.",
    "to grok something; Grok this first",
    "Her friend Gemma and her uncle Bert came.",
    "Spark joy, a nova, the falcon and pi.",
    "下一步，清华大学的学生来了。",
    "Yi Jianlian, phi coefficient, claude monet",
    "It was written by Yi Li.",
    "That is a metaphor, and metabolism too.",
    "glmm, gptq-like words, ernest",
]


def masked(text: str) -> str:
    return text.replace("§", MASK["en"])


@pytest.mark.parametrize(("text", "after"), GOES, ids=[text for text, _ in GOES])
def test_what_tells_the_model_is_masked_and_counted(text, after):
    assert mask_names(text) == (masked(after), after.count("§"))


@pytest.mark.parametrize("text", STAYS, ids=STAYS)
def test_words_that_only_look_like_names_stay(text):
    assert mask_names(text) == (text, 0)


INTRODUCTIONS = (
    "我是{}。",
    "我是由{}开发的。",
    "我的名字是{}，很高兴认识你。",
    "作为{}，我不能诊断。",
    "I am {}.",
    "My name is {}, an AI assistant.",
    "I was trained by {}.",
    "a large language model created by {}",
)


@pytest.mark.parametrize("card", load_cards(), ids=lambda card: card.name)
def test_every_model_that_has_a_card_is_masked_with_its_maker(card):
    family = re.match(r"[A-Za-z]+(?:-oss)?", card.name, re.I)[0]
    makers = re.split(r", | and ", card.developer)
    names = [card.name, card.name.lower(), card.name.upper(), family]
    if not card.name.islower():  # in small letters, "base" and "tiny" are words
        names.append(card.name.replace("-", " "))
    hubs = [one for one in (card.hub.huggingface, card.hub.modelscope) if one]
    for form in INTRODUCTIONS:
        for name in (*names, *makers, *(hub.split("/")[1] for hub in hubs)):
            said = form.format(name)
            assert mask_names(said).text == masked(form.format("§")), said
    for name in (card.name, *(hub.split("/")[1] for hub in hubs)):
        assert mask_names(f"比较 {name} 与别的").text == masked("比较 § 与别的")


def test_an_arm_named_by_an_ordinary_word_is_masked_where_it_introduces_itself_only():
    names = ["base", "strong", "tuned", "基线"]
    text = "Stand on a strong base, finely tuned. I am strong, and you are. 从基线开始。"
    assert mask_names(text, names) == (text, 0)
    assert mask_names("My name is Strong.", names).text == masked("My name is §.")
    assert mask_names("I am base, an AI counsellor.", names).text == masked(
        "I am §, an AI counsellor."
    )
    assert mask_names("由基线训练", names).text == masked("由§训练")


def test_an_arm_with_a_name_of_its_own_is_masked_anywhere():
    names = ["clinic-v2/lora", "clinic-v1", "TunedOne", "a1b", "7", "well"]
    text = "clinic-v2/lora, CLINIC-V1, tunedone-7b, A1B. On day 7 all is well, xa1b."
    assert mask_names(text, names) == (masked("§, §, §, §. On day 7 all is well, xa1b."), 4)


def test_a_mask_that_stands_in_an_answer_is_no_name():
    for language, mask in MASK.items():
        text = f"{mask}, {mask}"
        assert mask_names(text, ["model", "a model", "某模型", "x-某模型"], language=language) == (
            text,
            0,
        )


_PIECES = st.one_of(
    st.sampled_from([text for text, _ in GOES]),
    st.sampled_from(STAYS),
    st.sampled_from(
        ["我是", "由", "开发", "I am ", "by ", " and ", "、", "的", "Claude", "base", "a model"]
    ),
    st.text(max_size=6),
)
_TEXTS = st.lists(_PIECES, max_size=5).map("".join)


@settings(deadline=None)  # the first text waits for patterns to be compiled
@given(_TEXTS, st.sampled_from(["zh", "en"]))
def test_masking_again_changes_nothing(text, language):
    once = mask_names(text, ["base", "x-1"], language=language).text
    assert mask_names(once, ["base", "x-1"], language=language) == (once, 0)


@settings(deadline=None)  # the first text waits for patterns to be compiled
@given(_TEXTS)
def test_the_mask_joins_no_words_and_cuts_none(text):
    found = mask_names(text, language="zh")
    place = 0
    pieces = found.text.split(MASK["zh"])
    assert found.n_masked == len(pieces) - 1 - text.count(MASK["zh"])
    for n, piece in enumerate(pieces):
        at = text.find(piece, place)
        assert at >= place
        if n:
            assert not re.search(r"[A-Za-z]\Z", text[:at]) or not re.match("[A-Za-z]", piece)
        place = at + len(piece)


@settings(deadline=None)
@given(st.text(alphabet="bcdhjkrswxz 心情很好睡不着，。！3.-", max_size=60))
def test_a_text_without_names_is_left_alone(text):
    assert mask_names(text, ["clinic-v1"]) == (text, 0)
