"""Scrubbing: identifiers go, words and ordinary numbers stay."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qingting.judging.folding import folded
from qingting.judging.scrubbing import scrub

# Text before; text after. Numbers with check digits are published examples or computed by rule.
GOES = [
    # links end where Chinese begins
    ("见 https://example.org/u/77?x=1", "见 [link]"),
    ("看https://example.org/u/77我觉得很好", "看[link]我觉得很好"),
    ("看https://example.org/a，我觉得很好", "看[link]，我觉得很好"),
    ("(see www.example.com/me).", "(see [link])."),
    ("在www.example.cn上写的", "在[link]上写的"),
    ("主页 weibo.com/u/1234567 有照片", "主页 [link] 有照片"),
    ("t.me/lilei_2008", "[link]"),
    ("weixin://dl/chat?lilei", "[link]"),
    ("HTTPS://EXAMPLE.ORG/Q, then", "[link], then"),
    # e-mail
    ("写信到 li.lei+a@example.edu.cn", "写信到 [e-mail]"),
    ("邮箱lilei@qq.com谢谢", "邮箱[e-mail]谢谢"),
    ("lilei＠qq．com", "[e-mail]"),
    ("lilei(at)qq.com", "[e-mail]"),
    ("lilei [at] example [dot] com", "[e-mail]"),
    ("lilei#qq.com", "[e-mail]"),
    ("write to li at example dot com", "write to [e-mail]"),
    # mainland mobiles
    ("打我电话13812345678", "打我电话[phone]"),
    ("+86 138 1234 5678", "[phone]"),
    ("(+86)13812345678", "[phone]"),
    ("008613812345678", "[phone]"),
    ("138-1234-5678", "[phone]"),
    ("138.1234.5678", "[phone]"),
    ("1381 234 5678", "[phone]"),
    ("1 3 8 1 2 3 4 5 6 7 8", "[phone]"),
    ("１３８１２３４５６７８", "[phone]"),
    ("１３８ １２３４ ５６７８", "[phone]"),
    ("138\u200b1234\u200b5678", "[phone]"),
    ("1️⃣3️⃣8️⃣1️⃣2️⃣3️⃣4️⃣5️⃣6️⃣7️⃣8️⃣", "[phone]"),
    ("一三八一二三四五六七八", "[phone]"),
    ("我的手机是幺三八 一二三四 五六七八。", "我的手机是[phone]。"),
    # landlines and trunk zeros
    ("座机 010-62751234", "座机 [phone]"),
    ("01062751234", "[phone]"),
    ("(010)62751234", "[phone]"),
    ("（010）6275 1234", "[phone]"),
    ("010-6275-1234转808", "[phone]"),
    ("0755-8888 6666", "[phone]"),
    ("０７５５－８８８８６６６６", "[phone]"),
    ("+86-755-8888-6666", "[phone]"),
    ("0551-6360123", "[phone]"),
    ("电话：62751234", "电话：[phone]"),
    # other countries
    ("call +44 20 7946 0958", "call [phone]"),
    ("0044 20 7946 0958", "[phone]"),
    ("+44 (0)20 7946 0958", "[phone]"),
    ("020 7946 0958", "[phone]"),
    ("07700 900123", "[phone]"),
    ("07700 900 123", "[phone]"),
    ("07700900123", "[phone]"),
    ("(01632) 960001", "[phone]"),
    ("0161 496 0018", "[phone]"),
    ("(212) 555-0187", "[phone]"),
    ("(212)555-0187", "[phone]"),
    ("212-555-0187", "[phone]"),
    ("212.555.0187", "[phone]"),
    ("212 555 0187", "[phone]"),
    ("2125550187", "[phone]"),
    ("1-212-555-0187", "[phone]"),
    ("+1 (212) 555-0187", "[phone]"),
    ("+12125550187", "[phone]"),
    ("call me at 555-0187", "call me at [phone]"),
    ("his number (555-3476), or 555-1399.", "his number ([phone]), or [phone]."),
    ("3-5-6-5-6-7-5", "[phone]"),
    ("12616 N 44th Ave.", "[address]"),
    ("+852 9123 4567", "[phone]"),
    ("(852) 2123-4567", "[phone]"),
    ("9123 4567", "[phone]"),
    ("00853 6612 3456", "[phone]"),
    ("+886 912 345 678", "[phone]"),
    ("0912-345-678", "[phone]"),
    ("0912345678", "[phone]"),
    ("(02)2345-6789", "[phone]"),
    ("886-912-345-678", "[phone]"),
    ("+65 6123 4567", "[phone]"),
    ("+49 30 901820", "[phone]"),
    # ids; 11010519491231002X is the example of GB 11643-1999
    ("身份证11010519491231002X", "身份证[id]"),
    ("身份证号：11010519491231002x。", "身份证号：[id]。"),
    ("110105 19491231 002X", "[id]"),
    ("旧号110105491231002", "旧号[id]"),
    ("１１０１０５４９１２３１００２", "[id]"),
    ("110105194912310021", "[number]"),  # the check digit is wrong; still no quantity
    ("A123456(3)", "[id]"),  # the example of Hong Kong's immigration department
    ("A123456（3）", "[id]"),
    ("A1234563", "[id]"),
    ("A123456789", "[id]"),  # the example of Taiwan's rule
    ("澳门1234567(8)", "澳门[id]"),
    ("SSN 078-05-1120", "SSN [id]"),
    ("SSN: 078 05 1120", "SSN: [id]"),
    ("NINO AB 12 34 56 C", "NINO [id]"),
    ("NHS number 943 476 5919", "NHS number [id]"),
    ("学号2021012345", "学号[id]"),
    ("病历号：A1234567", "病历号：[id]"),
    ("MRN 1234567", "MRN [id]"),
    ("护照E12345678", "护照[passport]"),
    ("EA1234567", "[passport]"),
    ("ＥＡ１２３４５６７", "[passport]"),
    ("passport number 123456789", "passport number [passport]"),
    ("港澳通行证C12345678", "港澳通行证[passport]"),
    ("回乡证 H1234567890", "回乡证 [passport]"),
    ("车牌京A12345", "车牌[plate]"),
    ("沪AD12345的车", "[plate]的车"),
    # cards and accounts
    ("卡号 4539 1488 0343 6467", "卡号 [card]"),
    ("4539148803436467", "[card]"),
    ("4539-1488-0343-6467 12 分", "[card] 12 分"),
    ("6222 0212 3456 7890 123", "[card]"),
    ("3782 822463 10005", "[card]"),
    ("GB82 WEST 1234 5698 7654 32", "[iban]"),  # the example of ISO 13616
    ("DE89370400440532013000", "[iban]"),
    ("加我微信：lilei_2008", "加我微信：[account]"),
    ("微信lilei2008", "微信[account]"),
    ("微信号：lileilei", "微信号：[account]"),
    ("vx：lilei2008", "vx：[account]"),
    ("ＶＸ：lilei2008", "ＶＸ：[account]"),
    ("加v:abc_12345", "加v:[account]"),
    ("加V abc12345吧", "加V [account]吧"),
    ("➕v abc12345", "➕v [account]"),
    ("wxid_ab12cd34", "[account]"),
    ("my WeChat is lilei2008", "my WeChat is [account]"),
    ("我的QQ号是 12345678", "我的QQ号是 [account]"),
    ("QQ群 123456789", "QQ群 [account]"),
    ("ＱＱ１２３４５６７８", "ＱＱ[account]"),
    ("进群 123456789", "进群 [account]"),
    ("小红书号：95012345", "小红书号：[account]"),
    ("Telegram: @li_lei", "Telegram: @[account]"),
    ("Instagram li.lei.99", "Instagram [account]"),
    ("ping @LiLei", "ping @[account]"),
    # addresses
    ("我住在中关村大街27号", "我住在[address]"),
    ("北京市海淀区颐和园路5号3号楼2单元501室", "[address]"),
    ("在阳光小区12号楼302室", "在[address]"),
    ("上海市长宁路 1200弄5号楼 302", "[address]"),
    ("I live at 221B Baker Street, Flat 2.", "I live at [address]."),
    ("1600 Pennsylvania Ave, Apt 4B", "[address]"),
    ("postcode SW1A 1AA", "postcode [address]"),
    ("Toronto M5V 2T6; Easton, PA 18045-1234", "Toronto [address]; Easton, [address]"),
    # more than one
    ("13812345678，lilei@qq.com，见www.example.cn", "[phone]，[e-mail]，见[link]"),
]

STAYS = [
    "他 1990 年出生，身高 175，2026-11-27 那天来的。",
    "评分 4/5，用时 12.5 秒",
    "回答太长，有 1200 字。",
    "微信上聊过",
    "加分 +100",
    "A 比 B +3 分",
    "+10 20 30 40",
    "wxyz1234567",
    "abcwx1234567",
    "The maximum line 12345 of the log",
    "2026-11-27 10:30",
    "27-11-2026 10:30",
    "05-06-2026 12:30",
    "2026/11/27 至 2026/12/01",
    "2026-11-27 2026-11-28 2026-11-29",
    "20261127 和 20261128",
    "1990 1991 1992 1993",
    "2019-2023 年，2020 2021 两年",
    "1990 2000 2010",
    "1 3 5 7 9 11 13 15 17",
    "PHQ-9 = 12，GAD-7 = 15",
    "10000 元，￥1234567.89，$2125550187",
    "1,234,567.89 and 1 000 000",
    "100-2000, 300-1500 and 2-3-4",
    "每天 3000-5000 步，3000 5000 步",
    "ISO 8601, ISO/IEC 7812-1, GB 11643-1999, RFC 3339",
    "ISBN 978-7-5440-1234-5",
    "doi 10.1037/0022-006X.60.6.841",
    "doi 10.1016/j.jad.2019.08.077",
    "ICD-11 6A70.3，DSM 300.4，F32.1",
    "版本 2.5.1，Python 3.11.9",
    "拨打 12356 或 110、120、988、116 123、1925",
    "Call 988 or text 741741.",
    "请拨打希望24热线 400-161-9995",
    "电话 400 161 9995，4001619995",
    "热线 12356 988",
    "1-800-273-8255 and 0800 1111",
    "手机 2026-11-27 买的",
    "手机 2019-2023 年用过",
    "睡 7-8 小时，第 3-4 周",
    "0.95 到 0.05，p = 0.0123",
    "时长 00:30:15，比例 16:9",
    "分数 85 90 78 92 88",
    "11:30-12:45 之间",
    "3/4、1/2，50%-60%",
    "用户说得对，账号的事先放一放",
    "QQ 上说过，小红书看到的",
    "微信 message 我看了",
    "Instagram is addictive; Line 3 is too long.",
    "WhatsApp messages at night, my username is required",
    "他坐 3 路公交 20 分钟，10 号线换乘",
    "人民路很长，三号楼那边",
    "第 5 栋楼 3 楼的同学",
    "At 3 Good Friends we talked about 2 Long Walks.",
    "vitamin B12 3mg at 2 PM",
    "一二三四五六七八九十",
    "三三两两，一五一十，九九八十一",
    "身份证 2019 年办的",
    "学号忘了，护照过期了",
    "and/or, he/she, 1.example/",
    "e.g./i.e. and well-known.",
    "Q1 2026, H2 2025, COVID19, 5G",
    "6222 分里的 12 分",
    "👍👍👍 5/5 ⭐⭐⭐⭐⭐",
    "",
]


@pytest.mark.parametrize(("text", "scrubbed"), GOES, ids=[text for text, _ in GOES])
def test_an_identifier_is_replaced_by_its_kind_and_nothing_else_is(text, scrubbed):
    assert scrub(text).text == scrubbed
    assert scrub(scrubbed) == (scrubbed, {})


@pytest.mark.parametrize("text", STAYS, ids=STAYS)
def test_ordinary_numbers_and_words_stay(text):
    assert scrub(text) == (text, {})


def test_there_are_many_cases():
    assert len({text for text, _ in GOES}) >= 100
    assert len(set(STAYS)) >= 50


def test_what_is_found_is_counted_by_kind():
    text = "13812345678、13912345678、lilei@qq.com"
    assert scrub(text).counts == {"phone": 2, "e-mail": 1}


HOTLINES = ("12356", "2389 2222", "010-82951332", "18111", "988")


@pytest.mark.parametrize(
    "text",
    [
        "北京热线 010-82951332 很好",
        "01082951332",
        "（010）8295 1332",
        "+86 10 8295 1332",
        "香港 2389 2222",
        "+852 2389 2222",
        "电话：23892222",
    ],
)
def test_a_published_hotline_stays_however_it_is_written(text):
    assert scrub(text).counts == {"phone": 1}
    assert scrub(text, keep=HOTLINES) == (text, {})


def test_a_number_that_only_holds_a_hotline_is_no_hotline():
    scrubbed = scrub("212-988-0187 和 138 2389 2222", keep=HOTLINES)
    assert scrubbed.text == "[phone] 和 [phone]"


_PIECES = st.one_of(
    st.text(alphabet="0123456789-+ ()@a.中X：", max_size=20),
    st.sampled_from([text for text, _ in GOES]),
    st.sampled_from(STAYS),
    st.text(max_size=10),
)


@given(st.lists(_PIECES, max_size=4).map("".join))
def test_scrubbing_again_changes_nothing(text):
    once = scrub(text).text
    assert scrub(once) == (once, {})


@given(st.lists(_PIECES, max_size=4).map("".join))
def test_no_long_run_of_digits_is_left(text):
    assert not re.search(r"\d{11}", folded(scrub(text).text).text)


_CUE = re.compile(r"微信号|vx|wechat|weixin|账号|帐号|用户名|\bat\b|://|www|/|#|wxid", re.I)


@given(st.text().filter(lambda text: not re.search(r"[\d@]", folded(text).text)))
def test_a_text_without_digits_and_addresses_is_left_alone(text):
    if not _CUE.search(folded(text).text):
        assert scrub(text) == (text, {})
