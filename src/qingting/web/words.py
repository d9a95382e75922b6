"""The words of the pages, in Chinese and English."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

WORDS: dict[str, tuple[str, str]] = {
    # frame
    "site": ("倾听 · 盲评研究", "Qingting · blind study"),
    "skip_to_content": ("跳到正文", "Skip to content"),
    "other_language": ("English", "中文"),
    "help": ("帮助", "Help"),
    "about_study": ("研究介绍", "About the study"),
    "my_progress": ("我的进度", "My progress"),
    "sign_out": ("退出登录", "Sign out"),
    "contact": ("联系人", "Contact"),
    "contact_default": ("邀请您的人", "whoever invited you"),
    "problem": ("出了点问题", "Something went wrong"),
    "back_to_work": ("回到评价", "Back to judging"),
    "hotlines": ("需要帮助时", "If you need support"),
    "checked_on": ("核对日期", "checked"),
    "source": ("来源", "source"),
    "hours": ("时间", "hours"),
    # invitation and consent
    "invitation": ("邀请", "Invitation"),
    "invited_to": ("邀请您参加一项盲评研究", "You are invited to take part in a blind study"),
    "invited_text": (
        "这项研究里的回复来源不一，多数由不同的程序写成。您不会知道哪一条来自谁，请只看内容作评价。",
        "The answers in this study come from different sources, most of them programs. You will not be "
        "told which; please judge what is written.",
    ),
    "invitation_reusable": (
        "在到期之前，同一个链接可以在别的设备上再次打开，接着做。",
        "Until it expires, the same link opens your work on another device.",
    ),
    "begin": ("开始", "Begin"),
    "consent": ("知情同意", "Consent"),
    "consent_version": ("版本", "Version"),
    "i_agree": ("我已读完并同意参加", "I have read this and agree to take part"),
    "i_decline": ("我不参加", "I do not want to take part"),
    "declined": (
        "好的，您没有参加，我们没有保存您的任何评价。谢谢您的时间。",
        "That is fine. You are not taking part and nothing was recorded. Thank you for your time.",
    ),
    "training": ("练习", "Training"),
    "training_intro": (
        "先看一遍评分说明，再练习几条。练习之后会告诉您参考评分和理由。",
        "Read the guide, then try a few. After each you see reference ratings and the reasons.",
    ),
    "start_training": ("开始练习", "Start"),
    # judging
    "judge": ("评价", "Judge"),
    "client_said": ("来访者说", "The client said"),
    "conversation_so_far": ("对话", "The conversation"),
    "background": ("背景", "Background"),
    "client": ("来访者", "Client"),
    "counsellor": ("咨询师", "Counsellor"),
    "the_answer": ("回复", "The answer"),
    "left_answer": ("左边的回复", "Left answer"),
    "right_answer": ("右边的回复", "Right answer"),
    "your_judgment": ("您的评价", "Your judgment"),
    "reason": ("理由", "Reason"),
    "reasons": ("为什么", "Why"),
    "optional": ("选填", "optional"),
    "comment": ("补充意见", "Comment"),
    "comment_hint": (
        "请不要写任何人的姓名或联系方式。",
        "Please do not write names or contact details of anyone.",
    ),
    "guess": ("您认出是哪个模型写的了吗？", "Do you recognise which model wrote this?"),
    "guess_hint": (
        "这一问只用来检查盲评是否真的“盲”，认不出来很正常。每项研究都用同一份名单，"
        "名单上有的，本研究里不一定有。",
        "This only checks how blind the study is; not recognising it is normal. The list is the same "
        "in every study and does not say which models are in this one.",
    ),
    "submit": ("提交，下一条", "Submit and go on"),
    "skip": ("跳过这一条", "Skip this one"),
    "undo": ("撤回上一条", "Undo the last one"),
    "undone": (
        "上一条已经打开，请修改后再提交。",
        "The last one is open again; change and submit it.",
    ),
    "saved": ("已保存。", "Saved."),
    "pause_hint": (
        "随时可以停下；进度都保存着，用同一个链接继续。",
        "Stop whenever you like; everything is saved and the same link continues.",
    ),
    "keys_hint": (
        "键盘：1–5 选分并到下一项，方向键改选，回车提交。",
        "Keyboard: 1–5 choose and go on, arrows change, Enter submits.",
    ),
    "please_mend": ("请检查下面几项", "Please check these"),
    "progress_of": ("已完成 {done} 条，约 {planned} 条", "{done} done of about {planned}"),
    "progress_beyond": (
        "已完成 {done} 条，您的份额（约 {planned} 条）已经评完；还可以继续，也可以到此为止",
        "{done} done. Your share of about {planned} is complete; go on if you like, or stop here",
    ),
    "close_for_good": (
        "结束之后不能再开放。只是想停一停，请用“暂停”。",
        "A closed study cannot be opened again. To stop for a while, pause it.",
    ),
    "before_distressing": ("下一条内容比较沉重", "The next item is distressing"),
    "show_it": ("可以，给我看", "I am ready, show it"),
    "skip_it": ("跳过这一条", "Skip it"),
    "take_break": ("我想休息一下", "I want to take a break"),
    "resting": (
        "先歇一歇。您的进度都保存着，准备好了再回来。",
        "Take your time. Everything is saved; come back when you are ready.",
    ),
    # conversation
    "talk": (
        "请扮演下面这位来访者，和对方聊几句，再作评价。对方是一个程序，请不要写您自己的真实经历。",
        "Play the client below and talk with the other side, then judge. The other side is a "
        "program; please do not write about your own life.",
    ),
    "your_part": ("您扮演的来访者", "The client you play"),
    "client_age": ("{n} 岁。", "Age {n}."),
    "client_goal": ("想要的", "What they want"),
    "client_style": ("说话的样子", "How they talk"),
    "client_facts": (
        "被问到或觉得安心时才会说的事",
        "What they tell only when asked, or when it feels safe",
    ),
    "say": ("发送", "Send"),
    "say_label": ("您要说的话", "What you say"),
    "opening_hint": (
        "开头的话已经写好，可以照发，也可以改成自己的说法。",
        "The first words are there already; send them as they are or put them your way.",
    ),
    "end_conversation": ("结束对话，去评价", "End it and judge"),
    "talk_on": ("先不评，再聊几句", "Not yet; talk on"),
    "turns_left": ("还可以说 {n} 次。", "You can speak {n} more times."),
    "typing": ("对方正在输入……", "The other side is writing …"),
    "model_is_silent": (
        "对方暂时没有回应。您说过的话都保存了，可以再问一次，也可以跳过这一条。",
        "There is no answer at the moment. Everything you said is saved; ask again, or skip this "
        "item.",
    ),
    "ask_again": ("再问一次", "Ask again"),
    # feedback
    "feedback": ("参考评分", "Reference ratings"),
    "feedback_note": (
        "参考评分由本项目作者给出，不是唯一正确的答案。",
        "The reference ratings were given by the authors of this project; they are not the only "
        "right ones.",
    ),
    "you_said": ("您的评分", "Yours"),
    "reference_is": ("参考", "Reference"),
    "why": ("理由", "Why"),
    "next": ("下一条", "Next"),
    # done
    "finished": ("都评完了，谢谢您！", "All done, thank you!"),
    "finished_text": (
        "您的评价都保存好了。",
        "All your judgments are saved.",
    ),
    "wait": ("暂时没有可评的内容", "Nothing to judge at the moment"),
    "wait_text": (
        "剩下的正由别人评价。半小时后再来看看，也许还会有。",
        "Others hold what is left. Look again in half an hour; there may be more.",
    ),
    "rest": ("先歇一歇", "Time for a rest"),
    "rest_text": (
        "您刚才连着看了几条危机内容，剩下的也是这一类。请休息二十分钟再回来；进度都保存着。",
        "You have seen several items of crisis in a row, and what is left is of this kind too. Please "
        "rest for twenty minutes before you come back; everything is saved.",
    ),
    "done_count": ("已评", "Judged"),
    "skipped_count": ("跳过", "Skipped"),
    "planned_count": ("每人约", "Planned for each"),
    "withdraw": ("退出研究并删除我的数据", "Withdraw and erase my data"),
    "withdraw_text": (
        "您可以随时退出，不需要理由。退出后，您的评价会从数据库里删除，已经导出的副本会被标记为作废。"
        "这一步不能撤销。",
        "You may withdraw at any time, without a reason. Your judgments are removed from the "
        "database, and copies that were made before are marked as superseded. This cannot be undone.",
    ),
    "withdraw_confirm": ("确定退出并删除", "Withdraw and erase"),
    "withdrawn_done": (
        "您的数据已经删除。谢谢您曾经参与。",
        "Your data have been erased. Thank you for having taken part.",
    ),
    # refusals
    "sign_in_rater": (
        "请先打开您的邀请链接。",
        "Please open your invitation link first.",
    ),
    "sign_in_owner": ("请先登录。", "Please sign in first."),
    "forged": (
        "这个页面已经过期，没有保存。请返回、刷新后再提交。",
        "This page is out of date and nothing was saved. Go back, reload and submit again.",
    ),
    "too_many": ("尝试太多次了，请稍等再试。", "Too many attempts; wait a moment and try again."),
    "malformed": (
        "提交的内容不完整或格式不对。",
        "What was sent is incomplete or not well formed.",
    ),
    "not_found": ("没有这个页面。", "There is no such page."),
    "not_allowed": ("这个地址不能这样用。", "This address cannot be used like that."),
    "snapshot_superseded": (
        "这份快照里有已退出者的数据，已经作废，请重新冻结一份。",
        "This snapshot holds data of someone who withdrew and is superseded; freeze a new one.",
    ),
    "wrong_password": ("用户名或密码不对。", "The name or the password is wrong."),
    "link_used": (
        "这个登录链接已经用过或过期了，请再生成一个。",
        "This sign-in link was used before or has expired; make a new one.",
    ),
    # owners
    "owner_area": ("研究管理", "Study owner"),
    "sign_in": ("登录", "Sign in"),
    "name": ("用户名", "Name"),
    "password": ("密码", "Password"),
    "sign_in_by_link": ("用一次性链接登录", "Sign in with a one-time link"),
    "no_default_password": (
        "没有初始密码。在服务器上运行 qingting judge owner link 可得到一次性链接。",
        "There is no default password. `qingting judge owner link` on the server makes a one-time "
        "link.",
    ),
    "studies": ("研究", "Studies"),
    "no_studies": (
        "这个数据库里还没有研究。用 qingting judge create 建一个。",
        "There is no study in this database yet; `qingting judge create` makes one.",
    ),
    "study": ("研究", "Study"),
    "mode": ("方式", "Mode"),
    "state": ("状态", "State"),
    "single": ("单条评分", "single answers"),
    "pair": ("两两比较", "pairs"),
    "conversation": ("整段对话", "conversations"),
    "draft": ("草稿", "draft"),
    "open": ("进行中", "open"),
    "paused": ("暂停", "paused"),
    "closed": ("已结束", "closed"),
    "make_open": ("开放", "Open"),
    "make_paused": ("暂停", "Pause"),
    "make_closed": ("结束", "Close"),
    "registered": ("事先登记的内容（sha256）", "Fixed in advance (sha256)"),
    "judgments": ("评价", "Judgments"),
    "coverage": ("设计完成情况", "Coverage of the design"),
    "language": ("语言", "Language"),
    "kind": ("场景类型", "Kind"),
    "counselling": ("咨询", "counselling"),
    "psychoeducation": ("心理教育", "psychoeducation"),
    "crisis": ("危机", "crisis"),
    "units": ("单元", "Units"),
    "wanted": ("计划", "Planned"),
    "done": ("完成", "Done"),
    "held": ("评价中", "In progress"),
    "covered": ("已评满的单元", "Units complete"),
    "exposure": ("各组出现次数", "Exposure of the arms"),
    "arm": ("组", "Arm"),
    "shown": ("出现", "Shown"),
    "shown_first": ("排在前面", "Shown first"),
    "raters": ("评价者", "Raters"),
    "pseudonym": ("代号", "Pseudonym"),
    "person": ("姓名", "Person"),
    "credential": ("资质", "Credential"),
    "licensed": ("持证咨询师", "licensed counsellor"),
    "trainee": ("实习或受训咨询师", "trainee"),
    "researcher": ("研究者", "researcher"),
    "lay": ("非专业人士", "lay person"),
    "role": ("角色", "Role"),
    "rater": ("评价者", "rater"),
    "expert": ("专家", "expert"),
    "invited": ("已邀请", "invited"),
    "consented": ("已同意", "consented"),
    "at work": ("评价中", "at work"),
    "excluded": ("已排除", "excluded"),
    "median_s": ("每条用时（秒，中位数）", "Median seconds"),
    "exclusions": ("排除规则", "Exclusions"),
    "erase": ("删除此人数据", "Erase"),
    "invite": ("邀请", "Invite"),
    "invite_hint": (
        "姓名只存在单独的表里，不会导出。",
        "Names stand in a table of their own and are never exported.",
    ),
    "days_valid": ("有效天数", "Days valid"),
    "contact_of": ("联系方式", "Contact"),
    "make_invitation": ("生成邀请链接", "Make an invitation link"),
    "new_invitation": (
        "新的邀请链接（只显示这一次，请现在复制）",
        "A new invitation link (shown this once; copy it now)",
    ),
    "open_invitations": ("未过期的邀请", "Invitations not expired"),
    "snapshots": ("快照", "Snapshots"),
    "freeze": ("冻结一份快照", "Freeze a snapshot"),
    "freeze_hint": (
        "分析、导出和训练只读快照，不读正在变化的数据库。",
        "Analysis, export and training read snapshots only, never the live database.",
    ),
    "superseded": ("作废", "superseded"),
    "download": ("下载", "Download"),
    "results": ("结果", "Results"),
    "snapshot": ("快照", "Snapshot"),
    "back_to_study": ("回到研究", "Back to the study"),
    "read_results": ("看结果：一致性、排名和区间", "Read them: agreement, ranking, intervals"),
    "compute_results": ("计算结果", "Compute the results"),
    "results_hint": (
        "按这份快照计算一致性、排名及其区间、安全判断和盲法检查，可能要几分钟；评价不受影响。",
        "Agreement, ranking with intervals, safety and blinding, computed on this snapshot. It may "
        "take some minutes; raters do not notice.",
    ),
    "results_computing": (
        "正在计算，可能要几分钟。这个页面会自己刷新。",
        "Being computed; this may take some minutes. The page looks again by itself.",
    ),
    "results_failed": ("没有算成：{reason}", "It could not be computed: {reason}"),
    "no_results_early": (
        "中途看结果会影响研究；只有页面注明可以随时看的区间才顾及了这一点。",
        "Looking at results early affects a study; the intervals here allow for it only where the "
        "page says so.",
    ),
}


def words_of(key: str, language: str) -> str:
    """Return the words of a key; KeyError for one that has none."""
    zh, en = WORDS[key]
    return zh if language == "zh" else en


@cache
def words_in(language: str) -> Callable[..., str]:
    """Return a function from keys to the words of a language, filled with named values."""

    def translate(key: str, **values: object) -> str:
        return words_of(key, language).format(**values) if values else words_of(key, language)

    return translate
