import pytest

from qingting.core.errors import DataError, NotFoundError, SpecificationError
from qingting.core.missing import Missing
from qingting.metrics.pair_files import read_pairs


def test_columns_are_recognised_by_name(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"id": 1, "prediction": "你好", "label": "您好"}\n\n', encoding="utf-8")
    read = read_pairs(path)
    assert (read.hypotheses, read.references) == (("你好",), ("您好",))
    assert (read.hypothesis_column, read.reference_column) == ("prediction", "label")


def test_csv_cells_may_hold_lines_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text('\ufeffresponse,reference\n"一行\n两行",好\n', encoding="utf-8")
    assert read_pairs(path).hypotheses == ("一行\n两行",)


def test_a_line_separator_inside_a_reply_does_not_break_the_row(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"response": "a\u2028b", "reference": "c"}', encoding="utf-8")
    assert read_pairs(path).hypotheses == ("a\u2028b",)


def test_bad_rows_stay_in_place_and_are_named_by_file_and_line(tmp_path):
    path = tmp_path / "pairs.jsonl"
    rows = ['{"response": "a", "reference": "a"}', "oops", "[1]", '{"response": null}',
            '{"response": 3, "reference": ""}']  # fmt: skip
    path.write_text("\n".join(rows), encoding="utf-8")
    read = read_pairs(path)
    assert len(read.hypotheses) == len(read.references) == 5
    assert sum(isinstance(text, Missing) for text in read.hypotheses) == 4
    assert read.references[4] == ""
    assert read.problems == (
        f"{path}:2: not JSON (Expecting value at column 1)",
        f"{path}:3: not a JSON object",
        f"{path}:4: no text in column 'response'",
        f"{path}:5: 'response' is not text",
        f"{path}:4: no text in column 'reference'",
    )


def test_csv_rows_of_the_wrong_width_are_named(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("response,reference\na,b\na,b,c\na\n", encoding="utf-8")
    assert read_pairs(path).problems == (
        f"{path}:3: 3 cells, but the header has 2 columns",
        f"{path}:4: 1 cells, but the header has 2 columns",
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pairs.tsv", "Response\tReference\n你好\t您好\n"),
        ("pairs.csv", "response;reference\n你好;您好\n"),
        ("pairs.csv", "sep=;\nresponse;reference\n你好;您好\n"),
        ("pairs.txt", '{"response": "你好", "reference": "您好"}\n'),
    ],
)
def test_the_form_is_recognised_from_the_content(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    read = read_pairs(path)
    assert (read.hypotheses, read.references, read.problems) == (("你好",), ("您好",), ())


def test_replies_without_references_can_be_read(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"response": "a"}', encoding="utf-8")
    assert read_pairs(path).references is None


def test_unknown_columns_are_refused_with_the_ones_found(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"reply": "a", "answer": "b"}', encoding="utf-8")
    with pytest.raises(SpecificationError, match="found reply, answer"):
        read_pairs(path)
    with pytest.raises(SpecificationError, match="Did you mean 'reply'"):
        read_pairs(path, hypothesis_column="replie")
    assert read_pairs(path, hypothesis_column="reply").hypotheses == ("a",)


def test_files_that_cannot_be_read_say_so(tmp_path):
    with pytest.raises(NotFoundError, match="no such file"):
        read_pairs(tmp_path / "absent.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(DataError, match="holds no row"):
        read_pairs(tmp_path / "empty.jsonl")
    (tmp_path / "bad.jsonl").write_text("oops\n")
    with pytest.raises(DataError, match=r"bad\.jsonl:1: not JSON"):
        read_pairs(tmp_path / "bad.jsonl")
    (tmp_path / "gbk.jsonl").write_bytes("你好".encode("gbk"))
    with pytest.raises(DataError, match="not UTF-8"):
        read_pairs(tmp_path / "gbk.jsonl")
