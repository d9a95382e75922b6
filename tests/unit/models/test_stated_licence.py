import pytest

from qingting.models.shipped import stated_licence


@pytest.mark.parametrize(
    ("readme", "licence"),
    [
        ("---\nlicense: cc-by-4.0\n---\n# A model\n", "cc-by-4.0"),
        ("---\nlanguage: zh\n---\nlicense: in the text\n", None),
        ("license: in the text\n", None),
        ("---\nlicense: \n---\n", None),
        ("", None),
    ],
)
def test_only_the_front_matter_states_a_licence(tmp_path, readme, licence):
    (tmp_path / "README.md").write_text(readme, encoding="utf-8")
    assert stated_licence(tmp_path) == licence


def test_a_folder_without_readme_states_none(tmp_path):
    assert stated_licence(tmp_path) is None
