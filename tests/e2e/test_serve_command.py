"""The command ``qingting serve`` and its process: beginning, bad input, and every kind of end."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import openai
import pytest

from e2e.running import mind_interrupts
from e2e.waiting import is_alive, wait_for
from qingting.engines.openai_compatible import EndpointError
from qingting.engines.serving import serve
from qingting.engines.serving_protocol import Limits
from qingting.models.resolve import shipped_models

NAME = "qwen2.5-tiny"
ASKED = [{"role": "user", "content": "最近总是失眠，怎么办？"}]


def command(*options, **settings):
    return subprocess.Popen(
        [sys.executable, "-m", "qingting.cli.main", "serve", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **settings,
    )


def ready(process):
    record = json.loads(process.stdout.readline())
    assert record["event"] == "ready"
    return record


def test_the_command_says_where_it_serves_and_ends_at_sigterm_when_answers_have_ended():
    process = command(NAME, "--port", "0", "--json", "--precision", "fp32")
    record = ready(process)
    assert record["model"] == NAME
    assert is_alive(record["pid"])
    with openai.OpenAI(base_url=record["url"], api_key="any", max_retries=0) as official:
        stream = official.chat.completions.create(
            model=NAME, messages=ASKED, temperature=2, seed=1, max_tokens=200, stream=True
        )
        chunks = iter(stream)
        next(chunks)
        process.send_signal(signal.SIGTERM)
        rest = list(chunks)
        assert rest[-1].choices[0].finish_reason in ("stop", "length")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert err.splitlines()[-1] == "qingting: stopped"
    assert not is_alive(record["pid"])


def test_answers_that_do_not_end_in_time_are_told_so():
    """No time to end: the stream closes with an error, and is not taken for a whole answer."""
    limits = Limits(drain_s=0, max_new_tokens=2000)
    with serve(shipped_models()[NAME], limits=limits) as served, served.chat() as own:
        stream = own.stream(ASKED, max_tokens=2000, temperature=2, seed=4)
        next(stream)
        os.kill(served.pid, signal.SIGTERM)
        with pytest.raises(EndpointError, match=r"broke off \(shutdown\)"):
            list(stream)


def test_ctrl_c_ends_the_command_with_130():
    process = command(NAME, "--port", "0", "--json", preexec_fn=mind_interrupts)
    record = ready(process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert not is_alive(record["pid"])


def test_sigterm_while_it_loads_leaves_nothing_behind():
    process = command(NAME, "--port", "0", "--json")
    assert process.stderr.readline().startswith("qingting: loading")
    (child,) = children_of(process.pid)
    process.terminate()
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "")
    assert not is_alive(child)


def children_of(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_the_server_ends_with_the_command_that_is_killed():
    process = command(NAME, "--port", "0", "--json")
    record = ready(process)
    process.kill()
    process.communicate()
    wait_for(lambda: not is_alive(record["pid"]), timeout_s=10)


def test_a_server_that_dies_ends_the_command_with_one_line():
    process = command(NAME, "--port", "0", "--json")
    os.kill(ready(process)["pid"], signal.SIGKILL)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "the server ended by itself" in err.splitlines()[-1]


def test_a_taken_port_is_one_line_and_never_another_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        out, err = command(NAME, "--port", str(port)).communicate(timeout=60)
    assert out == ""
    assert err.splitlines() == [
        f"qingting: 127.0.0.1:{port}: address already in use; "
        "choose another with --port (0 takes a free one)"
    ]


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["qwen2.5-tny"], 1, "Did you mean 'qwen2.5-tiny'"),
        (["bert-tiny"], 1, "reads text and writes none"),
        ([".", "--arm", "x/lora"], 1, "not the work folder of an experiment"),
        ([NAME, "--port", "70000"], 2, "less than or equal to 65535"),
    ],
)
def test_what_cannot_be_served_is_said_before_anything_is_loaded(
    options, status, message, tmp_path
):
    process = command(*options, cwd=tmp_path)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (status, "")
    assert message in err
    assert "Traceback" not in err


def test_a_damaged_model_is_one_line(tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(shipped_models()[NAME], folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    out, err = command(str(folder), "--port", "0").communicate(timeout=60)
    assert out == ""
    assert err.splitlines()[-1].startswith(f"qingting: {folder} cannot be loaded")
    assert "Traceback" not in err


def test_while_it_loads_it_says_so():
    """The socket listens before the model is there: early clients get 503, not a refusal."""
    seen = []
    port = socket.socket()
    port.bind(("127.0.0.1", 0))
    number = port.getsockname()[1]
    port.close()

    def ask():
        for _ in range(400):
            try:
                answer = httpx.get(
                    f"http://127.0.0.1:{number}/v1/models", timeout=20, trust_env=False
                )
            except httpx.TransportError:
                time.sleep(0.01)
                continue
            seen.append((answer.status_code, answer.json()))
            if answer.status_code == 200:
                return

    asking = threading.Thread(target=ask)
    asking.start()
    with serve(shipped_models()[NAME], port=number):
        asking.join(30)
    assert seen[0][0] == 503
    assert seen[0][1]["error"]["code"] == "model_not_ready"
    assert seen[-1][0] == 200


def test_an_arm_of_an_experiment_is_served_by_its_name(finished):
    for reference in (
        [str(finished), "--arm", "qwen2.5-tiny/lora"],
        [f"{finished}/qwen2.5-tiny/base"],
    ):
        process = command(*reference, "--port", "0", "--json")
        record = ready(process)
        process.terminate()
        process.communicate(timeout=30)
        assert record["model"].startswith("qwen2.5-tiny/")
    process = command(str(finished), "--arm", "qwen2.5-tiny/lara", "--port", "0")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Did you mean 'qwen2.5-tiny/lora'?" in err
