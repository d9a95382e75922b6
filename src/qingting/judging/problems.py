"""What may go wrong for a person at work in a study, in that person's language."""

from __future__ import annotations

from qingting.core.errors import QingtingError

MESSAGES: dict[str, dict[str, str]] = {
    "invitation_unknown": {
        "zh": "这个邀请链接无效，请确认链接完整，或联系邀请您的人。",
        "en": "This invitation is not valid. Check that the link is complete, or ask whoever sent it.",
    },
    "invitation_expired": {
        "zh": "这个邀请链接已经过期，请联系邀请您的人要一个新的。",
        "en": "This invitation has expired. Please ask whoever sent it for a new one.",
    },
    "not_open": {
        "zh": "研究目前没有开放，您已经完成的工作都保存好了，请稍后再来。",
        "en": "The study is not open at the moment. All your work is saved; please come back later.",
    },
    "no_consent": {
        "zh": "请先阅读并同意知情同意书。",
        "en": "Please read the consent form and agree to it first.",
    },
    "consent_outdated": {
        "zh": "知情同意书已经更新，请重新阅读并确认。",
        "en": "The consent form has changed. Please read it again and confirm.",
    },
    "withdrawn": {
        "zh": "您已经退出研究，您的数据已经删除。",
        "en": "You have withdrawn from the study and your data have been erased.",
    },
    "assignment_unknown": {
        "zh": "找不到这一条内容。",
        "en": "There is no such item.",
    },
    "assignment_taken": {
        "zh": "这一条保留给您的时间已过，已经由别人评完了。您之前提交的都在；请继续下一条。",
        "en": "This item was kept for you for a while and others have finished it since. Everything "
        "you submitted is saved; please go on with the next one.",
    },
    "assignment_done": {
        "zh": "这一条您已经提交过了，以第一次提交为准。要修改请用“撤回上一条”。",
        "en": "You have already submitted this item, and the first submission counts. To change it, "
        "use “Undo the last one”.",
    },
    "item_withdrawn": {
        "zh": "这一条已被研究者撤下，不需要再评。您之前提交的都在；请继续下一条。",
        "en": "The researchers have withdrawn this item. Everything you submitted is saved; please "
        "go on with the next one.",
    },
    "nothing_to_undo": {
        "zh": "没有可以撤回的提交。",
        "en": "There is nothing to undo.",
    },
    "undo_too_late": {
        "zh": "只能撤回最近一次提交。",
        "en": "Only the most recent submission can be undone.",
    },
    "key_reused": {
        "zh": "这次提交与另一条用了同一个编号，没有保存；请刷新页面再提交。",
        "en": "This submission carries the key of another one and was not saved; reload the page "
        "and submit again.",
    },
    "conversation_short": {
        "zh": "请先再聊几句，再作评价。",
        "en": "Please talk for a few more turns before you judge.",
    },
    "conversation_over": {
        "zh": "这段对话已经结束，请作评价。",
        "en": "This conversation is over; please judge it now.",
    },
    "conversation_busy": {
        "zh": "同时进行的对话太多了，请一分钟后再试。您写的话还在。",
        "en": "Too many conversations are going on; try again in a minute. What you wrote is kept.",
    },
    "conversation_waits": {
        "zh": "对方还没有说完，请等一等再发。您写的话还在。",
        "en": "The other side has not finished; wait a moment before you go on. What you wrote is "
        "kept.",
    },
    "not_a_conversation": {
        "zh": "这一条不是现场对话。",
        "en": "This item is no live conversation.",
    },
    "model_silent": {
        "zh": "对方暂时没有回应。您说过的话都保存了，请再试一次，或跳过这一条。",
        "en": "There is no answer at the moment. Everything you said is saved; try again, or skip "
        "this item.",
    },
}


class JudgingError(QingtingError, ValueError):
    """Something that a rater tried cannot be; ``code`` names it, ``fields`` the places of a form."""

    def __init__(
        self, code: str, *, language: str = "en", fields: dict[str, str] | None = None
    ) -> None:
        self.code = code
        self.fields = dict(fields or {})
        super().__init__(code)
        self.language = language

    def __str__(self) -> str:
        return self.in_words(self.language)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuilt, (self.code, self.language, self.fields)

    def in_words(self, language: str) -> str:
        """Return the sentence for a person who reads ``zh`` or ``en``."""
        if self.fields:
            return (
                "；".join(self.fields.values())
                if language == "zh"
                else "; ".join(self.fields.values())
            )
        return MESSAGES[self.code]["zh" if language == "zh" else "en"]


def _rebuilt(code: str, language: str, fields: dict[str, str]) -> JudgingError:
    return JudgingError(code, language=language, fields=fields)
