"""Files, folders, archives and encodings: bytes in, nothing lost on the way."""

import gzip
import io
import json
import os
import zipfile

import pytest

from qingting.core.errors import DataError, NotFoundError
from qingting.data.check import check
from qingting.data.encodings import detect_encoding, to_utf8
from qingting.data.reading import read_records

RECORDS = [
    {
        "conversations": [
            {"from": "human", "value": f"你好{n}，我最近睡不好"},
            {"from": "gpt", "value": "请讲"},
        ]
    }
    for n in range(3)
]
ARRAY = json.dumps(RECORDS, ensure_ascii=False)
LINES = "\n".join(json.dumps(record, ensure_ascii=False) for record in RECORDS)
TEXT = "来访者：你好，我最近睡不好\r\n心理咨询师：请讲讲看\r\n"


def zipped(files):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


@pytest.mark.parametrize("text", [ARRAY, LINES, TEXT], ids=["array", "lines", "text"])
@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "gbk", "gb18030"],
)
def test_usual_encodings(text, encoding, checked):
    report = checked(text.encode(encoding))
    assert report.n_strictly_valid == (1 if text is TEXT else 3)
    assert report.n_dialogues == report.n_strictly_valid


def test_a_bad_byte_spoils_one_dialogue(checked):
    content = LINES.encode().replace("好1".encode(), b"\xe5\xa5\xff")
    report = checked(content)
    assert report.defects["bad_encoding"] == 1
    assert report.n_turns == 6 and report.n_strictly_valid == 2
    assert report.places["bad_encoding"] == ("data.bin:2",)


@pytest.mark.parametrize(
    "content", [LINES, ARRAY, f"[\n{LINES.replace(chr(10), ',' + chr(10))}\n]"]
)
def test_another_encoding_inside_a_file_is_damage(content, checked):
    content = content.encode().replace("你好1".encode(), "你好1".encode("gbk"))
    report = checked(content)
    assert report.defects["bad_encoding"] == 1 and report.n_strictly_valid == 2


def test_half_a_surrogate_pair_is_damage(checked):
    report = checked('{"messages": [{"role": "user", "content": "\\ud83d"}]}')
    assert report.defects["bad_encoding"] == 1


def test_the_replacement_character_is_damage_too(checked):
    for written in ("\ufffd", "\\ufffd", "\\uFFFD"):
        report = checked('{"messages": [{"role": "user", "content": "a' + written + '"}]}')
        assert report.defects["bad_encoding"] == 1
    assert checked("来访者：\ufffd\n咨询师：b").defects["bad_encoding"] == 1
    assert checked("question,answer\na,\ufffd\n").defects["bad_encoding"] == 1


def test_a_stray_latin_byte_is_not_taken_for_chinese():
    assert detect_encoding(b"Client: caf\xe9 con leche\n", is_whole=True) == "utf-8"
    assert detect_encoding("来访者：你好".encode()[:-1], is_whole=False) == "utf-8"
    assert detect_encoding(b"PNG\0\0\x01\xff" * 40, is_whole=True) is None


def test_a_character_may_be_cut_by_a_chunk():
    data = "来访者😀：你好".encode("utf-16")
    chunks = [data[place : place + 1] for place in range(2, len(data))]
    joined = b"".join(to_utf8([data[:2], *chunks], "utf-16-le"))
    assert joined.decode() == "来访者😀：你好"


@pytest.mark.parametrize("name", ["data.json", "data.csv", "data.txt", "data"])
def test_names_say_nothing(name, write):
    for content in (ARRAY.encode(), LINES.encode(), gzip.compress(LINES.encode())):
        assert check(write(content, name)).n_strictly_valid == 3


def test_gzip_of_gzip_and_gzip_in_zip(checked):
    inner = gzip.compress(LINES.encode())
    assert checked(gzip.compress(inner)).n_strictly_valid == 3
    assert checked(zipped({"a/b.txt": inner})).n_strictly_valid == 3
    torn = checked(inner + inner)  # no line end between the two
    assert (torn.n_strictly_valid, torn.defects["malformed"]) == (4, 1)
    assert checked(gzip.compress(LINES.encode() + b"\n") + inner).n_strictly_valid == 6


def test_a_gzip_that_ends_early_gives_what_came_before(checked):
    lines = "\n".join(f'{{"question": "{n}", "answer": "{n * n}"}}' for n in range(20_000))
    report = checked(gzip.compress(lines.encode())[:-2000])
    assert report.defects["malformed"] == 1
    assert 1000 < report.n_strictly_valid == report.n_dialogues - 1
    assert "ends early" in next(iter(report.problems.values()))


