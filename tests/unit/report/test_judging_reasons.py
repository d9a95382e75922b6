"""Every reason that the analysis of a study can give has Chinese words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import qingting
from qingting.report.judging_reasons import in_chinese

SOURCE = Path(qingting.__file__).parent
MODULES = (
    *("judging/analysis", "judging/blinding_audit", "judging/criteria", "judging/deciding"),
    *("judging/group_agreement", "stats/arm_difference", "stats/arm_ratings"),
    *("stats/bradley_terry", "stats/comparison_graph", "stats/crossed_effects", "stats/decision"),
    *("stats/intervals", "stats/krippendorff", "stats/marginal_ratings", "stats/mixed_ordinal"),
    *("stats/more_ratings", "stats/ordinal", "stats/proportions", "stats/rating_contrasts"),
    *("stats/rating_model", "stats/repeats", "stats/vote_covariance", "stats/vote_ranking"),
    "stats/votes",
)
UNREACHED = (
    # a study gives 1 to 5 on an ordinal or nominal level, no covariates, and always names raters
    "a ratio scale has no negative values",
    "distinct values are too many for ratio alpha",
    "a covariate is not a number",
    "the votes do not say which",
    "Davidson's model needs a tie",
)
KNOWN_WORDS = re.compile(r"Krippendorff|α|x[0-9]+|x")


def sample(node: ast.expr) -> str | None:
    """Return a text with something in place of what is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            value.value if isinstance(value, ast.Constant) else _value_of(value)  # type: ignore
            for value in node.values
        )
    if isinstance(node, ast.BinOp):
        left, right = sample(node.left), sample(node.right)
        return None if left is None else left + (right or "x1")
    return None


def _value_of(filled: ast.FormattedValue) -> str:
    name = ast.unparse(filled.value)
    if "zero" in name:
        return "rater, arm:prompt"
    if "few" in name:
        return "6 raters and 24 prompts"
    if "word" in name:
        return "highest"
    if name in ("floor[0].name", "unknown[0].name"):
        return "attention checks"
    if name in ("reason", "error", "found.interval.reason"):
        return "one independent unit has no spread"
    if name in ("name", "side"):
        return "rater"
    if "'s' *" in name:
        return "s"
    if any(word in name for word in ("names", "arm", "parts", "unused", "rater")) and (
        "len" not in name and "short" not in name and "n_" not in name
    ):
        return "x1"
    return "7"


def reasons() -> Iterator[tuple[str, str]]:
    for module in MODULES:
        for node in ast.walk(ast.parse((SOURCE / f"{module}.py").read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args:
                called = ast.unparse(node.func)
                is_reason = called in ("Missing", "UndefinedStatisticError", "DataError")
                if is_reason or called.endswith(
                    ("notes.append", "warnings.append", "found.append")
                ):
                    text = sample(node.args[0])
                    if text and len(text) > 4:
                        yield module, text
            if isinstance(node, ast.Assign) and "left_out[effect]" in ast.unparse(node.targets[0]):
                text = sample(node.value)
                assert text is not None
                yield module, text
            if isinstance(node, ast.Return) and module == "judging/deciding":
                text = sample(node.value) if node.value is not None else None
                if text:
                    yield module, text


REASONS = sorted({one for one in reasons() if not any(part in one[1] for part in UNREACHED)})


def test_the_walk_finds_what_there_is() -> None:
    texts = {text for _, text in REASONS}
    assert len(texts) > 60
    assert "no rule was registered before the first judgment" in texts
    assert any(text.startswith("separation: ") for text in texts)


@pytest.mark.parametrize(("module", "reason"), REASONS)
def test_a_reason_has_chinese_words(module: str, reason: str) -> None:
    words = in_chinese(reason)
    assert words != reason, module
    left = re.findall(r"[A-Za-z]+\d*", KNOWN_WORDS.sub("", words))
    assert not left, f"{module}: {reason!r} becomes {words!r}"


def test_reasons_within_reasons_are_translated() -> None:
    assert in_chinese("no intervals: one cluster (prompt or rater) has no spread") == (
        "没有区间：只有一个场景或一位评价者，看不出波动"
    )
    assert in_chinese(
        "no two arms have a finite distance: separation: a won all 6 votes against the other arms; "
        "the distance to them is infinite, and none is given; separation: b lost all 6 votes "
        "against the other arms; the distance to them is infinite, and none is given"
    ) == (
        "任何两组之间都算不出有限的差距：a 与其他组的 6 次比较全胜，差距没有上限，不给数字；"
        "b 与其他组的 6 次比较全败，差距没有下限，不给数字"
    )


def test_what_is_not_known_stays_as_it_is() -> None:
    assert in_chinese("a sentence: of somebody else") == "a sentence: of somebody else"
