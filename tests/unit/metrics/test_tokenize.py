import pytest

from qingting.core.errors import SpecificationError
from qingting.metrics.tokenize import tokenize, tokenizer_name

WORDS = tokenizer_name("zh", "word")


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("我很焦虑。", ["我", "很", "焦", "虑", "。"]),
        ("我有3.5分", ["我", "有", "3.5", "分"]),
        ("做CBT治疗", ["做", "CBT", "治", "疗"]),
        ("I don't know.", ["I", "don't", "know", "."]),
        ("about 10,000 people, 3.", ["about", "10,000", "people", ",", "3", "."]),
        ("self-esteem_x", ["self", "-", "esteem", "_", "x"]),
        ("好的……😊", ["好", "的", "…", "…", "😊"]),
        ("ＡＢ　ｃ", ["Ａ", "Ｂ", "ｃ"]),
        ("한국 かな", ["한", "국", "か", "な"]),
        ("naïve", ["naïve"]),
        (" \n\t　", []),
        ("", []),
    ],
)
def test_characters_stand_alone_and_words_stay_whole(text, tokens):
    assert tokenize(text, "char") == tokens
    assert tokenize(text, "word") == tokens


def test_chinese_words_are_cut_and_latin_words_stay_whole():
    assert tokenize("我理解你的感受", WORDS) == ["我", "理解", "你", "的", "感受"]
    assert tokenize("你可以试试CBT，don't worry 3.5分", WORDS) == [
        "你", "可以", "试试", "CBT", "，", "don't", "worry", "3.5", "分",
    ]  # fmt: skip


def test_the_tokenizer_is_named_with_its_version():
    assert tokenizer_name("zh") == "char"
    assert tokenizer_name("en") == "word"
    assert WORDS.startswith("rjieba-0")


def test_english_by_character_is_refused():
    with pytest.raises(SpecificationError, match="chrf"):
        tokenizer_name("en", "char")


def test_another_version_of_the_dictionary_is_refused():
    with pytest.raises(SpecificationError, match="not available here"):
        tokenize("我", "rjieba-0.0.1")
