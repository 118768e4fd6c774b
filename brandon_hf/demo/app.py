"""A chat with language models in the browser, in one file that needs gradio, torch and transformers only.

`brandon demo MODEL` shows it, `brandon demo MODEL --space DIR` writes it as a Space of the Hugging Face Hub. Alone:

    python app.py MODEL [MODEL ...]
"""

import html
import os
import sys
from collections.abc import Iterator
from itertools import pairwise
from threading import Event, Thread
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported: nothing is told to anybody

import gradio as gr
import torch
from jinja2 import TemplateError
from transformers import AutoModelForCausalLM, AutoTokenizer, StoppingCriteriaList, TextIteratorStreamer

# `brandon demo --space` fills in these two lines.
MODELS: list[str] = []
TRUST_REMOTE_CODE = False

EXAMPLES = ("Hello! Who are you?", "What colour is the sky?", "Tell me a short story.")
# For gradio's `launch`. The fonts are the reader's own: nothing has to be fetched.
LOOK: dict[str, Any] = {
    "theme": gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
    "footer_links": ["gradio"],
}

Model = tuple[Any, Any]  # a model and its tokenizer


def load(name: str, trust_remote_code: bool = False) -> Model:
    """The model and the tokenizer of a folder or a name on the Hub, on the accelerator if there is one.

    Raises:
        OSError: There is no such model.
        ValueError: It has no chat template, or comes with code of its own that may not be run.
    """
    tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=trust_remote_code)
    if not tokenizer.chat_template:
        raise ValueError(f"the tokenizer of {name} has no chat template, so a chat cannot be put to this model")
    model: Any = AutoModelForCausalLM.from_pretrained(name, trust_remote_code=trust_remote_code)
    return model.to(torch.accelerator.current_accelerator() or "cpu").eval(), tokenizer


def chatbot() -> gr.Chatbot:
    """Gradio's Chatbot, but it shows messages as they were written.

    Without Markdown it still takes them for HTML, and a model's `<img>` would fetch from anywhere. (The methods are
    replaced on the object: gradio writes a file beside the source of every subclass.)
    """
    shown = gr.Chatbot(render_markdown=False, show_label=False, buttons=[], scale=1, height="55vh", render=False)
    receive, send = shown.preprocess, shown.postprocess

    def unescaped(payload: Any) -> Any:
        messages: Any = receive(payload)
        for part in (part for message in messages for part in message["content"]):
            part["text"] = html.unescape(part["text"])
        return messages

    def escaped(value: Any) -> Any:
        sent: Any = send(value)
        for part in (part for message in sent.root for part in message.content):
            part.text = html.escape(part.text)
        return sent

    vars(shown).update(preprocess=unescaped, postprocess=escaped)
    return shown


