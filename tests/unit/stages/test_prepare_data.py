"""What every arm is given to learn from."""

from qingting.core.dialogue import Dialogue, Message
from qingting.stages.prepare_data import _prepared

CONFIG = {"keep_system_messages": False, "system_prompt": "listen"}


def test_every_template_is_given_the_same_words():
    """Llama's template trims a turn and Qwen's does not: what it would trim is not there."""
    written = Dialogue("d", (Message("user", " hello"), Message("assistant", "go on \n")))
    prepared = _prepared(written, CONFIG)
    assert [m.content for m in prepared.messages] == ["listen", "hello", "go on"]
    assert prepared.language == "en"
