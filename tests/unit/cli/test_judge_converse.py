"""The command has clients talk with arms behind real addresses; a loopback server answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qingting.cli.main import _mount as mount
from qingting.cli.main import app

STUDY = """
name: talks
mode: conversation
languages: [zh]
scenarios: {n: 2}
conversation: {source: simulated, min_turns: 2, max_turns: 2}
"""


class Handler(BaseHTTPRequestHandler):
    """Two models that answer, and a client model that always asks on."""

    def do_GET(self) -> None:
        self._send({"data": [{"id": name} for name in ("one", "two", "player")]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        words = "那怎么办呢？" if body["model"] == "player" else f"我在听（{body['model']}）。"
        message = {"role": "assistant", "content": words}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self._send({"model": body["model"], "choices": [choice], "usage": {}})

    def _send(self, record: object) -> None:
        data = json.dumps(record).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def run(*arguments: str) -> tuple[int, str]:
    mount()
    result = CliRunner().invoke(app, ["judge", "converse", *arguments])
    return result.exit_code, f"{result.output}\n{result.stderr}\n{result.exception}"


def test_conversations_become_a_study(tmp_path: Path, url: str) -> None:
    (tmp_path / "s.yaml").write_text(STUDY, encoding="utf-8")
    out = tmp_path / "talks.jsonl"
    arms = [f"--endpoint={name}={url}#{name}" for name in ("one", "two")]
    code, text = run(str(tmp_path / "s.yaml"), *arms, "--out", str(out))
    assert code == 0 and "4 conversations, client played by script" in text
    code, text = run(str(tmp_path / "s.yaml"), *arms, "--out", str(out), "--json")
    assert code == 0 and '"n_before": 4' in text
    created = CliRunner().invoke(
        app,
        [
            *("judge", "create", str(tmp_path / "s.yaml"), "--answers", str(out)),
            *("--database", str(tmp_path / "j.db"), "--json"),
        ],
    )
    assert json.loads(created.stdout)["n_units"] == 4


def test_a_model_may_play_the_client(tmp_path: Path, url: str) -> None:
    (tmp_path / "s.yaml").write_text(STUDY, encoding="utf-8")
    out = tmp_path / "talks.jsonl"
    code, text = run(
        str(tmp_path / "s.yaml"),
        f"--endpoint=one={url}#one",
        f"--client={url}#player",
        "--out",
        str(out),
    )
    assert code == 0 and "client played by model player" in text
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert {row["turns"][1]["content"] for row in rows} == {"那怎么办呢？"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name who talks"),
        (["--endpoint=one=ftp://x"], "is not ARM=http"),
        (["--endpoint=one=http://x/v1#one", "--client=http://x/v1"], "HOST"),
        (["--endpoint=one=http://x/v1#one", "--client=http://u:k@x/v1#m"], "keys go into"),
        (["--run=nowhere"], "no finished run"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_asked(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    (tmp_path / "s.yaml").write_text(STUDY, encoding="utf-8")
    code, text = run(str(tmp_path / "s.yaml"), *arguments, "--out", str(tmp_path / "o.jsonl"))
    assert code != 0 and words in text
    assert not (tmp_path / "o.jsonl").exists()


def test_a_study_of_single_answers_holds_no_conversations(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("name: x\nmode: single\n", encoding="utf-8")
    _, text = run(str(tmp_path / "s.yaml"), "--endpoint=one=http://x/v1#one")
    assert "mode: conversation" in text
