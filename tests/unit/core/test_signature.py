import pytest

from qingting.core.errors import IncomparableError
from qingting.core.signature import Signature, require_same

BLEU = Signature(
    "bleu", tokenizer="char", n=4, smoothing="exp", case="mixed", parameters=(("eff", "yes"),)
)


def test_a_signature_is_one_stable_string():
    assert str(BLEU) == "bleu|tok:char|n:4|smooth:exp|case:mixed|eff:yes|level:item|v:1"


@pytest.mark.parametrize("signature", [BLEU, BLEU.at("corpus"), Signature("length", version=3)])
def test_a_signature_reads_back(signature):
    assert Signature.parse(str(signature)) == signature


def test_the_order_of_parameters_does_not_matter():
    one = Signature("x", parameters=(("a", "1"), ("b", "2")))
    assert one == Signature("x", parameters=(("b", "2"), ("a", "1")))


@pytest.mark.parametrize("text", ["bleu", "bleu|v:1", "bleu|level:item|v:x", "b|n|level:item|v:1"])
def test_what_is_no_signature_is_refused(text):
    with pytest.raises(ValueError, match="not a signature"):
        Signature.parse(text)


def test_a_field_cannot_break_the_string():
    with pytest.raises(ValueError, match=r"contains '\|'"):
        Signature("bleu", tokenizer="a|b")


def test_the_same_signatures_compare():
    require_same(BLEU, str(BLEU))


def test_different_signatures_are_refused_in_a_sentence_that_names_the_difference():
    other = Signature(
        "bleu", tokenizer="rjieba-0.2.2", n=4, smoothing="exp", case="mixed",
        parameters=(("eff", "yes"),),
    )  # fmt: skip
    with pytest.raises(IncomparableError, match="tok is char on one side and rjieba-"):
        require_same(BLEU, other)
    with pytest.raises(IncomparableError, match="metric is bleu on one side and chrf"):
        require_same(BLEU, Signature("chrf"))
