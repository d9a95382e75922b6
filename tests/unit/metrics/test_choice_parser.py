import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qingting.core.missing import Missing
from qingting.metrics.choice_parser import parse_choice, parse_key

# How models answer: (reply, the letters it settles on).
SETTLED = [
    # nothing but letters
    ("B", "B"),
    ("b", "B"),
    ("B.", "B"),
    ("(B)", "B"),
    ("（B）", "B"),
    ("Ｂ", "B"),
    ("ＡＢＤ", "ABD"),
    ("**B**", "B"),
    ("`C`", "C"),
    ("ABD", "ABD"),
    ("abd", "ABD"),
    ("A、C", "AC"),
    ("A, C, D", "ACD"),
    ("A和C", "AC"),
    ("A and C", "AC"),
    ("A C D", "ACD"),
    ("选项B", "B"),
    ("\n B 。\n", "B"),
    # statements, Chinese
    ("答案是B", "B"),
    ("答案是b", "B"),
    ("答案：B", "B"),
    ("答案 B", "B"),
    ("【答案】B", "B"),
    ("正确答案为C。", "C"),
    ("正确答案是：**D**", "D"),
    ("正确选项是 A", "A"),
    ("本题选C。", "C"),
    ("选A和C", "AC"),
    ("应选A、B、D。", "ABD"),
    ("我选择B选项，因为患者有明显的焦虑。", "B"),
    ("答案是ABD", "ABD"),
    ("答案：A,C", "AC"),
    ("答案是B，A选项不对。", "B"),
    ("答案应该是选项C", "C"),
    ("这道题考查共情。正确答案：B. 共情", "B"),
    ("B是正确的。", "B"),
    ("选项C正确，其余都不对。", "C"),
    ("A、B和D都是正确的", "ABD"),
    ("ABCD都选", "ABCD"),
    ("不选A，选B。", "B"),
    ("答案不是A，答案是C。", "C"),
    ("选「D」", "D"),
    # statements, English
    ("The answer is (C)", "C"),
    ("The answer is C.", "C"),
    ("The answer is c.", "C"),
    ("the correct answer is: B", "B"),
    ("Answer: D", "D"),
    ("**Answer:** B", "B"),
    ("The correct answers are A and C.", "AC"),
    ("The correct answers are A, B, and D.", "ABD"),
    ("I would choose option B because the client is anxious.", "B"),
    ("Option A is correct.", "A"),
    ("A is the best answer here.", "A"),
    ("The best choice would be D, a reflection of feeling.", "D"),
    ("The correct answer to this question is B.", "B"),
    ("My answer is B, A is about something else.", "B"),
    # an option at the head
    ("B. 焦虑", "B"),
    ("B、焦虑", "B"),
    ("B：焦虑", "B"),
    ("B 焦虑", "B"),
    ("（B）焦虑", "B"),
    ("B焦虑障碍", "B"),
    ("B. Anxiety", "B"),
    ("B) Anxiety disorder", "B"),
    ("A. A person-centred approach", "A"),
    ("B. 焦虑\n\n解析：A项说的是抑郁，C项错误，D项错误。", "B"),
    ("A. 抑郁\n解析：B. 焦虑不符合，C. 强迫不符合，D. 恐惧不符合。", "A"),
    ("C. Empathy\n\nExplanation: A. is wrong and B. is too narrow.", "C"),
    ("A、B、D。解析：三者都是。", "ABD"),
    # several options, one per line
    ("A. 抑郁\nC. 强迫", "AC"),
    # reasoning with a final answer
    ("首先看A，它说的是抑郁。再看B，符合题意。因此答案是B。", "B"),
    ("A选项错误。B选项正确。C选项错误。所以选B。", "B"),
    ("A正确，B正确，C错误，D正确。题目问错误的一项，故选C。", "C"),
    ("答案可能是A。但再看题干……最终答案：B", "B"),
    ("Let us think. A is about mood. So the answer is B.", "B"),
    ("At first the answer is A. Reading again, the final answer is D.", "D"),
    ("<think>也许是A，答案是A？不，</think>\n答案是B", "B"),
    ("也许是A。</think>B", "B"),
    ("Therefore, the correct option is \\boxed{C}.", "C"),
    ("最终答案：$\\boxed{\\text{B}}$", "B"),
    ("来访者的想法属于自动思维。\n\nB", "B"),
    # one option named as one, and no other
    ("我认为是B。", "B"),
    ("I think it's B.", "B"),
    ("应该是 C", "C"),
    ("选项D更贴近题意。", "D"),
]