def test_zip_of_folders(checked):
    report = checked(
        zipped(
            {
                "one/1.json": json.dumps(RECORDS[0]),
                "one/2.txt": TEXT,
                "two/3.csv": "question,answer\na,b\n",
                "__MACOSX/one/._1.json": b"\0\1",
                "one/.DS_Store": b"\0",
            }
        )
    )
    assert report.n_strictly_valid == report.n_dialogues == 3


def test_names_in_a_zip_may_be_gbk(write):
    data = zipped({"XX/1.txt": TEXT}).replace(b"XX/", "中".encode("gbk") + b"/")
    [record] = read_records(write(data))
    assert record.origin.file == "data.bin/中/1.txt"


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:60],
        lambda data: data[:-30],
        lambda data: data[:50] + bytes(20) + data[70:],
    ],
)
def test_a_damaged_zip_is_told(damage, checked):
    report = checked(damage(zipped({"a.jsonl": LINES * 9})))
    assert report.defects["malformed"] >= 1


def test_archives_in_archives_and_tar_are_refused_with_a_cure(checked):
    import tarfile

    report = checked(zipped({"in.zip": zipped({"a": TEXT})}))
    assert "unpack" in next(iter(report.problems.values()))
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"))
    report = checked(content.getvalue())
    assert "tar" in next(iter(report.problems.values()))


def test_a_folder_is_read_in_the_order_of_names(write, tmp_path):
    for name in ("b/2.txt", "a/1.txt", "c.txt"):
        write(TEXT, f"data/{name}")
    write(b"\0", "data/.hidden")
    files = [record.origin.file for record in read_records(tmp_path / "data")]
    assert files == ["a/1.txt", "b/2.txt", "c.txt"]


def test_pages_about_the_data_are_passed_over_with_a_notice(write, tmp_path):
    write(TEXT, "data/1.txt")
    write("# About\nNothing here.", "data/README.md")
    write("MIT", "data/LICENSE")
    write("Client: hi\nTherapist: hello", "data/notes.md")
    report = check(tmp_path / "data")
    assert report.n_strictly_valid == report.n_dialogues == 2
    assert [notice.partition(":")[0] for notice in report.notices] == ["LICENSE", "README.md"]


def test_an_empty_file_among_texts_is_an_empty_dialogue(write, tmp_path):
    write("", "data/0.txt")
    write(TEXT, "data/1.txt")
    report = check(tmp_path / "data")
    assert report.n_dialogues == 2
    assert report.places["missing_turns"] == ("0.txt:1",)


def test_an_empty_file_among_others_is_told(write, tmp_path):
    write(b"\xef\xbb\xbf\n ", "data/0.jsonl")
    write(ARRAY, "data/1.json")
    report = check(tmp_path / "data")
    assert report.n_dialogues == 3
    assert report.notices == ("0.jsonl: holds no dialogue",)


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"\xef\xbb\xbf", b"[]", b"[ ]\n", gzip.compress(b"")]
)
def test_an_empty_file_holds_nothing(content, checked):
    report = checked(content)
    assert report.n_dialogues == 0 and report.format == "unknown"
    assert report.notices == ("data.bin: holds no dialogue",)


def test_what_is_not_there_or_no_file(tmp_path, write):
    with pytest.raises(NotFoundError, match="no such file"):
        check(tmp_path / "absent")
    with pytest.raises(NotFoundError):
        check("a\0b")
    write(TEXT, "data/1.txt")
    os.mkfifo(tmp_path / "data" / "pipe")
    os.symlink("nowhere", tmp_path / "data" / "link.txt")
    report = check(tmp_path / "data")
    assert report.n_dialogues == 2 and report.defects["malformed"] == 1
    assert report.notices == ("pipe: passed over, not a regular file",)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(write):
    path = write(TEXT)
    path.chmod(0)
    with pytest.raises(DataError, match="cannot be opened"):
        check(path)
    write(TEXT, "data/a/1.txt")
    write(TEXT, "data/b/1.txt").parent.chmod(0)
    report = check(path.parent / "data")
    (path.parent / "data/b").chmod(0o700)
    assert report.n_strictly_valid == 1 and report.defects["malformed"] == 1


def test_binary_is_malformed(checked):
    assert checked(bytes(range(256)) * 10).defects["malformed"] == 1
