"""What names a person in free text: numbers, accounts and addresses, each with its rule.

Patterns are matched in folded text (``folding``). A pattern's group ``hidden`` is what is replaced,
where the words before it are needed to know it; otherwise all of it is. Where an identifier has a
check digit it is computed; where a pattern alone would catch ordinary numbers, words are asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from qingting.judging.check_digits import (
    is_hong_kong_id,
    is_iban,
    is_luhn,
    is_old_resident_id,
    is_resident_id,
    is_taiwan_id,
)

_IS = r"\s*(?:是|为|叫|is\b|at\b|[:：=])?\s*"
_END = r"(?![A-Za-z0-9])"
_START = r"(?<![A-Za-z0-9])"
# A number that is not the end of another one, such as a date or a decimal.
_NUMBER = r"(?<!\d)(?<!\d[.,:/-])"
_HANDLE = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{3,28}[A-Za-z0-9_])"
# A character of a place name: not a word that stands before one.
_HAN = r"(?:(?![在于到去往从至是住来回找])[\u4e00-\u9fff])"
_HAN_DIGIT = "[〇零○一二三四五六七八九幺两壹贰叁肆伍陆柒捌玖]"
_STATES = (
    "A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|"
    "UT|V[AT]|W[AIVY]"
)
_UNIT = r"(?!\s?(?:元|块|万|亿|千|百|%|字|步|人|次|秒|毫秒|分|ms\b|yuan|dollars|steps|words))"


class Kind(NamedTuple):
    """One kind of identifier: what replaces it, where it may stand, and what must hold of it."""

    name: str
    pattern: re.Pattern[str]
    holds: Callable[[str], bool] = lambda text: True


def digits_of(text: str) -> str:
    """Return the digits of a number alone."""
    return re.sub(r"\D", "", text)


def _kind(
    name: str, *patterns: str, holds: Callable[[str], bool] | None = None
) -> tuple[Kind, ...]:
    rule = holds or (lambda text: True)
    return tuple(Kind(name, re.compile(one, re.I), rule) for one in patterns)


def _exact(
    name: str, *patterns: str, holds: Callable[[str], bool] | None = None
) -> tuple[Kind, ...]:
    """Return kinds whose letters are capitals, as they are printed."""
    rule = holds or (lambda text: True)
    return tuple(Kind(name, re.compile(one), rule) for one in patterns)


def _is_date(digits: str) -> bool:
    return bool(re.fullmatch(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])", digits))


def _are_years(text: str) -> bool:
    return bool(re.fullmatch(r"(?:19|20)\d\d\D(?:19|20)\d\d", text))


def _is_service(digits: str) -> bool:
    """Return whether only an organisation can have a number: 400, 800 and other freephones."""
    return bool(
        re.fullmatch(r"(?:86)?[48]00\d{7}|1?8(?:00|33|44|55|66|77|88)\d{7}|080[08]\d{6,7}", digits)
    )


def _is_north_american(text: str) -> bool:
    area = digits_of(text)[-10:-7]
    is_assigned = area[1:] not in ("00", "11") and area[1] != "9"
    return is_assigned and not _is_service(digits_of(text))


def _is_with_trunk_zero(text: str) -> bool:
    digits = digits_of(re.split(r"转|分机|ext|x", text, flags=re.I)[0])
    if _is_service(digits):
        return False
    return 10 <= len(digits) <= 12 or (len(digits) == 9 and not text.isdecimal())


def _is_eight_digits(text: str) -> bool:
    first, last = text.split()
    return not (_are_years(text) or first.startswith(("19", "20")) or first[2:] == last[2:] == "00")


def _is_seven_digits(text: str) -> bool:
    """Return whether neither half is round, as both ends of a range often are."""
    return not any(part.endswith("0") for part in text.split("-"))


def _is_told_number(text: str) -> bool:
    return not (_is_date(digits_of(text)) or _are_years(text) or _is_service(digits_of(text)))


def _is_handle(text: str) -> bool:
    """Return whether a word cannot be an ordinary one."""
    return bool(re.search(r"[\d_]", text))


def _is_bank_card(text: str) -> bool:
    digits = digits_of(text)
    return is_luhn(digits) or (digits.startswith("62") and len(digits) == 19)


_URL = r"[A-Za-z0-9\-._~:/?#@!$&'*+,;=%]*[A-Za-z0-9/_~=&%+-]"
_DOMAIN = (
    r"(?:[A-Za-z0-9-]+\.)+(?:com|cn|net|org|me|io|edu|gov|info|xyz|top|cc|tv|uk|hk|tw|mo|sg|app|"
    r"dev|co|us|de|fr|jp|be|gl|ly|link)"
)

# In this order: an earlier kind takes what a later one would take a part of.
KINDS: tuple[Kind, ...] = (
    # An address ends where Chinese begins: it is written without a space before it.
    *_kind(
        "link",
        rf"{_START}[A-Za-z][A-Za-z0-9+.-]{{1,15}}://{_URL}",
        rf"{_START}www\.{_URL}",
        rf"(?<![A-Za-z0-9@._-]){_DOMAIN}/{_URL}",
    ),
    *_kind(
        "e-mail",
        r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+",
        rf"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]+\s?(?:[(（\[【]\s?(?:at|@|艾特)\s?[)）\]】]|#|\sat\s)"
        rf"\s?[A-Za-z0-9-]+(?:(?:\.|\s?[(（\[【]dot[)）\]】]\s?|\sdot\s)[A-Za-z0-9-]+)*"
        rf"(?:\.|\s?[(（\[【]dot[)）\]】]\s?|\sdot\s)(?:com|cn|net|org|edu|uk|hk|tw|me){_END}",
    ),
    *_exact(
        "iban",
        rf"{_START}[A-Z]{{2}}\d{{2}}(?: ?[A-Z0-9]{{4}}){{2,7}}(?: ?[A-Z0-9]{{1,3}})?{_END}",
        holds=is_iban,
    ),
    *_kind("id", rf"(?<!\d)\d{{6}}[ -]?\d{{8}}[ -]?\d{{3}}[\dX]{_END}", holds=is_resident_id),
    *_kind("id", r"(?<!\d)\d{15}(?!\d)", holds=is_old_resident_id),
    *_kind("id", rf"{_START}[A-Z][A-D1289]\d{{8}}(?!\d)", holds=is_taiwan_id),
    *_kind("id", rf"{_START}[A-Z]{{1,2}}\d{{6}}\s?[(（][\dA][)）]", holds=is_hong_kong_id),
    *_exact("id", rf"{_START}[A-Z]{{1,2}}\d{{6}}[\dA]{_END}", holds=is_hong_kong_id),
    # Macau publishes no rule for the digit in brackets.
    *_kind("id", r"(?<!\d)[157]\d{6}[(（]\d[)）]"),
    *_kind("id", rf"{_NUMBER}(?!000|666|9)\d{{3}}-(?!00)\d{{2}}-(?!0000)\d{{4}}(?![\d-])"),
    *_exact(
        "id",
        rf"{_START}(?![DFIQUV])[A-Z](?![DFIOQUV])[A-Z] ?\d{{2}} ?\d{{2}} ?\d{{2}} ?[A-D]{_END}",
    ),
    *_kind(
        "card",
        r"(?<![\d-])[3-6]\d{3}([ -])\d{4}\1\d{4}\1\d{4}\1\d{1,3}(?!\d)",
        r"(?<![\d-])(?:[3-6]\d{3}|2[2-7]\d{2})([ -])\d{4}\1\d{4}\1\d{4}(?!\d)",
        r"(?<![\d-])3[47]\d{2}([ -])\d{6}\1\d{5}(?!\d)",
        r"(?<!\d)[1-9]\d{12,18}(?!\d)",
        holds=_is_bank_card,
    ),
    *_kind(
        "id",
        r"(?:学号|工号|警号|病历号|病案号|门诊号|住院号|床位号|就诊卡号?|准考证号?|医保卡?号?|社保卡?号?|身份证号?码?|"
        r"证件号码?|\b(?:student|patient|employee|case|NHS|medicare)\s(?:id|number|no\.?)|\bMRN"
        rf"|medical record(?:\s(?:number|no\.?))?|\bSSN|social security(?:\snumber)?){_IS}#?"
        r"(?P<hidden>[A-Z]{0,3}(?:\d{5,17}[\dX]?|\d{3}[ -]\d{3}[ -]\d{4}|\d{3}[ -]\d{2}[ -]\d{4}))(?!\d)",
    ),
    *_kind(
        "phone",
        # Mainland mobiles: 3-4-4, 4-3-4, or every digit apart; also in Chinese numerals.
        r"(?<![\d+])(?:[(（]?(?:\+ ?|00)?86[)）]?[ -]?)?1(?:[3-9]\d[ .-]?\d{4}[ .-]?\d{4}"
        r"|[3-9]\d{2}[ .-]\d{3}[ .-]\d{4}|([ .-])[3-9](?:\1\d){9})(?!\d)",
        rf"(?<!{_HAN_DIGIT})[一幺壹][三四五六七八九叁肆伍陆柒捌玖]{_HAN_DIGIT}[ -]?{_HAN_DIGIT}{{4}}[ -]?"
        rf"{_HAN_DIGIT}{{4}}(?!{_HAN_DIGIT})",
        # Written with the code of a country; a plus sign before a score is none.
        r"(?<![\w+])[(（]?(?:\+ ?|00)1[)）]?[ .-]?[(（]?[2-9]\d{2}[)）]?[ .-]?\d{3}[ .-]?\d{4}(?!\d)",
        r"(?<![\w+])[(（]?(?:\+ ?|00)44[)）]?(?: ?\(0\))?(?:[ ./()-]{0,2}\d){9,10}(?!\d)",
        r"(?<!\d)[(（]?(?:\+ ?|00)?85[23][)）]?[ -]?[2-9]\d{3}[ -]?\d{4}(?!\d)",
        r"(?<!\d)[(（]?(?:\+ ?|00)?886[)）]?(?: ?\(0\))?[ -]?9\d{2}[ -]?\d{3}[ -]?\d{3}(?!\d)",
        r"(?<![\w+])[(（]?(?:\+ ?|(?<!\d[.,:])00)(?!1|44|85[23])[2-9](?:[ ./()-]{0,2}\d){8,14}(?!\d)",
    ),
    *_kind(
        "phone",
        rf"{_NUMBER}[(（]?0[1-9]\d{{0,3}}[)）]?(?:[ .-]{{0,3}}\d{{3,8}}){{1,3}}(?!\d)"
        r"(?:[ -]?(?:转|分机|ext\.?|x) ?\d{1,6}|-\d{1,4}(?!\d))?",
        holds=_is_with_trunk_zero,
    ),
    *_kind(
        "phone",
        rf"(?<![\d$¥￥€£+])(?<!\d[.,:/-])(?:1[ .-]?)?(?:[(（][2-9]\d{{2}}[)）] ?|[2-9]\d{{2}}[ .-]?)"
        rf"[2-9]\d{{2}}[ .-]?\d{{4}}(?!\d){_UNIT}",
        holds=_is_north_american,
    ),
    *_kind(
        "phone",
        rf"{_NUMBER}[2-9]\d{{2}}-\d{{4}}(?![\d-]){_UNIT}",
        holds=_is_seven_digits,
    ),
    *_kind("phone", r"(?<![\d-])\d(?:-\d){6,}(?![\d-])"),
    *_kind(
        "phone", rf"{_NUMBER}[2-9]\d{{3}} \d{{4}}(?![\d-])(?! \d){_UNIT}", holds=_is_eight_digits
    ),
    *_kind(
        "phone",
        r"(?:电话|手机|座机|热线|传真|号码|致电|拨打|打给|\b(?:tel|phone|mobile|cell|call|text|fax|whatsapp))"
        rf"(?:号码?|\s?number|\s?no\.?|\s?me|\s?us)?{_IS}(?P<hidden>\d{{7,10}}|\d{{3,4}}[ -]\d{{4}})(?!\d){_UNIT}",
        holds=_is_told_number,
    ),
    *_kind(
        "passport",
        rf"{_START}(?:[CDEGHKMPSW]\d{{8}}|[HM]\d{{10}})(?!\d)",
        rf"(?:护照|通行证|台胞证|回乡证|passport|visa)(?:号码?|\s?number|\s?no\.?)?{_IS}"
        rf"(?P<hidden>[A-Z]{{0,2}}\d{{6,10}})(?!\d)",
    ),
    *_exact("passport", rf"{_START}[CEHKMW][A-HJ-NP-Z]\d{{7}}(?!\d)"),
    *_exact(
        "plate",
        r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-HJ-NP-Z][·•・ ]?"
        rf"(?=[A-Z]*\d)[A-HJ-NP-Z0-9]{{5,6}}{_END}",
    ),
    *_kind(
        "account",
        # A number or name after the name of a service; ordinary words may follow it too.
        rf"(?:{_START}QQ|扣扣|企鹅号)(?:群号?|号码?|\s?number)?{_IS}(?P<hidden>[1-9]\d{{4,10}})(?!\d)",
        rf"(?:群号|加群|入群|进群){_IS}(?P<hidden>[1-9]\d{{4,10}})(?!\d)",
    ),
    *_kind(
        "account",
        rf"(?:微信|薇信|威信|v信|{_START}(?:wechat|weixin|wx|vx)(?:\s?id)?(?![A-Za-z_])|{_START}v(?=\s?[:：])|[加+]我?个?(?:v|微|薇|威|微信)|小红书|抖音|快手|微博|支付宝|"
        rf"钉钉|{_START}(?:telegram|tg|whatsapp|skype|line\s?id|instagram|ins|ig|facebook|fb|twitter|snapchat|discord|"
        rf"weibo|douyin|tiktok|linkedin|paypal|alipay)(?![A-Za-z_]))(?:\s?(?:id|号码?|账号|昵称|account))?{_IS}[@“\"「]?"
        rf"(?P<hidden>{_HANDLE})(?![A-Za-z0-9@])",
        rf"(?:账号|帐号|用户名|{_START}(?:user\s?name|user\s?id|handle)){_IS}[@“\"「]?(?P<hidden>{_HANDLE})(?![A-Za-z0-9@])",
        r"(?<![A-Za-z0-9])(?P<hidden>wxid_[A-Za-z0-9_]+)",
        holds=_is_handle,
    ),
    *_kind(
        "account",
        rf"(?:微信号|{_START}(?:wechat|weixin|vx)\s?(?:id|号)|账号|帐号|用户名)\s*[:：]\s*(?P<hidden>{_HANDLE})(?![A-Za-z0-9@])",
        r"(?<![A-Za-z0-9._-])@(?P<hidden>[A-Za-z][A-Za-z0-9_.]{1,28}[A-Za-z0-9_])",
    ),
    *_kind(
        "address",
        # At most five characters before the street, so that a sentence is not taken with it.
        rf"(?:{_HAN}{{2,7}}?省)?(?:{_HAN}{{2,7}}?市)?(?:{_HAN}{{1,7}}?[区县])?(?:{_HAN}{{1,7}}?[镇乡村])?"
        rf"{_HAN}{{1,5}}(?:路|街|大道|巷|弄|胡同|里)\s?\d{{1,5}}(?:-\d{{1,4}})?\s?[号弄](?![线车])"
        r"(?:大?院)?(?:\s?[A-Z]?\d{1,4}\s?(?:号楼|栋|幢|座|单元|楼|层|室|房|号))*(?:(?<=[楼栋幢元座])\s?\d{2,4}(?!\d))?",
        rf"(?:{_HAN}{{2,6}}(?:小区|花园|苑|公寓|宿舍|新村|家园|社区|城))?\d{{1,4}}\s?(?:号楼|栋|幢)\s?(?:\d{{1,2}}\s?单元\s?)?"
        r"\d{2,4}(?:室|房|号|(?![\d.:：]|\s?[年月日天点元个人分次]))",
    ),
    *_exact(
        "address",
        r"(?<![\w.,:/-])\d{1,5}[A-Z]?,? (?:[NSEW]\.? )?(?:(?:[A-Z][a-z]+|\d{1,3}(?:st|nd|rd|th)) ){1,3}(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|"
        r"Drive|Boulevard|Blvd|Court|Crescent|Terrace|Square|Close)\b\.?(?:,? (?:Apt|Apartment|Unit|Flat|Suite|Room)\.? ?#?\w{1,5}|,? #\w{1,5})?",
        # Postcodes of a few houses: British and Canadian; American ones after their state.
        rf"{_START}[A-Z]{{1,2}}\d[A-Z\d]? \d(?!AM|PM)[A-Z]{{2}}{_END}",
        rf"{_START}[A-Z]\d[A-Z] \d[A-Z]\d{_END}",
        rf"{_START}(?:{_STATES}) \d{{5}}(?:-\d{{4}})?(?!\d)",
    ),
    # So many digits are no quantity that a comment needs.
    *_kind("number", rf"\d{{11,}}(?:[Xx]{_END})?", rf"{_HAN_DIGIT}{{11,}}"),
)