# Replies that settle on nothing, and a word of the reason.
UNSETTLED = [
    ("", "empty"),
    ("   \n", "empty"),
    ("****", "empty"),
    ("我无法回答这个问题。", "no option"),
    ("抱歉，作为AI助手，我不能提供答案。", "no option"),
    ("I'm sorry, but I can't help with that.", "no option"),
    ("A person in distress deserves care.", "no option"),
    ("Because anxiety is common.", "no option"),
    ("焦虑", "no option"),
    ("缺乏维生素B12会导致情绪问题。", "no option"),
    ("A型人格的人容易着急。", "no option"),
    ("答案是A或B", "decide"),
    ("The answer is A or B.", "decide"),
    ("答案是A。答案是B。", "different"),
    ("The answer is A. The answer is C.", "different"),
    ("B. 焦虑。综上，答案是C。", "begins with B"),
    ("\\boxed{A} \\boxed{B}", "different"),
    ("A. 抑郁\nB. 焦虑\nC. 强迫\nD. 恐惧", "repeats"),
    ("A. 错误，因为它只说了情绪。\nB. 不对。", ""),
    ("排除A选项。", "not"),
    ("不选A。", ""),
    ("The answer is not A.", ""),
    ("选项A和选项B都有道理。", ""),
    ("答案是E", ""),
    ("<think>先看A，再看B", "reasoning"),
    ("以上都不对", "no option"),
    ("AAAAAAAAAAAA", ""),
]


@pytest.mark.parametrize(("reply", "expected"), SETTLED)
def test_a_settled_reply_is_read(reply, expected):
    assert parse_choice(reply, "ABCD") == frozenset(expected)


@pytest.mark.parametrize(("reply", "word"), UNSETTLED)
def test_an_unsettled_reply_is_missing_with_its_reason(reply, word):
    parsed = parse_choice(reply, "ABCD")
    assert isinstance(parsed, Missing)
    assert word in parsed.reason


@pytest.mark.parametrize(("reply", "expected"), SETTLED)
def test_no_letter_outside_the_options_is_ever_returned(reply, expected):
    parsed = parse_choice(reply, "ABCDEF")
    assert isinstance(parsed, Missing) or parsed <= frozenset("ABCDEF")
    assert parsed == frozenset(expected)


def test_the_text_of_one_option_counts_only_when_options_are_given():
    options = {"A": "抑郁", "B": "焦虑。", "C": "强迫"}
    assert parse_choice(" 焦虑 ", "ABC", options=options) == frozenset("B")
    assert isinstance(parse_choice("焦虑", "ABC"), Missing)
    same = {"A": "焦虑", "B": "焦虑"}
    assert isinstance(parse_choice("焦虑", "AB", options=same), Missing)


def test_letters_must_be_capitals():
    with pytest.raises(ValueError, match="capitals"):
        parse_choice("B", "abcd")


@pytest.mark.parametrize(
    ("key", "multiple", "expected"),
    [
        ("C", False, "C"),
        (" c ", False, "C"),
        ("ABD", True, "ABD"),
        ("A", True, "A"),
        ("A,C", True, "AC"),
        ("A、B, D", True, "ABD"),
    ],
)
def test_a_proper_key_is_read(key, multiple, expected):
    assert parse_key(key, "ABCD", multiple=multiple) == frozenset(expected)


@pytest.mark.parametrize(
    ("key", "multiple", "word"),
    [
        ("C,", False, "more than"),
        ("", False, "empty"),
        ("AC", False, "2 letters"),
        ("E", False, "more than"),
        ("AA", True, "repeats"),
        ("A,C", False, "more than"),
        ("A,C,", True, "more than"),
        ("D、华生", False, "more than"),
    ],
)
def test_an_improper_key_is_reported_and_not_guessed(key, multiple, word):
    parsed = parse_key(key, "ABCD", multiple=multiple)
    assert isinstance(parsed, Missing)
    assert word in parsed.reason


PIECES = [
    "A", "B", "D", "答案", "是", "选", "不", "因此", ",", "。", "\n", "(", ")", "the answer", " is ",
    " or ", "和", "错误", "正确", ":", "、", "**", "<think>", "</think>", "\\boxed{", "}", "选项",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_whatever_is_written_yields_options_or_a_reason(reply):
    parsed = parse_choice(reply, "ABCD")
    assert isinstance(parsed, Missing) or (parsed and parsed <= frozenset("ABCD"))


@pytest.mark.parametrize(
    "piece", ["(", "\n", " ", "A,", "A or ", "因为焦虑,所以选择A。", "⟦A⟧", "{"]
)
def test_endless_repetition_is_read_in_time(piece):
    started = time.perf_counter()
    parse_choice(piece * (20_000 // len(piece)), "ABCD")
    assert time.perf_counter() - started < 2
