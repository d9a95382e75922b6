"""One form for all answers: marks are made alike, words are kept."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qingting.judging.blinding import normalise_formatting

ALIKE = [
    # headings
    ("# 建议", "建议"),
    ("### 建议 ###", "建议"),
    ("建议\n====\n先睡", "建议\n先睡"),
    ("建议\n---\n先睡", "建议\n先睡"),
    ("<h2>建议</h2>先睡", "建议\n先睡"),
    ("#话题 与 C# 语言", "#话题 与 C# 语言"),
    # emphasis
    ("**很** __好__ *的* _一天_ ***真的***", "很 好 的 一天 真的"),
    ("这是_重要_的", "这是重要的"),
    ("~~不~~ 好", "不 好"),
    ("snake_case_name, 2*3*4, 2**3", "snake_case_name, 2*3*4, 2**3"),
    ("我感到____，因为____。", "我感到____，因为____。"),
    ("`代码` ``x`y``", "代码 x`y"),
    ("<b>很</b><i class='x'>好</i><br/>真的", "很好\n真的"),
    ("T_T (>_<) ^_^", "T_T (>_<) ^_^"),
    (r"\*不是\* 1\. 项", r"不是 1\. 项"),
    # lists
    ("* 睡\n+ 吃\n• 走\n·跑\n– 读\n■ 写", "- 睡\n- 吃\n- 走\n- 跑\n- 读\n- 写"),
    ("<ul><li>睡</li><li>吃</li></ul>", "- 睡\n- 吃"),
    ("- [ ] 睡\n- [x] 吃", "- 睡\n- 吃"),
    ("- 睡\n    - 早睡\n\t\t- 更早", "- 睡\n  - 早睡\n  - 更早"),
    ("1) 睡\n2） 吃\n（3）走\n(4) 跑\n5、读\n6．写\n⑦ 唱\n8.跳", None),
    ("①睡\n⑵ 吃\n❸走\n4️⃣ 跑", "1. 睡\n2. 吃\n3. 走\n4. 跑"),
    ("1.5 小时\n5、6 点\n2026. 11. 27", "1.5 小时\n5、6 点\n2026. 11. 27"),
    ("一、睡\n二、吃", "一、睡\n二、吃"),
    ("-5 度，* 不是列表的 3*4", "-5 度，* 不是列表的 3*4"),
    # tables
    ("| 情绪 | 做法 |\n|---|:-:|\n| 焦虑 | 呼吸 |", "情绪 | 做法\n焦虑 | 呼吸"),
    ("情绪 | 做法\n--- | ---\n焦虑 | 呼吸", "情绪 | 做法\n焦虑 | 呼吸"),
    ("<table><tr><th>情绪</th><th>做法</th></tr></table>", "情绪 | 做法"),
    # links and images: what leads outside is information
    ("见[心理援助](https://example.org/help)。", "见心理援助 (https://example.org/help)。"),
    ("[https://example.org](https://example.org/)", "https://example.org"),
    (
        "[写信](mailto:a@example.org) 或 <mailto:b@example.org>",
        "写信 (a@example.org) 或 b@example.org",
    ),
    ("[打 12356](tel:12356)", "打 12356"),
    ("[上文](#one) [那页](/p/2 '标题')", "上文 那页"),
    ("<https://example.org>", "https://example.org"),
    ('<a href="https://example.org" target="_blank">这里</a>', "这里 (https://example.org)"),
    ("![一棵树](tree.png)之下", "一棵树之下"),
    ("[你的名字]（见下文）[注](见下文)", "[你的名字]（见下文）[注](见下文)"),
    # entities, LaTeX, code, quotations
    ("A&nbsp;&amp;&nbsp;B &quot;好&quot; AT&T &middot;", 'A & B "好" AT&T ·'),
    ("5 < 6, <3, <name>, a<b", "5 < 6, <3, <name>, a<b"),
    (r"\(x^2\) 和 $\frac{1}{2}$ 与 $$y$$ \textbf{好}", r"x^2 和 \frac{1}{2} 与 y 好"),
    ("花了 $5 和 $10", "花了 $5 和 $10"),
    ("```python\n晚安\n```", "晚安"),
    ("> 引用\n>> 再引\n>_<", "引用\n再引\n>_<"),
    ("***\n___\n———\n- - -\n晚安", "晚安"),
    # white space
    ("  晚安  \n\n\n\n　　好 \t梦\\\n再见\u200b", "晚安\n\n好 梦\n再见"),
    ("👩‍👩‍👧 好！!，,", "👩‍👩‍👧 好！!，,"),
]


@pytest.mark.parametrize(("text", "alike"), ALIKE, ids=[text[:20] for text, _ in ALIKE])
def test_marks_are_made_alike(text, alike):
    if alike is None:
        alike = "\n".join(f"{n}. {word}" for n, word in enumerate("睡吃走跑读写唱跳", 1))
    assert normalise_formatting(text) == alike
    assert normalise_formatting(alike) == alike


def test_the_same_advice_has_one_form_whoever_marked_it_up():
    forms = [
        "## 建议\n\n1. **深呼吸**：慢慢来\n2. 写下来\n",
        "建议\n---\n\n1）深呼吸：慢慢来\n2）_写下来_",
        "<h3>建议</h3>\n（1）深呼吸：慢慢来<br>（2）写下来",
        "**建议**\n\n\n①`深呼吸`：慢慢来  \n② 写下来",
    ]
    assert {normalise_formatting(text).replace("\n\n", "\n") for text in forms} == {
        "建议\n1. 深呼吸：慢慢来\n2. 写下来"
    }


_MARKED = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *(
                    "# ",
                    "**",
                    "*",
                    "_",
                    "__",
                    "~~",
                    "`",
                    "> ",
                    "- ",
                    "• ",
                    "\n",
                    "\n\n",
                    "  \n",
                    "---\n",
                ),
                *(
                    "<b>",
                    "</b>",
                    "<br>",
                    "<li>",
                    "|",
                    "|---|---|\n",
                    "1) ",
                    "（2）",
                    "③",
                    "4、",
                    "5. ",
                ),
                *(
                    "[",
                    "](https://example.org/a)",
                    "](#b)",
                    "&nbsp;",
                    "$",
                    "\\(",
                    "\\)",
                    "\\",
                    "===\n",
                ),
            ]
        ),
        st.sampled_from(["睡", "眠", "calm", "down", "7", "。", "👍", "，", " "]),
    ),
    max_size=14,
).map("".join)


def words(text: str) -> str:
    """Return the letters and digits of a text in order, tags, entities and inner targets aside."""
    text = re.sub(r"</?(?:b|br|li)>|&nbsp;", " ", text)
    plain = unicodedata.normalize("NFKC", text)
    return re.sub(r"[\W_]", "", plain)


@given(_MARKED)
def test_normalising_twice_is_normalising_once(text):
    once = normalise_formatting(text)
    assert normalise_formatting(once) == once


@given(_MARKED.filter(lambda text: "](" not in text))
def test_no_word_is_lost_and_none_is_moved(text):
    assert words(normalise_formatting(text)) == words(text)


@given(st.text(alphabet="睡眠calm 7。👍\n*_-#>", max_size=40))
def test_words_stay_whatever_marks_surround_them(text):
    assert words(normalise_formatting(text)) == words(text)


@given(st.text(max_size=60))
def test_any_text_has_one_form(text):
    once = normalise_formatting(text)
    assert normalise_formatting(once) == once
