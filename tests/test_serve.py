"""`brandon serve`: OpenAI-style requests and `transformers chat` against a server in a process of its own."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from huggingface_hub import constants
from peers import CHATS, learn_by_heart, save_tiny, stop_ids, tiny_model, tiny_tokenizer

from brandon_hf.cli import main
from brandon_hf.cli.serve import OneModel
from brandon_hf.pretrained import DEFAULT, pretrained_path

pytest.importorskip("fastapi", reason="needs the serve extra")
pytest.importorskip("uvicorn", reason="needs the serve extra")
openai = pytest.importorskip("openai", reason="needs the serve extra")

CHAT = CHATS[2]
QUESTION, ANSWER = CHAT[:1], CHAT[1]["content"]
COMMAND = [sys.executable, "-c", "import sys; from brandon_hf.cli import main; sys.exit(main())", "serve"]


def environment(repo, **variables):
    env = {name: value for name, value in os.environ.items() if name not in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")}
    return (
        env
        | {
            "PYTHONPATH": os.pathsep.join([str(repo), *sys.path]),
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "OMP_NUM_THREADS": "1",
        }
        | variables
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model that has learned one answer by heart."""
    folder = tmp_path_factory.mktemp("serve") / "brandon"
    tokenizer = tiny_tokenizer()
    model = learn_by_heart(tiny_model(tokenizer), tokenizer, [CHAT])
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def hub_requests():
    """The paths asked of a stand-in for the Hub, and its address."""
    paths = []

    class Hub(BaseHTTPRequestHandler):
        def answer(self):
            paths.append(self.path)
            self.send_error(404)

        do_GET = do_HEAD = do_POST = answer

        def log_message(self, *args):
            pass

    hub = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=hub.serve_forever, daemon=True).start()
    yield paths, f"http://127.0.0.1:{hub.server_port}"
    hub.shutdown()


@pytest.fixture(scope="module")
def server(folder, repo, hub_requests, tmp_path_factory):
    """Address of a running server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = tmp_path_factory.mktemp("home")
    log = home / "log"
    env = environment(repo, HF_ENDPOINT=hub_requests[1], HF_HOME=str(home))
    with log.open("w") as out:
        process = subprocess.Popen([*COMMAND, str(folder), "--port", str(port)], env=env, stdout=out, stderr=out)
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(300):
            assert process.poll() is None, log.read_text()
            try:
                urllib.request.urlopen(f"{address}/health", timeout=2)
                break
            except OSError:
                time.sleep(0.2)
        else:
            pytest.fail(log.read_text())
        assert f"Uvicorn running on {address} " in log.read_text()  # 127.0.0.1: this machine only
        yield address
    finally:
        process.terminate()
        process.wait(10)


def ask(server, path="/v1/chat/completions", **fields):
    request = urllib.request.Request(
        server + path, json.dumps(fields).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return response.read().decode()


def test_chat_completion_is_the_models_answer_whatever_model_is_named(server):
    for named in ({}, {"model": "gpt-4o"}, {"model": "hub/other"}):
        reply = json.loads(ask(server, messages=QUESTION, **named))
        choice = reply["choices"][0]
        assert choice["message"] == {"role": "assistant", "content": ANSWER}
        assert choice["finish_reason"] == "stop"
        assert reply["usage"]["completion_tokens"] < 30


def test_streamed_chunks_make_up_the_same_answer(server):
    lines = ask(server, messages=QUESTION, stream=True).splitlines()
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
    pieces = [chunk["choices"][0]["delta"].get("content") for chunk in chunks]
    assert "".join(filter(None, pieces)) == ANSWER
    assert len(list(filter(None, pieces))) > 3
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_openai_client_gets_the_answer(server, folder):
    client = openai.OpenAI(base_url=f"{server}/v1", api_key="none", max_retries=0)
    assert [model.id for model in client.models.list()] == [str(folder)]
    reply = client.chat.completions.create(model="any", messages=QUESTION, temperature=0)
    assert reply.choices[0].message.content == ANSWER
    stream = client.chat.completions.create(model="any", messages=QUESTION, temperature=0, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == ANSWER
    cut = client.chat.completions.create(model="any", messages=QUESTION, max_tokens=3)
    assert cut.choices[0].finish_reason == "length"
    assert ANSWER.startswith(cut.choices[0].message.content)


def test_answer_ends_where_the_context_does(server):
    """The server asks for 1024 tokens by default; the context holds 256."""
    never = {str(token): -1000.0 for token in stop_ids(tiny_tokenizer())}
    reply = json.loads(ask(server, messages=QUESTION, logit_bias=never))
    assert reply["usage"]["total_tokens"] == 256
    assert reply["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([{"role": "user", "content": "word " * 300}], "max_position_embeddings=256"),
        ([{"role": "tool", "content": "42"}], "has role tool"),
    ],
    ids=["too-long", "unknown-role"],
)
def test_request_the_model_cannot_answer_is_refused_with_the_reason(server, messages, words):
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(server, messages=messages)
    assert refused.value.code == 400
    assert words in json.loads(refused.value.read())["error"]["message"]


def test_transformers_chat_shows_the_answer(server, repo, tmp_path):
    chat = subprocess.run(
        [
            *(sys.executable, "-m", "transformers.cli.transformers", "chat", "any", f"{server}/v1"),
            *("do_sample=False", "max_new_tokens=40", "--user", "me"),
        ],
        input=f"{QUESTION[0]['content']}\n!exit\n",
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env=environment(repo, HF_ENDPOINT="http://127.0.0.1:9", HF_HOME=str(tmp_path), TERM="dumb", COLUMNS="200"),
    )
    assert chat.returncode == 0, chat.stdout + chat.stderr
    assert ANSWER in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", chat.stdout)


def test_interrupt_ends_the_server_without_a_traceback(repo, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    env = environment(repo, HF_HOME=str(tmp_path))
    command = [*COMMAND, pretrained_path(), "--port", port]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = ""
    for line in process.stdout:
        said += line
        if "Uvicorn running" in line:
            process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert "Finished server process" in said
    assert "Traceback" not in said


def test_server_asks_nothing_of_the_hub(server, hub_requests):
    events = ask(server, "/load_model", model="hub/other")
    assert '"status": "ready"' in events
    assert json.loads(ask(server, messages=QUESTION, model="hub/other"))["choices"][0]["message"]["content"] == ANSWER
    assert hub_requests[0] == []


def test_a_model_of_the_package_is_listed_by_its_name():
    from starlette.testclient import TestClient  # of the serve extra

    client = TestClient(OneModel(None, pretrained_path()))
    assert [model["id"] for model in client.get("/v1/models").json()["data"]] == [DEFAULT]


# ---- refusals before anything is served ----


@pytest.fixture(autouse=True)
def _network_as_before(monkeypatch):
    """The command switches the network off in its process, which here is that of the tests."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", constants.HF_HUB_OFFLINE)


