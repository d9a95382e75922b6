"""What the report calls the data decides whether it says that they are synthetic."""

from qingting.stages.report import source_names


def test_a_pack_goes_by_its_name_and_what_merely_shares_it_does_not():
    own = ["./counselling", "data/cases.json"]
    assert source_names(["counselling", *own]) == ["counselling", "counselling/", "cases.json"]
