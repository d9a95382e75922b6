import gzip
from pathlib import Path

import pytest

from qingting.core.columns import find_column, finite_number, read_columns, read_records
from qingting.core.errors import DataError, NotFoundError, SpecificationError


def write(tmp_path: Path, text: str, name: str = "votes.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode("utf-8"))
    return path


@pytest.mark.parametrize(
    "text",
    [
        "left,right,winner\na,b,left\n\nb,a,tie\n",
        "\ufeffleft\tright\twinner\r\na\tb\tleft\r\n\r\nb\ta\ttie\r\n",
        "left;right;winner\na;b;left\n\nb;a;tie\n",
        '{"left":"a","right":"b","winner":"left"}\n\n{"left":"b","right":"a","winner":"tie"}\n',
    ],
)
def test_csv_tsv_and_json_lines_give_the_same_table(tmp_path: Path, text: str) -> None:
    table = read_columns(write(tmp_path, text))
    assert table.names == ("left", "right", "winner")
    assert table.values("left") == ["a", "b"]
    assert table.values("winner") == ["left", "tie"]
    assert list(table.lines) == [2, 4] if text[0] != "{" else [1, 3]


def test_the_format_is_recognised_from_content_also_in_gzip(tmp_path: Path) -> None:
    path = tmp_path / "votes.txt"
    path.write_bytes(gzip.compress(b'{"item": 1, "score": 1e-4}\n{"item": 2}\n'))
    table = read_columns(path)
    assert table.values("item") == ["1", "2"]
    assert table.values("score") == ["1e-4", ""]


def test_a_quoted_cell_may_hold_line_breaks_and_a_problem_names_its_line(tmp_path: Path) -> None:
    table = read_columns(write(tmp_path, 'item,reason\n1,"two\nlines"\n2,x\n'))
    assert table.values("reason") == ["two\nlines", "x"]
    assert str(table.problem(1, "reason", "no")).endswith("votes.csv:4, column 'reason': no")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no row"),
        ("a,b\n", "holds no row"),
        ("a,a\n1,2\n", "'a' twice"),
        ("a,,b\n1,2,3\n", "without a name"),
        ("a,\n1,2\n", "votes.csv:2: 2 cells"),
        ("a,b\n1,2,3\n", "votes.csv:2: 3 cells"),
        ('{"a": 1}\n{"a": \n', "votes.csv:2: not JSON"),
        ('{"a": 1}\n[1]\n', "votes.csv:2: not a JSON object"),
    ],
)
def test_a_damaged_table_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_columns(write(tmp_path, text))


def test_other_encodings_damaged_gzip_folders_and_absent_files_are_refused(tmp_path: Path) -> None:
    latin = tmp_path / "latin.csv"
    latin.write_bytes("a,b\n\xe9,1\n".encode("latin-1"))
    with pytest.raises(DataError, match="UTF-8"):
        read_columns(latin)
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 1000)[:-9])
    with pytest.raises(DataError, match="damaged gzip"):
        read_columns(cut)
    with pytest.raises(SpecificationError, match="a folder"):
        read_columns(tmp_path)
    with pytest.raises(NotFoundError, match="no such file"):
        read_columns(tmp_path / "none.csv")


def test_columns_are_found_by_name_or_by_the_users_word(tmp_path: Path) -> None:
    table = read_columns(write(tmp_path, "Model_A,model_b,judge\nx,y,z\n"))
    assert find_column(table, role="left arm", names=("left", "model_a")) == "Model_A"
    assert find_column(table, role="rater", names=("rater",), mapped="judge") == "judge"
    assert find_column(table, role="item", names=("item",), required=False) is None
    with pytest.raises(SpecificationError, match=r"no column holds the outcome.*winner"):
        find_column(table, role="outcome", names=("winner",))
    with pytest.raises(SpecificationError, match="Did you mean 'judge'"):
        find_column(table, role="rater", names=("rater",), mapped="judgee")


def test_equal_cells_share_one_string(tmp_path: Path) -> None:
    table = read_columns(write(tmp_path, "a\n" + "same words\n" * 3))
    first, second, third = table.values("a")
    assert first is second is third


@pytest.mark.parametrize(
    ("cell", "number"),
    [("3", 3.0), (" 1e-4 ", 1e-4), ("", None), ("garbage", None), ("nan", None), ("-inf", None)],
)
def test_only_finite_numbers_are_numbers(cell: str, number: float | None) -> None:
    assert finite_number(cell) == number


@pytest.mark.parametrize("told", ["sep=;", "SEP=;", '"sep=;"'])
def test_the_separator_line_of_a_spreadsheet_is_no_header(tmp_path: Path, told: str) -> None:
    table = read_columns(write(tmp_path, f"{told}\r\na;b,c\r\n1;2\r\n"))
    assert (table.names, list(table.lines)) == (("a", "b,c"), [3])


@pytest.mark.parametrize(
    ("encoding", "named"), [("gb18030", "GB18030"), ("utf-16", "UTF-16"), ("latin-1", None)]
)
def test_another_encoding_is_named_where_its_bytes_tell(
    tmp_path: Path, encoding: str, named: str | None
) -> None:
    path = tmp_path / "votes.csv"
    path.write_bytes(("é" if named is None else "左,右").encode(encoding) + b",1\n")
    if encoding == "utf-16":
        path.write_bytes("左\t右\n".encode(encoding))
    with pytest.raises(DataError, match="not UTF-8 text; ") as caught:
        read_columns(path)
    assert "'CSV UTF-8'" in str(caught.value)
    assert (f"iconv -f {named} -t UTF-8" in str(caught.value)) is (named is not None)


def test_records_keep_faults_in_place_and_json_values_as_they_are(tmp_path: Path) -> None:
    text = '{"a": 1, "b": null}\noops\n[2]\n{"c": ""}\n'
    records = read_records(write(tmp_path, text, "rows.jsonl"))
    assert records.names == ("a", "b", "c")
    assert [row.line for row in records.rows] == [1, 2, 3, 4]
    assert records.rows[0].cells == {"a": 1, "b": None}
    assert records.rows[3].cells == {"c": ""}
    assert [row.fault for row in records.rows] == [
        None,
        "not JSON (Expecting value at column 1)",
        "not a JSON object",
        None,
    ]


def test_the_option_that_names_a_column_is_told(tmp_path: Path) -> None:
    table = read_columns(write(tmp_path, "x,y\n1,2\n"))
    with pytest.raises(SpecificationError, match=r"or name it with --rater-column$"):
        find_column(table, role="rater", names=("rater",), option="--rater-column")


def test_empty_columns_at_the_end_of_a_spreadsheet_are_none(tmp_path: Path) -> None:
    table = read_columns(write(tmp_path, "a,b,,\r\n1,2,,\r\n3,4\r\n"))
    assert table.names == ("a", "b")
    assert table.values("b") == ["2", "4"]