def refusal(capsys, *arguments):
    """The one line on stderr with which serving is refused."""
    assert main(["serve", *map(str, arguments)]) == 2
    output = capsys.readouterr()
    lines = output.err.splitlines()
    assert output.out == ""
    assert len(lines) == 1, output.err
    assert lines[0].startswith("brandon serve: ")
    return lines[0]


def test_missing_packages_are_named_by_their_extra(folder, capsys, monkeypatch):
    monkeypatch.setattr("transformers.utils.import_utils.is_serve_available", lambda: False)
    assert "brandon-hf[serve]" in refusal(capsys, folder)


def test_what_is_no_folder_is_refused(tmp_path, capsys):
    assert "is no folder" in refusal(capsys, "hub/model")
    assert "has no config.json" in refusal(capsys, tmp_path)


def change(folder, tmp_path, **fields):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    config = json.loads((copy / "config.json").read_text("utf-8"))
    (copy / "config.json").write_text(json.dumps(config | fields), "utf-8")
    return copy


def test_other_models_are_refused(folder, tmp_path, capsys):
    assert "'llama'" in refusal(capsys, change(folder, tmp_path / "a", model_type="llama"))
    scoring = change(folder, tmp_path / "b", architectures=["BrandonForSequenceClassification"])
    assert "BrandonForSequenceClassification" in refusal(capsys, scoring)
    broken = change(folder, tmp_path / "c")
    (broken / "config.json").write_text("{", "utf-8")
    assert str(broken) in refusal(capsys, broken)
    assert "hidden_size=-1" in refusal(capsys, change(folder, tmp_path / "d", hidden_size=-1))


def test_model_without_tokenizer_or_chat_template_is_refused(tmp_path, capsys):
    folder = save_tiny(tmp_path / "model")
    capsys.readouterr()
    (folder / "chat_template.jinja").unlink()
    assert "has no chat template" in refusal(capsys, folder)
    for path in folder.glob("tokenizer*"):
        path.unlink()
    assert str(folder) in refusal(capsys, folder)


def test_what_transformers_cannot_do_with_this_model_is_refused(folder, tmp_path, capsys):
    assert "--continuous-batching" in refusal(capsys, folder, "--continuous-batching")
    shutil.copytree(folder, tmp_path / "brandon@home")
    assert "'@'" in refusal(capsys, tmp_path / "brandon@home")


def test_truncated_weights_end_in_one_line(folder, repo, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    ended = subprocess.run(
        [*COMMAND, str(copy)],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment(repo, HF_HOME=str(tmp_path / "home")),
    )
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith(f"brandon serve: {copy}")
    assert "Traceback" not in ended.stderr
