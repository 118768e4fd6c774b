"""llama.cpp on one GGUF file: its speed, its ids, its greedy text. Prints a line of JSON.

    python benchmarks/peers_llama.py speed MODEL.gguf --decode 128 --prompt 512
    python benchmarks/peers_llama.py encode MODEL.gguf < TEXTS.json
    python benchmarks/peers_llama.py generate MODEL.gguf --new-tokens 64 < PROMPTS.json

Runs where llama-cpp-python is installed, which needs nothing of ours; other benchmarks call it. One thread. `speed`
times the calls of `llama_decode` alone, over tokens given beforehand, as llama-bench does. TEXTS is a list of strings,
encoded without special tokens; PROMPTS a list of lists of ids, continued greedily whatever token would end the text.
"""

import argparse
import ctypes
import json
import random
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llama_cpp


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "encode", "generate"])
    parser.add_argument("model")
    parser.add_argument("--decode", type=int, default=128, help="tokens decoded one by one after a context of one")
    parser.add_argument("--prompt", type=int, default=512, help="tokens of the prompt")
    parser.add_argument("--new-tokens", type=int, default=64)
    arguments = parser.parse_args()

    before = memory("VmRSS")
    quiet = llama_cpp.llama_log_callback(lambda *_: None)
    llama_cpp.llama_log_set(quiet, ctypes.c_void_p())
    settings = llama_cpp.llama_model_default_params()
    settings.vocab_only = arguments.what == "encode"
    model = llama_cpp.llama_model_load_from_file(arguments.model.encode(), settings)
    if not model:
        raise SystemExit(f"llama.cpp cannot load {arguments.model}")
    answer: Any
    if arguments.what == "encode":
        answer = [encode(model, text) for text in json.load(sys.stdin)]
    elif arguments.what == "generate":
        answer = [greedy(model, ids, arguments.new_tokens) for ids in json.load(sys.stdin)]
    else:
        answer = speed(model, arguments.decode, arguments.prompt)
        answer |= {"interpreter_kib": before, "peak_kib": memory("VmHWM"), "version": llama_cpp.__version__}
    print(json.dumps(answer))


def memory(field: str) -> int:
    """`VmRSS` or `VmHWM` of this process, in KiB; 0 where there is no /proc."""
    status = Path("/proc/self/status")
    found = re.search(rf"{field}:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) if found else 0


def encode(model: Any, text: str) -> list[int]:
    """Ids of a text."""
    data = text.encode()
    ids = (llama_cpp.llama_token * (len(data) + 8))()
    vocabulary = llama_cpp.llama_model_get_vocab(model)
    count = llama_cpp.llama_tokenize(vocabulary, data, len(data), ids, len(ids), False, False)
    return ids[:count]


def greedy(model: Any, prompt: list[int], new_tokens: int) -> list[int]:
    """The most probable continuation of a prompt of ids."""
    context, decode = open_context(model, len(prompt) + new_tokens)
    size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    decode(prompt)
    new: list[int] = []
    while True:
        logits = llama_cpp.llama_get_logits_ith(context, -1)[:size]
        new.append(max(range(size), key=logits.__getitem__))
        if len(new) == new_tokens:
            llama_cpp.llama_free(context)
            return new
        decode(new[-1:])


def speed(model: Any, decoded: int, prompt: int) -> dict[str, float]:
    """Tokens per second one by one and in one batch."""
    context, decode = open_context(model, max(decoded + 1, prompt))
    size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    tokens = random.Random(0).choices(range(size), k=max(decoded + 1, prompt))
    memory_of_context = llama_cpp.llama_get_memory(context)
    decode(tokens[:prompt])  # the first batch sets up buffers
    llama_cpp.llama_memory_clear(memory_of_context, True)
    start = time.perf_counter()
    decode(tokens[:prompt])
    batch = time.perf_counter() - start
    llama_cpp.llama_memory_clear(memory_of_context, True)
    decode(tokens[:1])
    start = time.perf_counter()
    for token in tokens[1 : decoded + 1]:
        decode([token])
    one_by_one = time.perf_counter() - start
    return {"decode_tokens_per_second": decoded / one_by_one, "prompt_tokens_per_second": prompt / batch}


def open_context(model: Any, size: int) -> tuple[Any, Callable[[list[int]], None]]:
    """A context for `size` tokens on one thread, and a function that appends tokens to it in one batch."""
    settings = llama_cpp.llama_context_default_params()
    settings.n_ctx = settings.n_batch = settings.n_ubatch = size
    settings.n_threads = settings.n_threads_batch = 1
    context = llama_cpp.llama_init_from_model(model, settings)

    def decode(tokens: list[int]) -> None:
        array = (llama_cpp.llama_token * len(tokens))(*tokens)
        status = llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(array, len(tokens)))
        if status:
            raise SystemExit(f"llama_decode failed with status {status}")
        llama_cpp.llama_synchronize(context)

    return context, decode


if __name__ == "__main__":
    main()
