"""`brandon demo`: the page in headless Chromium, the Space it writes, and what it refuses."""

import itertools
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import types
import urllib.request
from threading import Semaphore

import pytest
import yaml
from peers import CHATS, learn_by_heart, tiny_model, tiny_tokenizer

from brandon_hf.cli import demo, main

pytest.importorskip("gradio", reason="needs the demo extra")
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from brandon_hf.demo import app
from brandon_hf.pretrained import DEFAULT

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
PIXELS = {"desktop": (1280, 800), "phone": (390, 844)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model that has learned the chats by heart."""
    folder = tmp_path_factory.mktemp("demo") / "brandon"
    tokenizer = tiny_tokenizer()
    learn_by_heart(tiny_model(tokenizer), tokenizer, CHATS, steps=80).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def model(folder):
    return app.load(str(folder))


def ask(model, *texts, system="", temperature=0.0, new=30):
    roles = ("user", "assistant")
    chat = [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]
    return list(app.stream(model, chat, system, temperature, 0, 1.0, 1.0, new))


class Gate:
    """Stands between the model and each token it makes."""

    def __init__(self, network):
        self.tokens, self.open, self.forward = 0, Semaphore(0), network.forward
        network.forward = self.step

    def step(self, *args, **kwargs):
        assert self.open.acquire(timeout=60)
        self.tokens += 1
        return self.forward(*args, **kwargs)


@pytest.fixture(scope="module")
def chromium():
    if not (CHROMIUM and DRIVER):
        pytest.skip("no chromium with chromedriver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    browser = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    browser.set_script_timeout(30)
    yield browser
    browser.quit()


class Page:
    """The chat in the browser."""

    def __init__(self, browser, address, size="desktop"):
        self.browser = browser
        width, height = PIXELS[size]
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == "phone"},
        )
        browser.get_log("performance")  # of the page before
        browser.get(address)
        self.until(lambda: self.visible("textarea"))

    def until(self, condition, every=0.05):
        wait = WebDriverWait(self.browser, 60, every, ignored_exceptions=[StaleElementReferenceException])
        return wait.until(lambda _: condition())

    def find(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def type(self, text):
        self.visible("textarea")[0].send_keys(text, Keys.ENTER)

    def answers(self):
        script = (
            "return [...document.querySelectorAll('.message [data-testid=bot]')].map(turn => turn.innerText.trim())"
        )
        return self.browser.execute_script(script)

    def visible(self, selector):
        return [element for element in self.find(selector) if element.is_displayed()]

    def requests(self):
        messages = (json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance"))
        return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]


@pytest.fixture
def shown():
    """Opens the page over models, and closes it after the test."""
    pages = []

    def show(models):
        page = app.build(models)
        pages.append(page)
        return page.launch(server_port=free_port(), quiet=True, prevent_thread_lock=True, **app.LOOK)[1]

    yield show
    for page in pages:
        page.close()


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_answer_streams_into_the_page_and_stop_ends_it(chromium, shown, model, tmp_path):
    """The gate lets the model make tokens one by one, so what the page shows between them is certain."""
    gate = Gate(model[0])
    prompts, encoded = [], model[1].apply_chat_template
    model[1].apply_chat_template = lambda chat, **options: prompts.append(chat) or encoded(chat, **options)
    model[0].generation_config.min_new_tokens = 100  # a long answer
    page = Page(chromium, shown({"brandon": model}))
    page.type("Name a fruit.")
    seen = []
    for _ in range(3):
        gate.open.release(8)
        before = seen[-1] if seen else ""
        seen.append(page.until(lambda before=before: next((a for a in page.answers() if len(a) > len(before)), None)))
    assert seen[2].startswith(seen[1])
    assert seen[1].startswith(seen[0])
    page.until(lambda: page.visible(".stop-button"))[0].click()

    def stopped_at_last():  # the click takes its time to arrive; the model must not wait at the gate then
        gate.open.release()
        return page.visible(".submit-button")

    page.until(stopped_at_last, every=0.5)
    gate.open.release()
    page.until(lambda: gate.open.acquire(blocking=False))  # nobody takes it
    assert gate.tokens < 100, "the model went on after Stop"
    stopped = page.answers()[-1]
    assert stopped.startswith(seen[2])

    gate.open.release(1000)
    page.until(lambda: page.visible("textarea")[0].is_enabled())
    page.type("Say hello.")
    page.until(lambda: len(page.answers()) == 2 and not page.visible(".stop-button"))
    assert [turn["role"] for turn in prompts[-1]] == ["user", "assistant", "user"]
    assert prompts[-1][1]["content"].strip()  # what was said before Stop belongs to the chat
    chromium.save_screenshot(str(tmp_path / "chat.png"))
    assert (tmp_path / "chat.png").stat().st_size > 5000


@pytest.mark.parametrize("size", PIXELS)
def test_page_fits_loads_nothing_from_outside_and_shows_text_as_it_is(chromium, shown, model, monkeypatch, size):
    wild = "<img src=x onerror=\"document.title='ran'\"> **bold** <b>b</b>\n# not a heading"
    monkeypatch.setattr(app, "stream", lambda *args: iter([wild[:20], wild]))
    address = shown({"one": model, "two": model})
    page = Page(chromium, address, size)
    chromium.get_log("browser")
    page.until(lambda: page.find(".example"))[0].click()
    page.until(lambda: page.answers() and page.answers()[-1] == wild)
    assert not page.find(", ".join(f".message [data-testid=bot] {tag}" for tag in ("img", "b", "strong", "h1")))
    assert chromium.title == "Chat"
    width = chromium.execute_script("return document.documentElement.scrollWidth")
    assert width <= PIXELS[size][0]
    page.until(lambda: [button for button in page.find("button") if button.text.startswith("Settings")])[0].click()
    labels = ("System prompt", "Temperature", "Top-k", "Top-p", "Repetition penalty", "Max new tokens")
    body = page.find("body")[0]
    page.until(lambda: all(label in body.text for label in labels))
    assert "Model" in body.text
    page.until(lambda: page.visible("button[aria-label=Clear]"))[0].click()
    page.until(lambda: not page.answers())
    page.type(wild.splitlines()[0])
    page.until(lambda: page.answers())
    asked = page.find(".message [data-testid=user]")[0]
    assert asked.text == wild.splitlines()[0]
    assert not asked.find_elements(By.CSS_SELECTOR, "img, b, strong")
    requests = page.requests()
    assert address in requests
    assert [url for url in requests if not url.startswith((address, "data:"))] == []
    assert [entry for entry in chromium.get_log("browser") if entry["level"] == "SEVERE"] == []
    assert "GRADIO_ANALYTICS_ENABLED" in os.environ
    assert not page_analytics(address)


def page_analytics(address):
    with urllib.request.urlopen(f"{address}config", timeout=10) as config:
        return json.load(config)["analytics_enabled"]


def test_stream_yields_the_answer_as_it_grows_with_its_chat(model):
    updates = ask(model, "What colour is the sky?", "The sky is blue.", "And grass?", system="Be brief.")
    assert updates[-1] == "Grass is green."
    assert len(updates) > 2
    assert all(after.startswith(before) for before, after in itertools.pairwise(updates))


def test_sliders_reach_generate(model):
    seen, generate = [], model[0].generate
    model[0].generate = lambda **options: seen.append(options) or generate(**options)
    list(app.stream(model, [{"role": "user", "content": "Hi"}], "", 0.5, 7, 0.9, 1.3, 4))
    ask(model, "Hi", temperature=0, new=200)
    expected = {"do_sample": True, "temperature": 0.5, "top_k": 7, "top_p": 0.9, "repetition_penalty": 1.3}
    assert {name: seen[0][name] for name in expected} == expected
    assert seen[0]["max_new_tokens"] == 4
    assert not seen[1]["do_sample"]
    assert seen[1]["max_new_tokens"] == 128  # half of the context


def test_oldest_exchanges_are_forgotten_and_a_question_that_is_too_long_is_refused(model):
    model[0].config.max_position_embeddings = 100
    chat = [{"role": role, "content": f"{n}"} for n in range(20) for role in ("user", "assistant")][:-1]
    kept = model[1].decode(app.encoded(model, chat, "Be brief.", 30)["input_ids"][0])
    assert "Be brief." in kept
    assert "19" in kept
    assert "\n0<" not in kept
    with pytest.raises(app.gr.Error, match="tokens, 70 fit beside an answer of 30"):
        ask(model, "why " * 100)


def test_a_failure_of_the_model_is_shown_and_not_waited_for(model):
    model[0].forward = lambda *args, **kwargs: 1 // 0
    with pytest.raises(app.gr.Error, match="The model failed: integer division"):
        ask(model, "Hello")


def test_unanswered_questions_leave_the_history():
    history = [
        {"role": role, "content": [{"type": "text", "text": text}]}
        for role, text in (("user", "lost"), ("user", "a"), ("assistant", "b"), ("user", "lost"))
    ]
    assert [turn["content"] for turn in app.exchanges(history, 20)] == ["a", "b"]


def test_only_so_many_exchanges_are_kept():
    history = [{"role": role, "content": [{"text": text}]} for text in "abc" for role in ("user", "assistant")]
    for memory, kept in ((0, ""), (1, "cc"), (2, "bbcc"), (20, "aabbcc")):
        assert "".join(turn["content"] for turn in app.exchanges(history, memory)) == kept


def refused(capsys, *arguments):
    assert main(["demo", *map(str, arguments)]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("brandon demo:")]
    assert len(lines) == 1
    return lines[0]


def test_what_cannot_be_shown_is_one_error_before_the_page_starts(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(app, "build", lambda models: pytest.fail("started"))
    mute = shutil.copytree(folder, tmp_path / "mute")
    (mute / "chat_template.jinja").unlink()
    assert "has no chat template" in refused(capsys, mute, "--port", free_port())
    assert f"there is no folder {tmp_path / 'nowhere'}" in refused(capsys, folder, tmp_path / "nowhere")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"cannot listen on port {port} of 127.0.0.1, choose another with --port" in refused(
            capsys, folder, "--port", port
        )
    monkeypatch.setattr(demo.util, "find_spec", lambda name: None)
    assert "pip install 'brandon-hf[demo]'" in refused(capsys, folder)


def test_command_shows_the_page_here_and_not_in_public(folder, monkeypatch, capsys):
    launched = []
    page = types.SimpleNamespace(
        launch=lambda **options: launched.append(options) or (None, "http://here/", None), block_thread=lambda: None
    )
    monkeypatch.setattr(app, "build", lambda models: launched.append([*models]) or page)
    port = free_port()
    assert main(["demo", str(folder), "--port", str(port)]) == 0
    assert launched[0] == [str(folder)]
    assert {name: launched[1][name] for name in ("server_name", "server_port", "share")} == {
        "server_name": "127.0.0.1",
        "server_port": port,
        "share": False,
    }
    assert "http://here/" in capsys.readouterr().out
    launched.clear()
    assert main(["demo", "--port", str(port)]) == 0
    assert launched[0] == [DEFAULT]


def test_space_is_three_files_and_its_app_is_this_one(tmp_path, repo):
    space = tmp_path / "space"
    for _ in range(2):  # may be written again
        assert main(["demo", "me/small", "me/large", "--space", str(space), "--trust-remote-code"]) == 0
    assert sorted(path.name for path in space.rglob("*")) == ["README.md", "app.py", "requirements.txt"]
    ours = (repo / "brandon_hf/demo/app.py").read_text().splitlines()
    changed = [pair for pair in zip(ours, (space / "app.py").read_text().splitlines(), strict=True) if len({*pair}) > 1]
    assert changed == [
        ("MODELS: list[str] = []", "MODELS: list[str] = ['me/small', 'me/large']"),
        ("TRUST_REMOTE_CODE = False", "TRUST_REMOTE_CODE = True"),
    ]
    needed = (space / "requirements.txt").read_text().splitlines()
    assert [re.match(r"\w+", line)[0] for line in needed] == ["gradio", "torch", "transformers"]
    front = yaml.safe_load((space / "README.md").read_text().split("---")[1])
    assert front["sdk"] == "gradio"
    assert front["sdk_version"] == app.gr.__version__
    assert front["app_file"] == "app.py"
    assert front["models"] == ["me/small", "me/large"]


def test_space_refuses_foreign_folders_and_code_that_may_not_run(folder, tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("x")
    assert "exists and holds other files" in refused(capsys, "me/small", "--space", tmp_path / "full")
    assert (tmp_path / "full" / "thesis.txt").exists()
    assert "--trust-remote-code" in refused(capsys, folder, "--space", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_app_of_a_space_starts_without_this_package(folder, tmp_path, repo):
    """In a process where `import brandon_hf` fails, the model's own code does."""
    space, port = tmp_path / "space", free_port()
    assert main(["demo", str(folder), "--space", str(space), "--trust-remote-code"]) == 0
    code = "import runpy, sys; sys.modules['brandon_hf'] = None; runpy.run_path('app.py', run_name='__main__')"
    env = os.environ | {"GRADIO_SERVER_PORT": str(port), "HF_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-c", code], cwd=space, env=env, stdout=log, stderr=log)
    try:
        for _ in range(600):
            assert process.poll() is None, (tmp_path / "log").read_text()
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/config", timeout=5)
                break
            except OSError:
                time.sleep(0.2)
        else:
            pytest.fail((tmp_path / "log").read_text())
    finally:
        process.terminate()
        process.wait(10)
    assert {path.name for path in space.iterdir()} - {"__pycache__"} == {"README.md", "app.py", "requirements.txt"}