def build(models: dict[str, Model]) -> gr.Blocks:
    """The page: a chat with any of `models`, named by their keys."""
    names = list(models)
    config = models[names[0]][0].generation_config
    longest = min(max(context_of(model) for model in models.values()) // 2, 2048)

    def answer(
        message: str, history: list[dict[str, Any]], name: str, system: str, memory: int, *sliders: Any
    ) -> Iterator[str]:
        chat = [*exchanges(history, int(memory)), {"role": "user", "content": message}]
        yield from stream(models[name], chat, system, *sliders)

    picker = gr.Dropdown(names, value=names[0], label="Model", visible=len(names) > 1, render=False)
    settings = [
        gr.Textbox("", label="System prompt", placeholder="None", lines=2, render=False),
        gr.Slider(0, 20, 20, step=1, label="Memory", info="Earlier exchanges that it is shown", render=False),
        gr.Slider(0, 2, config.temperature or 0.7, step=0.05, label="Temperature", info="0: no sampling", render=False),
        gr.Slider(0, 200, config.top_k or 0, step=1, label="Top-k", info="0: all tokens", render=False),
        gr.Slider(0.05, 1, config.top_p or 1, step=0.05, label="Top-p", info="1: all tokens", render=False),
        gr.Slider(1, 2, config.repetition_penalty or 1, step=0.05, label="Repetition penalty", render=False),
        gr.Slider(1, longest, min(longest, 256), step=1, label="Max new tokens", render=False),
    ]
    with gr.Blocks(title="Chat", fill_height=True) as page:
        gr.Markdown(f"### {names[0] if len(names) == 1 else 'Chat'}")
        picker.render()
        gr.ChatInterface(
            answer,
            chatbot=chatbot(),
            textbox=gr.Textbox(placeholder="Write a message", submit_btn=True, stop_btn=True, render=False),
            additional_inputs=[picker, *settings],
            additional_inputs_accordion=gr.Accordion("Settings", open=False, render=False),
            examples=[[text] for text in EXAMPLES],
            api_visibility="private",
        )
    return page


def stream(
    model: Model,
    chat: list[dict[str, str]],
    system: str,
    temperature: float,
    top_k: int,
    top_p: float,
    repetition_penalty: float,
    max_new_tokens: int,
) -> Iterator[str]:
    """Yield the answer to `chat` as it grows. Closing the iterator ends the generation.

    Raises:
        gr.Error: The question alone is too long, or generation failed; the page shows its message.
    """
    network, tokenizer = model
    new = min(int(max_new_tokens), context_of(model) // 2)
    inputs = encoded(model, chat, system, new)
    sampling = {"temperature": temperature, "top_k": int(top_k), "top_p": top_p} if temperature else {}
    stopped, errors = Event(), list[Exception]()
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
    options = {
        **inputs,
        **sampling,
        "do_sample": temperature > 0,
        "repetition_penalty": repetition_penalty,
        "max_new_tokens": new,
        "pad_token_id": tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id,
        "stopping_criteria": StoppingCriteriaList(
            [lambda ids, scores, **rest: torch.full((len(ids),), stopped.is_set(), device=ids.device)]
        ),
        "streamer": streamer,
    }

    def generate() -> None:
        try:
            network.generate(**options)
        except Exception as error:  # it would be lost with the thread
            errors.append(error)
            streamer.end()

    thread = Thread(target=generate, daemon=True)
    thread.start()
    text = ""
    try:
        for piece in streamer:
            text += piece
            yield text
    finally:
        stopped.set()
        thread.join()
    if errors:
        raise gr.Error(f"The model failed: {errors[0]}", print_exception=False) from errors[0]


def encoded(model: Model, chat: list[dict[str, str]], system: str, new: int) -> Any:
    """The prompt of a chat: without its oldest exchanges where they would leave no room for `new` tokens."""
    network, tokenizer = model
    first = [{"role": "system", "content": system}] if system.strip() else []
    room, last = context_of(model) - new, len(chat) - 1
    for forgotten in range(0, last + 1, 2):
        try:
            inputs = tokenizer.apply_chat_template(
                first + chat[forgotten:],
                add_generation_prompt=True,
                return_dict=True,
                return_tensors="pt",
                tokenizer_kwargs={"verbose": False},  # no warning of a length that is checked here
            )
        except TemplateError as error:
            raise gr.Error(f"The model's chat template refuses this chat: {error}", print_exception=False) from error
        length = inputs["input_ids"].shape[1]
        if length <= room:
            return inputs.to(network.device)
    message = f"This takes {length} tokens, {room} fit beside an answer of {new}. Ask for less."
    raise gr.Error(message, print_exception=False)


def context_of(model: Model) -> int:
    """Tokens that fit into the model's context, prompt and answer together."""
    network, tokenizer = model
    return getattr(network.config.get_text_config(), "max_position_embeddings", None) or tokenizer.model_max_length


def exchanges(history: list[dict[str, Any]], memory: int) -> list[dict[str, str]]:
    """The last `memory` exchanges of Gradio's history as plain messages, without questions that were never answered."""
    chat = [
        {"role": turn["role"], "content": "".join(part.get("text", "") for part in turn["content"])} for turn in history
    ]
    pairs = [pair for pair in pairwise(chat) if [turn["role"] for turn in pair] == ["user", "assistant"]]
    return [turn for pair in pairs[max(0, len(pairs) - memory) :] for turn in pair]


if __name__ == "__main__":
    chosen = sys.argv[1:] or MODELS
    if not chosen:
        sys.exit("usage: python app.py MODEL [MODEL ...]")
    build({name: load(name, TRUST_REMOTE_CODE) for name in chosen}).launch(**LOOK)
