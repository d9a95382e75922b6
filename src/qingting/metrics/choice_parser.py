"""Which options a model chose, read from what it wrote; never guessed.

Reading has two steps. First every mention of option letters becomes ``⟦…⟧``: ``(A) and C`` is
``⟦AC⟧``, ``A或B`` is ``⟦A|B⟧``, ``Because`` and ``a person`` stay. Then short patterns look for
what is said about those mentions.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from qingting.core.missing import Missing

Choice = frozenset[str]

_THOUGHT = re.compile(r"\A.*</think(?:ing)?>", re.S | re.I)
_OPEN_THOUGHT = re.compile(r"<think(?:ing)?>", re.I)
_MARKUP = re.compile(
    r"\*\*|__|[`$]|^ {0,3}#+ ?|\\(?:text|mathrm|mathbf|textbf|boxed)(?=\{)|[{}]", re.M
)
_BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")

_MENTION = r"⟦(?P<list>[A-Z|]+)⟧"
_OPTION = r"\s{0,3}(?:选项|(?i:options?|choices?))?\s{0,3}"
_STATED = re.compile(
    # 答案是B, 正确选项为B, 答案：B, 答案 B
    r"(?:(?:答案|正解)[】\])]?(?:应该|应当|应|就|可能)?\s*(?:(?:是|为|选|:|=)\s*)*"
    r"|(?:选项|选择|结果)(?:应该|应当|应|就|可能)?\s*(?:是|为|:|=)\s*:?"
    # 选B, 应选A和C, 选择B, 我选的是B
    r"|选(?!项)择?(?:的是|了|的|出)?\s*:?"
    r"|(?i:\b(?:answer|choice|option|response)s?(?:\s+(?:to|for|here)\b[^.\n⟦]{0,60}?)?\s*"
    r"(?:(?:should|would|must|will)\s+be|is|are|:|=)\s*:?\s*(?:indeed|likely|clearly|probably)?)"
    r"|(?i:\b(?:choose|chose|select|selected|pick|picked|go with|answer with)\b)"
    rf"){_OPTION}{_MENTION}"
)
_JUDGED = re.compile(
    rf"{_MENTION}(?:\s*(?:选?项)?\s*(?:都|均|才|最)?是?"
    r"(?:正确(?![吗率与])|对的|符合题意|最合适|最恰当|正解)|\s*(?:选?项)?\s*[都均]选"
    r"|(?i:\s+(?:is|are)\s+(?:the\s+)?(?:most\s+)?(?:correct|right|best|appropriate)\b))"
)
_LAST_LINE = re.compile(rf"(?:\A|\n)[ \t]*{_OPTION}{_MENTION}[\s.。!]*\Z")
_FINAL = re.compile(
    r"(?:最终|最后|综上|因此|所以|故|由此|总之|\b(?i:final|finally|therefore|thus|hence|so|overall|in conclusion)\b)"
    r"[^\n。.!?;⟦]{0,25}\Z"
)
# What turns a statement round: 不选A, 不能选A, 排除A.
_NEGATION = re.compile(
    r"(?:不|没有?|勿|别|非|排除|\b(?i:not|never|exclude|eliminate|rule out|than)\b|(?i:n't))"
    r"\s*(?:能|可以?|应该?|该|会|要|是|了)?\s*\Z"
)
_HEAD = re.compile(
    # B. 焦虑 / (B) 焦虑 / B焦虑; but A型人格, B超, A项错误 do not choose.
    rf"{_OPTION}{_MENTION}(?:\s*[.、:)\],。;]|\s|\Z|(?=[\u4e00-\u9fff])(?![型超类级组期项选是不错正有在的和与]))"
)
_OPTION_MARK = re.compile(r"⟦(?P<list>[A-Z])⟧\s*(?:[.、:)]|\s+\S)|(?:^|\n)[ \t]*⟦[A-Z]⟧")
_LINE = re.compile(r"⟦(?P<list>[A-Z])⟧\s*[.、:)]?\s*\S*")
# An explanation heading after the first option tells "B. 焦虑  解析：…" from a list of options.
_EXPLAINS = re.compile(
    r"解析|分析|解释|理由|原因|因为|说明|\b(?i:explanation|reason(?:ing)?|because|rationale|since)\b"
)
_FAULTED = re.compile(
    r"\s*[.、:,)]?\s*(?:是|(?i:is|are))?\s*(?:错|不|(?i:wrong|incorrect|false|not)\b)"
)
_NAMED = re.compile(
    r"(?:选项|\b(?i:option|choice))\s*⟦(?P<a>[A-Z])⟧|⟦(?P<b>[A-Z])⟧\s*选?项"
    r"|(?:是|为|\b(?i:is|it's|it’s|think|say|be))\s*⟦(?P<c>[A-Z])⟧\s*(?:\Z|[.。,!\n])"
)


def parse_choice(
    text: str, letters: Sequence[str], *, options: Mapping[str, str] | None = None
) -> Choice | Missing:
    """Return the letters that a reply settles on, or why it settles on none.

    Read in this order; the first kind found decides, and two different answers of one kind are a
    contradiction, which is ``Missing`` and not a choice of one of them:

    1. ``\\boxed{B}``;
    2. nothing but letters: ``B``, ``(b)``, ``ABD``, ``A、C``;
    3. a conclusion: ``最终答案是B``, ``因此选B``, ``so the answer is B``, a last line ``B``;
    4. a statement: ``答案：B``, ``应选A和C``, ``the correct answer is (C)``, ``B是正确的``;
    5. an option at the head: ``B. 焦虑``, unless it begins a list of options. A head that differs
       from a conclusion or statement makes the reply contradictory;
    6. several options, one per line, and nothing else: an answer with several letters;
    7. one option named anywhere as an option (``选项B``, ``it is B.``), and no other;
    8. with ``options``, a reply that is the text of exactly one option.

    What stands in ``<think>`` is not part of the reply. Full-width letters are letters;
    lower-case ones are where no English word can be meant. A negated statement (``不选A``)
    states nothing. ``A or B`` is undecided.

    Args:
        text: the reply.
        letters: the options' letters in order, such as ``"ABCD"``; upper case.
        options: letter → the option's text, where a reply without letters should count.
    """
    text = _THOUGHT.sub("", unicodedata.normalize("NFKC", text))
    if _OPEN_THOUGHT.search(text):
        return Missing("the reply ends within its reasoning")
    boxed = [_bare(_MARKUP.sub("", found), tuple(letters)) for found in _BOXED.findall(text)]
    text = _MARKUP.sub("", text).strip()
    if not text:
        return Missing("the reply is empty")
    if any(boxed):
        return _agree([one for one in boxed if one])
    bare = _bare(text, tuple(letters))
    if bare:
        return bare
    marked = _mark(text, tuple(letters))
    stated, head = _stated(marked), _head(marked)
    if stated is not None:
        if isinstance(stated, Missing) or head is None or head == stated:
            return stated
        return Missing(f"begins with {_show(head)} but concludes {_show(stated)}")
    if head is not None:
        return head
    listed = _lines(marked, len(letters))
    if listed is not None:
        return listed
    named = _named(marked)
    return _quoted(text, options) if named is None else named


def parse_key(key: str, letters: Sequence[str], *, multiple: bool) -> Choice | Missing:
    """Return the right options of an exam key, or why the item cannot be scored.

    Keys are data to be checked, not text to be understood. Right are letters of the options, each
    once, together or (for several answers) with a comma or ``、`` between them; case and spaces
    around do not matter. Anything else is reported: ``C,``, ``E`` of four options, two letters
    for a question with a single answer.
    """
    plain = key.strip().upper()
    if not plain:
        return Missing("the key is empty")
    if multiple and re.fullmatch(r"[A-Z](?:\s*[,，、]\s*[A-Z])+", plain):
        plain = re.sub(r"[\s,，、]", "", plain)
    if any(one not in letters for one in plain):
        return Missing(f"the key {key!r} holds more than the letters {''.join(letters)}")
    if len(set(plain)) != len(plain):
        return Missing(f"the key {key!r} repeats a letter")
    if not multiple and len(plain) > 1:
        return Missing(f"the key {key!r} has {len(plain)} letters for a single choice")
    return frozenset(plain)


def _stated(marked: str) -> Choice | Missing | None:
    """Return what conclusions say, else what statements say, else ``None``."""
    stated = [
        match for match in _STATED.finditer(marked) if not _NEGATION.search(_before(marked, match))
    ]
    final = [match for match in stated if _FINAL.search(_before(marked, match))]
    last = _LAST_LINE.search(marked)
    if last and "\n" in marked:
        final.append(last)
    judged = list(_JUDGED.finditer(marked))
    for matches in (final, [*stated, *judged]):
        if any("|" in match["list"] for match in matches):
            return Missing("does not decide between options")
        if matches:
            return _agree([frozenset(match["list"]) for match in matches])
    return None


def _head(marked: str) -> Choice | None:
    """Return the option that the reply begins with, unless it begins a list of options."""
    match = _HEAD.match(marked)
    if not match or "|" in match["list"]:
        return None
    rest = marked[match.end() :]
    following = _OPTION_MARK.search(rest)
    if following and not _EXPLAINS.search(rest[: following.start()]):
        return None
    # "A. 错误，因为…" judges option A and does not choose it.
    return None if _FAULTED.match(rest) else frozenset(match["list"])


def _before(marked: str, match: re.Match[str]) -> str:
    """Return what stands just before a match; enough for a cue, and bounded in long replies."""
    return marked[max(0, match.start() - 60) : match.start()]


def _lines(marked: str, n_letters: int) -> Choice | Missing | None:
    """Return the options of a reply whose every line is an option and nothing else."""
    lines = [line.strip() for line in marked.splitlines() if line.strip()]
    matches = [_LINE.fullmatch(line) for line in lines]
    if len(lines) < 2 or not all(matches) or re.search(r"正确|错|不对", marked):
        return None
    chosen = frozenset(match["list"] for match in matches if match)
    return Missing("repeats every option") if len(chosen) == n_letters else chosen


def _named(marked: str) -> Choice | Missing | None:
    """Return the only option that the reply names as one and does not reject."""
    found = []
    for match in _NAMED.finditer(marked):
        rejected = _FAULTED.match(marked, match.end()) or _NEGATION.search(_before(marked, match))
        if rejected:
            return Missing("says what the answer is not, without naming it")
        found.append(frozenset(match["a"] or match["b"] or match["c"]))
    if len(set(found)) > 1:
        return Missing(f"names {_show(frozenset().union(*found))} without choosing")
    return found[0] if found else None


def _quoted(text: str, options: Mapping[str, str] | None) -> Choice | Missing:
    plain = _plain(text)
    same = [letter for letter, option in (options or {}).items() if _plain(option) == plain]
    return frozenset(same) if len(same) == 1 else Missing("names no option")


def _plain(text: str) -> str:
    joined = "".join(unicodedata.normalize("NFKC", text).lower().split())
    return joined.strip(".。!,;")


def _agree(found: Iterable[Choice]) -> Choice | Missing:
    distinct = list(dict.fromkeys(found))
    if len(distinct) == 1:
        return distinct[0]
    return Missing("gives different answers: " + " and ".join(_show(one) for one in distinct))


def _show(chosen: Choice) -> str:
    return "".join(sorted(chosen))


def _bare(text: str, letters: tuple[str, ...]) -> Choice | None:
    """Return the letters of a text that is nothing but letters, or ``None``."""
    match = _mentions(letters).bare.fullmatch(text.strip())
    if not match:
        return None
    found = re.sub(r"(?i)and", "", match["list"]).upper()
    # "AAAAAA" is a model that broke down, not one that chose.
    return None if re.search(r"([A-Z])\1", found) else frozenset(found) & frozenset(letters)


def _mark(text: str, letters: tuple[str, ...]) -> str:
    """Return the text with each mention of option letters as ``⟦letters⟧``, ``|`` for "or"."""
    forms = _mentions(letters)
    text = forms.lower_case.sub(lambda match: match["cue"] + match["list"].upper(), text)

    def canonical(match: re.Match[str]) -> str:
        found = "".join(forms.parts.findall(match[0]))
        found = re.sub(r"[^A-Z|]", "|", found)
        return f"⟦{found}⟧" if len(set(found)) == len(found) or "|" in found else match[0]

    return forms.mention.sub(canonical, text)


class _Mentions:
    """The forms that mentions of given letters take; see the comment at each."""

    def __init__(self, letters: tuple[str, ...]) -> None:
        if not letters or any(len(one) != 1 or not "A" <= one <= "Z" for one in letters):
            raise ValueError(f"letters must be single capitals A–Z, got {letters!r}")
        upper = "".join(letters)
        either, lower = upper + upper.lower(), upper.lower()
        opening, closing = r"[(\[\"'“‘「『【]{0,3}", r"[)\]\"'”’」』】]{0,3}"
        # No part of a word or of B12, and no article: "A person", unless a verb follows.
        no_article = r"(?!(?<=\bA)\s+(?!(?:is|are|was|and|or|because|would|since)\b)[a-z])"
        one = rf"(?<![A-Za-z0-9]){opening}[{upper}]+(?![A-Za-z0-9]){no_article}{closing}"
        also = r"\s*(?:[、&+]|和|与|及|跟|以及|,?\s*\b(?i:and)\b)\s*"
        either_or = r"\s*(?:或者?|还是|/|\b(?i:or)\b)\s*"
        # After a comma a letter may begin the next clause ("选B,A选项不对"); then it stays apart.
        comma = (
            rf"\s*[,;]\s*(?={opening}[{upper}]+{closing}\s*(?:[,;、。.!\n)]|和|与|\b(?i:and)\b|\Z))"
        )
        self.mention = re.compile(rf"{one}(?:(?:{also}|{either_or}|{comma}){one})*")
        # What remains of a mention: its letters, and a mark for each "or".
        self.parts = re.compile(rf"[{upper}](?![a-z])|或|还是|/|\b(?i:or)\b")
        single = rf"{opening}[{either}]{closing}"
        self.bare = re.compile(
            rf"(?:选项|(?i:option)\s)?\s*(?P<list>{single}(?:(?:[\s,;、&+和与及跟]|\b(?i:and)\b)*{single})*)"
            r"[\s.。!]*"
        )
        self.lower_case = re.compile(
            rf"(?P<cue>(?:答案|选|(?i:\b(?:answer|option|choice)))(?:择|项)?\s*"
            rf"(?:应该|应)?(?:是|为|选|\b(?i:is)\b)?\s*:?\s*{opening})(?P<list>[{lower}]+)"
            r"(?=[)\]]*\s*(?:\Z|[\n.,;!。、]|[\u4e00-\u9fff]))"
        )


@lru_cache(maxsize=64)
def _mentions(letters: tuple[str, ...]) -> _Mentions:
    return _Mentions(letters)
