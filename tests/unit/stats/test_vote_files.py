"""Votes read from tables: names of columns, and rows that cannot be used."""

import pytest

from qingting.core.errors import DataError, SpecificationError
from qingting.stats.vote_files import read_votes
from qingting.stats.votes import LEFT, RIGHT, TIE


def written(tmp_path, text):
    path = tmp_path / "votes.csv"
    path.write_text(text, "utf-8")
    return path


def test_both_namings_of_columns_are_known(tmp_path):
    one = read_votes(written(tmp_path, "left,right,winner,item,judge\na,b,left,1,x\na,b,tie,2,y\n"))
    assert one.votes.winners.tolist() == [LEFT, TIE]
    assert one.votes.prompts.tolist() == [0, 1]
    assert one.votes.raters.tolist() == [0, 1]
    other = read_votes(
        written(tmp_path, "model_a,model_b,winner\nb,a,model_a\nb,a,model_b\nb,a,tie (bothbad)\n")
    )
    assert other.votes.winners.tolist() == [LEFT, RIGHT, TIE]
    assert [other.votes.arms[n] for n in other.votes.left] == ["b", "b", "b"]
    assert other.votes.prompts is None


def test_rows_that_cannot_be_used_are_named_and_left_out(tmp_path):
    read = read_votes(
        written(
            tmp_path,
            "left,right,winner,prompt\na,b,left,1\na,b,garbage,1\na,a,left,1\na,b,,1\na,b,tie,\n",
        )
    )
    assert len(read.votes) == 1
    assert [problem.line for problem in read.problems] == [3, 4, 5, 6]
    assert "column 'winner': 'garbage' is not a winner" in str(read.problems[0])
    assert "compared with itself" in str(read.problems[1])
    assert "no winner" in str(read.problems[2])
    assert "column 'prompt': an empty cell" in str(read.problems[3])


def test_covariates_are_differences_per_standard_deviation(tmp_path):
    path = written(
        tmp_path,
        "left,right,winner,length_left,length_right\na,b,left,5,3\na,b,right,3,5\na,b,tie,x,1\n",
    )
    read = read_votes(path, covariates=["length"])
    assert read.votes.covariates.tolist() == [[1.0], [-1.0]]
    assert "'x' is not a number" in str(read.problems[0])
    with pytest.raises(SpecificationError, match="lists_left"):
        read_votes(path, covariates=["lists"])


def test_a_table_without_votes_or_columns_is_refused(tmp_path):
    with pytest.raises(DataError, match="no row holds a vote"):
        read_votes(written(tmp_path, "left,right,winner\na,b,maybe\n"))
    with pytest.raises(SpecificationError, match="winner"):
        read_votes(written(tmp_path, "left,right,won\na,b,left\n"))
