"""Answers in one form: the same marks for all, every word kept.

Models differ in how they mark up as much as in what they say, and raters learn it fast. Markdown,
HTML and LaTeX become plain text with ``- `` and ``1. `` as the only marks of lists. What would change
words or tone stays: emoji, punctuation of either width, Chinese numbers of sections (``一、``).
"""

from __future__ import annotations

import html
import re
import unicodedata

# Marks of direction and joiners that are not seen; joiners of emoji (U+200D) stay.
_INVISIBLE = re.compile("[\u200b\u200e\u200f\u2060\ufeff\u00ad]")
_SPACES = re.compile("[\u00a0\u2002\u2003\u2009\u202f\u3000\t]")

_BLOCK = "p|div|section|article|ul|ol|dl|table|thead|tbody|tr|blockquote|pre|details|center"
_INLINE = (
    "b|strong|i|em|u|s|del|ins|mark|small|big|sub|sup|span|font|code|kbd|td|th|dt|dd|summary|q|cite"
)
_ATTRIBUTES = r"(?:\s+[\w:-]+(?:\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s\"'<>=]+))?)*\s*/?"
_HTML = (
    (re.compile(r"<!--.*?-->", re.S), ""),
    (re.compile(rf"<(?:br|hr){_ATTRIBUTES}>\n?", re.I), "\n"),
    (re.compile(rf"<li{_ATTRIBUTES}>\s*", re.I), "\n- "),
    (re.compile(r"</li>", re.I), ""),
    (re.compile(rf"</?(?:h[1-6]|{_BLOCK}){_ATTRIBUTES}>", re.I), "\n"),
    (re.compile(rf"</(?:td|th)>\s*<(?:td|th){_ATTRIBUTES}>", re.I), " | "),
    (re.compile(rf"</?(?:{_INLINE}){_ATTRIBUTES}>", re.I), ""),
)
_ANCHOR = re.compile(
    r"<a\s[^<>]*?href\s*=\s*[\"']?([^\s\"'<>]*)[\"']?[^<>]*>(.*?)</a>", re.I | re.S
)
_ENTITY = re.compile(r"&(?:#\d{1,6}|#x[0-9a-f]{1,5}|[a-z]{2,8}\d{0,2});", re.I)

_TARGET = r"<?([^\s()<>\u4e00-\u9fff]*(?:\([^\s()]*\)[^\s()<>\u4e00-\u9fff]*)*)>?(?:\s+(?:\"[^\"\n]*\"|'[^'\n]*'))?"
_IMAGE = re.compile(rf"!\[([^\[\]\n]*)\]\(\s*{_TARGET}\s*\)")
_LINK = re.compile(rf"(?<!!)\[([^\[\]\n]+)\]\(\s*{_TARGET}\s*\)")
_AUTOLINK = re.compile(r"<((?:https?://|mailto:|tel:)[^\s<>]+|[\w.+-]+@[\w-]+\.[\w.-]+)>")
_OUTSIDE = re.compile(r"(?:https?:|mailto:|tel:|www\.)", re.I)
_SCHEME = re.compile(r"^(?:mailto:|tel:)", re.I)

_LATEX = (
    # Dollars are money unless what stands between them is LaTeX.
    (re.compile(r"\$\$(?=[^$]*\S)([^$]+)\$\$"), r"\1"),
    (re.compile(r"\$(?=[^$\n]*[\\^_{}])([^$\n]+)\$"), r"\1"),
    (re.compile(r"\\[()]|\\[\[\]]"), ""),
    (re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|boxed|emph|underline)\{([^{}]*)\}"), r"\1"),
)
_ESCAPE = re.compile(r"\\([*_#`~>+|!-])")

