import pytest

from qingting.core.errors import SpecificationError
from qingting.core.missing import Missing
from qingting.metrics.choice_files import read_choices


@pytest.fixture
def write(tmp_path):
    def _write(text, name="choices.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return _write


def test_replies_keys_and_kinds_are_read(write):
    read = read_choices(
        write("response,answer,kind\n答案是B,B,single\n选A和C,AC,multiple\n我不知道,D,单选\n")
    )
    assert read.keys == (frozenset("B"), frozenset("AC"), frozenset("D"))
    assert read.answers[:2] == (frozenset("B"), frozenset("AC"))
    assert read.answers[2] == Missing("names no option")
    assert read.is_multiple == (False, True, False)
    assert read.columns == {"key": "answer", "reply": "response", "kind": "kind"}
    assert read.probabilities is None
    assert read.problems == ()


def test_answer_is_the_reply_beside_a_key(write):
    read = read_choices(write("answer,key\nB,C\n"))
    assert (read.answers, read.keys) == ((frozenset("B"),), (frozenset("C"),))


@pytest.mark.parametrize(
    ("key", "why"), [('"C,"', "holds more"), ("D、…", "holds more"), ("AB", "2 letters"), ("", "")]
)
def test_keys_that_cannot_be_answered_are_named_by_line_and_never_guessed(write, key, why):
    path = write(f"reply,key\nA,A\nB,{key}\n")
    read = read_choices(path)
    assert isinstance(read.keys[1], Missing)
    assert [problem.line for problem in read.problems] == [3]
    assert str(read.problems[0]).startswith(f"{path}:3, column 'key': ")
    assert why in str(read.problems[0])


def test_two_letters_are_a_key_where_several_options_may_be_right(write):
    assert read_choices(write("reply,key\nA,AB\n"), multiple=True).keys == (frozenset("AB"),)


def test_options_give_the_letters_and_may_be_quoted(write):
    read = read_choices(write("reply,key,A,B,C,D,E\n抑郁,E,焦虑,失眠,强迫,恐惧,抑郁\n"))
    assert read.letters == "ABCDE"
    assert read.answers == (frozenset("E"),)


def test_probabilities_are_checked(write):
    read = read_choices(
        write("key,p_A,p_B,p_C\nA,.2,.3,.5\nA,.2,.3,.6\nB,,,\nB,1.2,-.2,0\nC,.4,.6,\n")
    )
    assert read.answers is None
    assert read.probabilities[0] == pytest.approx({"A": 0.2, "B": 0.3, "C": 0.5})
    assert read.probabilities[1] == Missing("the probabilities sum to 1.1 instead of 1")
    assert read.probabilities[2] == Missing("no probabilities")
    assert read.probabilities[3] == Missing("a probability lies outside 0 to 1")
    assert read.probabilities[4] == pytest.approx({"A": 0.4, "B": 0.6})
    assert [problem.line for problem in read.problems] == [3, 5]


def test_likelihoods_become_probabilities(write):
    read = read_choices(write("key,loglik_A,loglik_B\nA,-1000,-1001.0986122886682\nA,x,0\n"))
    assert read.probabilities[0] == pytest.approx({"A": 0.75, "B": 0.25})
    assert read.probabilities[1] == Missing("a probability is no number")


def test_an_unknown_kind_is_named(write):
    read = read_choices(write("reply,key,kind\nA,A,essay\n"))
    assert "neither single nor multiple" in str(read.problems[0])


def test_what_is_not_there_is_refused(write):
    with pytest.raises(SpecificationError, match="no column holds the key"):
        read_choices(write("reply,other\nA,A\n"))
    with pytest.raises(SpecificationError, match="no column holds replies"):
        read_choices(write("key,other\nA,A\n"))
    with pytest.raises(SpecificationError, match="different capitals"):
        read_choices(write("reply,key\nA,A\n"), letters="AAB")
