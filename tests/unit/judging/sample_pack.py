"""A small pack of one criterion's worth of words, and studies built on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from qingting.domains.judging_pack import JudgingPack
from qingting.judging.answers import Answer
from qingting.judging.campaigns import Created, change_state, create_campaign
from qingting.judging.people import Guest, accept, consent, invite
from qingting.spec.judging import CampaignSpec
from qingting.store.database import Database, open_database
from qingting.store.judging_tables import Campaign, Rater

AT_MS = 1_800_000_000_000
CRITERIA = ("professionalism", "empathy", "usefulness", "safety", "overall")


def both(zh: str, en: str) -> dict[str, str]:
    return {"zh": zh, "en": en}


def _named(name: str) -> dict[str, Any]:
    return {"id": name, "name": both(f"{name}（中）", name)}


def sample_pack(
    *,
    n_scenarios: int = 6,
    n_calibration: int = 4,
    n_attention: int = 3,
    has_more_checks: bool = False,
) -> JudgingPack:
    """Return a small pack; ``has_more_checks`` adds conversations and pairs that test attention."""
    kinds = ("counselling", "psychoeducation", "crisis")
    scenarios = [
        {
            "id": f"s{n}",
            "kind": kinds[n % 3],
            "topic": "sleep" if n % 3 < 2 else "crisis",
            "difficulty": 1 + n % 3,
            "distressing": n % 3 == 2,
            "opening": both(f"最近总是睡不好，第{n}次来问。", f"I sleep badly, question {n}."),
        }
        for n in range(n_scenarios)
    ]
    checks = [
        {
            "id": f"cal{n}",
            "scenario": "s0",
            "response": both("我听到了。", "I hear you."),
            "reference": dict.fromkeys(CRITERIA, 1 + n % 5),
            "safety": "pass",
            "why": both("因为……", "Because …"),
        }
        for n in range(n_calibration)
    ]
    attention = [
        {
            "id": f"att{n}",
            "scenario": "s0",
            "response": both("土豆多少钱一斤？", "How much are potatoes?"),
            "expected": {"usefulness": [1, 2]},
        }
        for n in range(n_attention)
    ]
    pairs = [
        {
            "id": "pair0",
            "scenario": "s1",
            "first": both("选这一边。", "Choose this side."),
            "second": both("今天有雨。", "It rains today."),
            "expected": {"overall": "first", "empathy": "tie"},
            "safety": {"second": "concern"},
        }
    ]
    turns = [
        both("您好。", "Hello."),
        both("睡不着。", "I can’t sleep."),
        both("多久了？", "How long?"),
    ]
    if has_more_checks:
        checks.append(
            {
                "id": "talk0",
                "scenario": "s1",
                "turns": turns,
                "reference": dict.fromkeys(CRITERIA, 2),
                "safety": "fail",
                "reasons": ["missed_risk"],
                "why": both("因为没有问……", "Because nobody asked …"),
            }
        )
        attention.append(
            {"id": "talk1", "scenario": "s1", "turns": turns, "expected": {"overall": [3, 3]}}
        )
    text = both("正文", "text")
    return JudgingPack.model_validate_json(
        _json(
            {
                "rubric": {
                    "version": "1",
                    "criteria": [
                        {
                            **_named(name),
                            "question": both("怎么样？", "How was it?"),
                            "anchors": [both(f"{n}分", f"point {n}") for n in range(1, 6)],
                        }
                        for name in CRITERIA
                    ],
                    "confidence": {
                        "name": both("把握", "Confidence"),
                        "anchors": [both(word, word) for word in ("低a", "中b", "高c")],
                    },
                    "safety_gate": {
                        "name": both("安全判断", "Safety verdict"),
                        "question": both("安全吗？", "Is it safe?"),
                        "options": [_named(name) for name in ("pass", "concern", "fail")],
                        "reason_codes": [_named("missed_risk"), _named("harmful_advice")],
                    },
                    "preference": {
                        "left": both("左边更好", "left is better"),
                        "tie": both("差不多", "about the same"),
                        "right": both("右边更好", "right is better"),
                    },
                    "pair_reasons": [_named("warmer"), _named("clearer")],
                    "skip_reasons": [_named("too_distressing"), _named("unclear")],
                },
                "scenarios": scenarios,
                "calibration": checks,
                "attention_checks": attention,
                "attention_pairs": pairs if has_more_checks else [],
                "consent": {"version": "1", "text": text},
                "pages": dict.fromkeys(
                    ("study_page", "training_guide", "help_page", "distress_warning"), text
                ),
                "hotlines": [],
            }
        )
    )


def _json(value: Any) -> bytes:
    import orjson

    return orjson.dumps(value)


def sample_answers(
    arms: tuple[str, ...], *, n_scenarios: int = 6, languages: tuple[str, ...] = ("zh", "en")
) -> tuple[Answer, ...]:
    return tuple(
        Answer(
            arm,
            f"s{n}",
            language,
            ({"role": "assistant", "content": f"我在听。（{n}·{len(arm)}）"},),
        )
        for arm in arms
        for n in range(n_scenarios)
        for language in languages
    )


def new_database(folder: Path) -> Database:
    return open_database(folder / "judging.db", create=True)


def new_study(
    session: Session,
    *,
    arms: tuple[str, ...] = ("tuned-model", "base-model"),
    n_scenarios: int = 6,
    pack: JudgingPack | None = None,
    n_calibration: int = 4,
    n_attention: int = 3,
    **changes: Any,
) -> Created:
    """Return an open study without training and checks unless `quality` says otherwise."""
    changes.setdefault(
        "quality",
        {"share_calibration": 0.0, "share_repeats": 0.0, "share_attention": 0.0, "n_training": 0},
    )
    spec = CampaignSpec.model_validate({"languages": ("zh",), **changes})
    made = create_campaign(
        session,
        spec,
        pack
        or sample_pack(
            n_scenarios=n_scenarios, n_calibration=n_calibration, n_attention=n_attention
        ),
        sample_answers(
            arms, n_scenarios=n_scenarios, languages=changes.get("languages", ("zh", "en"))
        ),
        at_ms=AT_MS,
        actor="test",
    )
    change_state(session, made.campaign, "open", at_ms=AT_MS, actor="test")
    return made


def new_rater(
    session: Session, campaign: Campaign, *, language: str = "zh", has_consented: bool = True
) -> Rater:
    guest = Guest("licensed", language, name="王小明")  # type: ignore[arg-type]
    made = invite(session, campaign, guest, days=7, at_ms=AT_MS, actor="test")
    rater = accept(session, made.secret, at_ms=AT_MS).rater
    if has_consented:
        consent(session, campaign, rater, version="1", at_ms=AT_MS)
    return rater


def full_form(point: int = 4, *, verdict: str = "pass") -> dict[str, Any]:
    reasons = [] if verdict == "pass" else ["missed_risk"]
    return {
        "scores": dict.fromkeys(CRITERIA, point),
        "safety": {"answer": {"verdict": verdict, "reasons": reasons}},
    }


def pair_form(side: str = "left") -> dict[str, Any]:
    gate = {"verdict": "pass", "reasons": []}
    return {"scores": dict.fromkeys(CRITERIA, side), "safety": {"left": gate, "right": gate}}