_LANGUAGE = (
    r"(?:python|py|json|yaml|xml|html|css|javascript|js|java|cpp|c|sql|csv|bash|sh|shell|latex|tex|"
    r"markdown|md|plaintext|plain|text|txt|diff)?"
)
_RULE = re.compile(rf"(?:(?:```|~~~)\s?{_LANGUAGE}|(?:[-*_]\s*){{3,}}|[=─━—–]{{3,}})", re.I)
_TABLE_RULE = re.compile(r"\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)+\|?|\|\s*:?-+:?\s*\|")
_TABLE_ROW = re.compile(r"\|(.*\|.*)\|")
_QUOTE = re.compile(r"^(?:>(?![_.=<≥-])\s*)+")
_HEADING = re.compile(r"^(?:#{1,6} +)+(.*?)(?: #+)?$")
_BULLET = re.compile(r"^(?:[*+○●◦–—-]\s+|[•‣▪■◆►▸·]\s*(?=\S))(?:\[[ xX]\]\s+)?(?=\S)")
_NUMBER = re.compile(
    r"^(?:[(（](\d{1,2})[)）]|(\d{1,2})(?:[)）、](?!\d)|[.．](?![\d.．])))\s*(?=\S)"
)
_NUMBER_SIGN = re.compile(
    r"^([\u2460-\u249b\u2776-\u277f\u2780-\u2793]|\d\ufe0f?\u20e3)[.、)）]?\s*(?=\S)"
)
_EMPHASIS = (
    (re.compile(r"\*\*(?=[^\s*])(.{1,1000}?)(?<=[^\s*])\*\*"), r"\1"),
    (re.compile(r"(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])"), r"\1"),
    # Between underscores a word begins: ____ is a gap to fill, ^_^ a face.
    (
        re.compile(
            r"(?<![A-Za-z0-9_])(_{1,3})(?=[^\W_]|[“\"「《(（])([^\n]{1,1000}?)(?<=[^\s_])\1(?![A-Za-z0-9_])"
        ),
        r"\2",
    ),
    (re.compile(r"~~(?=[^\s~])([^~\n]+?)(?<=[^\s~])~~"), r"\1"),
    (re.compile(r"(?<!`)(`+)(?!`)([^\n]+?)(?<!`)\1(?!`)"), r"\2"),
)


def normalise_formatting(text: str) -> str:
    """Return a text in the one form that all arms are shown in; doing it again changes nothing.

    - Line ends, white space at them and within lines, more than one blank line, invisible
      characters: made alike.
    - Marks of headings (``#``, underlines), emphasis, quotations, code and rules: removed. The
      language that a code fence names is a mark too.
    - Items of lists: ``- `` for every bullet, ``1. `` for ``1)``, ``（1）``, ``1、``, ``①``; one step of
      indentation at most.
    - Tables: a line a row, cells with `` | `` between them.
    - Links: their text, then the target in brackets where it leads outside and says more; an image
      becomes its description.
    - HTML tags of text and entities: removed or read; ``<3`` and ``<name>`` stay.
    - LaTeX: the marks around a formula and around words are removed, commands stay.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    while (once := _without_marks(text)) != text:  # a mark may stand within another
        text = once
    return text


def _without_marks(text: str) -> str:
    text = _SPACES.sub(" ", _INVISIBLE.sub("", text))
    text = _ENTITY.sub(lambda found: html.unescape(found[0]), text)
    text = _ANCHOR.sub(lambda found: _linked(found[2], found[1]), text)
    for pattern, instead in _HTML:
        text = pattern.sub(instead, text)
    text = _IMAGE.sub(r"\1", text)
    text = _LINK.sub(lambda found: _linked(found[1], found[2]), text)
    text = _AUTOLINK.sub(lambda found: _SCHEME.sub("", found[1]), text)
    for pattern, instead in _LATEX:
        text = pattern.sub(instead, text)
    text = _ESCAPE.sub(r"\1", text)
    lines = [_line(line.rstrip().removesuffix("\\").rstrip()) for line in text.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line for line in lines if line is not None)).strip()


def _linked(words: str, target: str) -> str:
    """Return the text of a link, with its target where that tells more than the text does."""
    target = _SCHEME.sub("", target) if _OUTSIDE.match(target) else ""
    plain = re.sub(r"^https?://|/$", "", target)
    return words if not target or plain in words else f"{words} ({target})"


def _line(line: str) -> str | None:
    """Return a line without marks, or ``None`` where it was nothing else."""
    is_inner = line.startswith(" ")
    line = re.sub(r" {2,}", " ", line.strip())
    if _RULE.fullmatch(line) or _TABLE_RULE.fullmatch(line):
        return None
    if row := _TABLE_ROW.fullmatch(line):
        line = " | ".join(cell.strip() for cell in row[1].split("|") if cell.strip())
    line = _HEADING.sub(r"\1", _QUOTE.sub("", line))
    line = _BULLET.sub("- ", line)
    line = _NUMBER.sub(lambda found: f"{found[1] or found[2]}. ", line)
    line = _NUMBER_SIGN.sub(lambda found: f"{_value(found[1])}. ", line)
    for pattern, instead in _EMPHASIS:
        line = pattern.sub(instead, line)
    return f"  {line}" if is_inner and re.match(r"- |\d{1,2}\. ", line) else line


def _value(sign: str) -> int:
    return int(unicodedata.numeric(sign[0]))
