"""Names of models and their makers, as patterns.

Three sorts. A *known* name is a word of no other use and is masked wherever it stands. A *model* or
*maker* that is also an ordinary word, a given name or a company of everyday life (``Claude``,
``文心``, ``Google``, ``腾讯``) is masked only where the text speaks of a model
(``self_introductions``). All are matched in folded text, regardless of case unless said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

# Written in any case and also with something between the letters: Q w e n, Chat-GPT, 通 义 千 问.
_KNOWN_SPACED = (
    *("Qwen", "Qianwen", "Tongyi", "ChatGLM", "Zhipu", "InternLM", "Baichuan", "ChatGPT", "OpenAI"),
    *("DeepSeek", "Doubao", "Hunyuan", "MiniCPM", "Mixtral", "SparkDesk", "iFlytek", "DeepMind"),
    *("GPT", "StepFun", "OpenBMB", "ModelBest", "SenseNova", "Nemotron", "Wenxin"),
    *(
        "通义千问",
        "文心一言",
        "智谱清言",
        "书生浦语",
        "书生万象",
        "讯飞星火",
        "科大讯飞",
        "百川智能",
    ),
    *(
        "深度求索",
        "月之暗面",
        "零一万物",
        "面壁智能",
        "昆仑万维",
        "阶跃星辰",
        "稀宇科技",
        "紫东太初",
    ),
    *("聆心智能", "阿里云", "上海人工智能实验室"),
)
_KNOWN = (
    r"Alibaba ?(?:Cloud|Group)",
    r"Shanghai (?:AI|Artificial Intelligence) Lab(?:oratory)?",
    r"Meta[ -]?(?:AI|Llama|Platforms)",
    r"Google[ -]?(?:AI|DeepMind|Gemini|Gemma|Bard|Brain)",
    r"(?:Microsoft|GitHub) Copilot|Microsoft (?:AI|Research)|Huawei Cloud|Tencent (?:AI(?: Lab)?|Cloud)",
    r"Baidu (?:AI|ERNIE)|Moonshot AI|Mistral AI|Z\.ai|01\.ai|Tsinghua KEG|THUDM|BAAI",
    r"EmoLLM|SoulChat|MeChat|MindChat|PsyChat|CPsyCoun|Skywork|SenseChat|Qingting|SparkDesk",
    r"ERNIE[- ]?Bot|bert-(?:base|large|tiny|small|mini|medium)|roberta|distilbert",
    r"Yi-(?:Chat|Large|Lightning|VL|Coder|Medium|Spark)|Command[- ]R\+?(?![a-z])|Kimi[- ]?(?:Chat|K\d)",
    r"Claude[- ](?:Opus|Sonnet|Haiku|Instant)|Gemini[- ](?:Pro|Ultra|Flash|Nano|Advanced)",
    r"Llama[- ](?:Guard|Chat|Instruct)|Code[- ]?Llama|WizardLM|StableLM|RedPajama|OpenAssistant",
    # A version makes a name of an ordinary word; after a space only where it is no quantity.
    r"(?:Llama|Gemini|Claude|Kimi|Phi|Grok|Gemma|Yi|Ernie|Bert|Falcon|Vicuna|Alpaca|Mistral|GLM|Pangu|"
    r"Nova|Spark|Orca|Bloom|Dolly|Titan)(?=[-_]?v?\d| v\d)",
    r"(?-i:Llama|Gemini|Claude|Phi|Grok|Gemma|Mistral|Falcon|Vicuna)(?= \d{1,2}(?:\.\d+)?[A-Za-z]?@NO_QUANTITY@)",
)
_KNOWN_EXACT = (
    r"QwQ|QVQ|xAI|LLaMA|BERT|ERNIE|GLM|MiniMax",
    r"Mistral(?! (?:wind|blow))|Anthropic(?! principle)",
    r"Grok(?! (?:this|that|it|the|what|how|why)(?![a-z]))",
)
_KNOWN_HAN = (
    r"通义(?:万相|灵码|听悟|星尘|实验室|团队)|(?<![一二三四五六七八九十几数两百上成])千问(?![题万号])",
    r"阿里(?:通义|达摩院)|智谱(?:AI|华章)?|(?<![黄青杨张柘])浦语(?![言文音])",
    r"(?<![通资简音])讯飞(?![速快跃行])|上海AI实验室|星火认知|百川(?=[-_]?\d)|腾讯混元|百度文心|微软小冰",
)
_MODELS = (
    *("Llama", "Gemini", "Claude", "Kimi", "Phi", "Grok", "Gemma", "Yi", "Ernie", "Bert", "Falcon"),
    *("Vicuna", "Alpaca", "Bard", "Copilot", "Pi", "Spark", "Nova", "Mistral", "Pangu", "Siri"),
    *("Alexa", "Moonshot", "Replika", "QwQ", "GLM", "Titan", "Orca", "Bloom"),
    *(
        "百川",
        "通义",
        "文心",
        "混元",
        "星火",
        "豆包",
        "书生",
        "面壁",
        "盘古",
        "日日新",
        "天工",
        "悟道",
    ),
    *(
        "商汤",
        "小冰",
        "小度",
        "小爱",
        "羊驼",
        "克劳德",
        "海螺",
        "跃问",
        "扁鹊",
        "漫谈",
        "灵心",
        "清言",
    ),
)
_MAKERS = (
    *("Alibaba", "阿里巴巴"),
    *("Meta", "Google", "Microsoft", "Tencent", "Baidu", "Huawei", "ByteDance", "Nvidia", "IBM"),
    *("Amazon", "Samsung", "Cohere", "Tsinghua University", "Tsinghua", "Stanford", "Perplexity"),
    *("Facebook", "xAI", "Anthropic", "KEG"),
    *(
        "腾讯",
        "谷歌",
        "微软",
        "百度",
        "字节跳动",
        "字节",
        "华为",
        "阿里",
        "达摩院",
        "清华大学",
        "清华",
    ),
    *(
        "智源研究院",
        "智源",
        "复旦大学",
        "复旦",
        "元象",
        "幻方",
        "脸书",
        "亚马逊",
        "英伟达",
        "三星",
        "快手",
    ),
    *("京东", "美团", "小米", "商汤科技", "Qwen team"),
)
_PARTS = (
    *(
        "Instruct",
        "Chat",
        "Base",
        "Turbo",
        "Max",
        "Plus",
        "Mini",
        "Pro",
        "Coder",
        "Math",
        "VL",
        "Omni",
    ),
    *(
        "oss",
        "OSS",
        "Thinking",
        "Preview",
        "Distill",
        "Large",
        "Medium",
        "Small",
        "Tiny",
        "Nano",
        "Lite",
    ),
    *(
        "Flash",
        "Ultra",
        "Long",
        "Air",
        "Next",
        "AWQ",
        "GPTQ",
        "GGUF",
        "hf",
        "lora",
        "sft",
        "dpo",
        "it",
    ),
    *(
        "uncased",
        "cased",
        "chinese",
        "Zero",
        "LM",
        "Guard",
        "Vision",
        "Opus",
        "Sonnet",
        "Haiku",
        "Bot",
    ),
    *("Latest", "Exp", "Llama", "Qwen", "Mistral", "Audio", "Advanced", "Speciale"),
)
_NO_QUANTITY = (
    r"(?![a-z0-9]|\.\d|\s?[个次天年月日周小分秒岁号点种名位条步篇页元块倍万千百题轮本句段字期人%]|\s(?:years?|months?|weeks?|days?|hours?|minutes?|times|people|"
    r"of|or|and|more|things|steps|questions|tips)(?![a-z]))"
)
_PART = "|".join(_PARTS)
VERSION = (
    rf"(?:(?:[-_]?[vk]?| v)\d[a-z0-9]*(?:[._]\d[a-z0-9]*)*| \d{{1,2}}(?:\.\d+)?[a-z]?{_NO_QUANTITY})?"
    r"(?:[-_](?:[a-z]*\d(?:[a-z0-9]|\.(?=\d))*"
    rf"|(?:{_PART})(?![a-z]))| \d{{1,4}}(?:[.x]\d{{1,3}})?b(?![a-z0-9])|/(?=[a-z-]*\d)[a-z0-9._-]*[a-z0-9]|(?-i:\s(?:{_PART})(?![A-Za-z])))*"
)
"""What may follow a name and tells the same: 2.5-7B-Instruct, -4o, `` 3.1``, `` Turbo``."""
_TAIL = r"(?: (?:Inc\.?|Corp\.?|Corporation|Ltd\.?|LLC|AI|Intelligence|Technology|Labs?|team)(?![a-z])){0,2}"

MASK = {"zh": "〔某模型〕", "en": "[a model]"}


def is_distinctive(name: str) -> bool:
    """Return whether an arm's own name is no ordinary word and can be masked anywhere.

    It is, where it has two letters or more and a digit, a mark such as a hyphen, or a capital after
    its first letter.
    """
    if sum(character.isalpha() for character in name) < 2:
        return False
    has_mark = any(not character.isalpha() for character in name.replace(" ", ""))
    return has_mark or any(character.isupper() for character in name[1:])


def name_pattern(own: Sequence[str]) -> re.Pattern[str]:
    """Return what matches any name in folded text; the group that matched says its sort.

    Groups: ``mask`` (one that stands there already), ``known``, ``model``, ``maker``, and ``word``
    for those of ``own`` that are ordinary words.
    """
    names = sorted({name for name in own if name.strip()}, key=lambda name: (-len(name), name))
    distinctive = [name for name in names if is_distinctive(name)]
    words = [name for name in names if not is_distinctive(name)]
    groups = {
        "mask": [re.escape(mask) for mask in MASK.values()],
        "known": [
            *(f"{_bounded(re.escape(name))}{_own_end(name)}" for name in distinctive),
            *_known(),
        ],
        "maker": _ambiguous(_MAKERS),
        "model": _ambiguous(_MODELS),
        "word": [_bounded(re.escape(name)) + r"(?![a-z0-9])" for name in words],
    }
    parts = [f"(?P<{name}>{'|'.join(some)})" for name, some in groups.items() if some]
    return re.compile("|".join(parts), re.I)


def _own_end(name: str) -> str:
    return rf"{VERSION}(?![a-z0-9])" if name[-1].isascii() else ""


def _bounded(pattern: str) -> str:
    return rf"(?<![a-z0-9])(?:{pattern})"


def _known() -> list[str]:
    latin = [_spaced(name) for name in _KNOWN_SPACED if name.isascii()]
    han = [_spaced(name) for name in _KNOWN_SPACED if not name.isascii()]
    known = [one.replace("@NO_QUANTITY@", _NO_QUANTITY) for one in _KNOWN]
    stems = "Qwen|ChatGLM|InternLM|Baichuan|DeepSeek|OpenAI|Mixtral|MiniCPM|GPT"
    words = [*latin, *known, *(f"(?-i:{one})" for one in _KNOWN_EXACT)]
    return [
        # QwenLM, GPTs: only after names that begin no ordinary word
        rf"(?<![a-z0-9])(?:{stems})(?:LM|VL|s)(?:{VERSION}){_TAIL}(?![a-z0-9])",
        rf"(?<![a-z0-9])(?:{'|'.join(words)})(?:{VERSION}){_TAIL}(?![a-z0-9])",
        rf"(?:{'|'.join((*han, *_KNOWN_HAN))})(?:{VERSION})",
    ]


def _spaced(name: str) -> str:
    between = "[ .·_*-]?" if name.isascii() else r"[\s·・•.-]?"
    return between.join(re.escape(character) for character in name)


def _ambiguous(names: Iterable[str]) -> list[str]:
    ordered = sorted(names, key=len, reverse=True)
    latin = "|".join(re.escape(name) for name in ordered if name.isascii())
    han = "|".join(name for name in ordered if not name.isascii())
    return [
        # meta-analysis is a word of its own
        rf"(?<![a-z0-9])(?:{latin})(?:{VERSION})(?![a-z0-9])(?!-[a-z]|\s?analy)",
        rf"(?:{han})(?:{VERSION})",
    ]
