"""Whatever stands in a file, reading it ends, counts add up and nothing is raised."""

import gzip
import io
import json
import zipfile

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qingting.data.check import check
from qingting.data.reading import read_dialogues
from qingting.data.records import Defect
from qingting.data.repair import Repair

SEEDS = [
    {
        "conversations": [{"from": "human", "value": "你好"}, {"from": "gpt", "value": "请讲"}],
        "id": 1,
    },
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}], "system": "s"},
    {"instruction": "i", "input": "", "output": "o", "history": [["a", "b"]]},
    {"conversation": [{"system": "s", "input": "a", "output": "b"}]},
    {"text": "<s>Human: a\n</s><s>Assistant: b\n</s>"},
    {"dialogue_id": 1, "role": "client", "content": "a"},
    {"question": "a", "answer": None},
    ["求助者：q", "支持者：w"],
    [{"role": "client", "content": "a"}, {"role": "counselor", "content": "b"}],
]
TEXTS = [
    "来访者：你好\r\n心理咨询师：您好\r\n旁白\r\n",
    "<s>System: s\n</s><s>Human: a\n</s><s>Assistant: b\n</s>\n",
    'question,answer\n"a\nb",c\n',
    "dialogue_id,role,content\n1,client,a\n1,counselor,b\n",
]
KEYS = [key for seed in SEEDS if isinstance(seed, dict) for key in seed] + ["from", "role", "value"]
odd = st.sampled_from(
    [None, 5, 1.5, True, "", "a", [], {}, [[]], [None], 10**30, "\ud83d", "<s>", "来访者：x"]
)


@st.composite
def mutated(draw, value):
    if draw(st.integers(0, 11)) == 0:
        return draw(odd)
    if isinstance(value, dict):
        swap = draw(st.sampled_from([None, None, None, *value]))
        return {
            draw(st.sampled_from(KEYS)) if key == swap else key: draw(mutated(item))
            for key, item in value.items()
        }
    if isinstance(value, list):
        copies = draw(st.integers(1, 2)) if value else 1
        return [draw(mutated(item)) for item in value for _ in range(copies)]
    return value


records = st.lists(st.sampled_from(SEEDS).flatmap(mutated), max_size=4)
texts = st.one_of(
    st.builds(
        lambda rows, indent: json.dumps(rows, indent=indent), records, st.sampled_from([None, 1])
    ),
    st.builds(lambda rows: "\n".join(json.dumps(row, ensure_ascii=False) for row in rows), records),
    st.lists(st.sampled_from(TEXTS), max_size=3).map("".join),
)
encodings = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "gb18030"])


@st.composite
def files(draw):
    data = draw(texts).encode(draw(encodings), "replace")
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(data)))
        n_cut = draw(st.integers(0, 6))
        data = data[:place] + draw(st.binary(max_size=4)) + data[place + n_cut :]
    if draw(st.booleans()):
        data = data[: draw(st.integers(0, len(data)))]
    wrap = draw(st.sampled_from(["", "", "gzip", "zip"]))
    if wrap == "gzip":
        data = gzip.compress(data, mtime=0)
    elif wrap == "zip":
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("a/b.json", data)
            archive.writestr("c.txt", TEXTS[0])
        data = content.getvalue()
    if wrap and draw(st.booleans()):
        place = draw(st.integers(0, len(data) - 1))
        data = data[:place] + draw(st.binary(min_size=1, max_size=3)) + data[place + 1 :]
    return data


def examine(data, folder):
    path = folder / "data.json"
    path.write_bytes(data)
    rejected = []
    report = check(path)
    usable = list(
        read_dialogues(path, on_quarantine=lambda record, defects: rejected.append(defects))
    )
    assert len(usable) == report.n_strictly_valid
    assert len(usable) + len(rejected) == report.n_dialogues
    assert all(rejected) and all(Defect.EXACT_DUPLICATE not in found for found in rejected)
    assert max(report.defects.values()) <= report.n_dialogues
    assert len({dialogue.id for dialogue in usable}) == len(usable)
    for dialogue in usable:
        roles = [message.role for message in dialogue.turns]
        assert roles == ["user", "assistant"] * (len(roles) // 2) and roles
        assert [message.role for message in dialogue.messages].count("system") <= 1
    if not report.n_dialogues:
        assert report.notices
    json.dumps(report.to_record())
    for dialogue in read_dialogues(path, repairs=Repair):
        assert all(turn.content.strip() for turn in dialogue.turns)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(files())
def test_damaged_data(tmp_path_factory, data):
    examine(data, tmp_path_factory.getbasetemp())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes(tmp_path_factory, data):
    examine(data, tmp_path_factory.getbasetemp())
