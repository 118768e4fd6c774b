"""Write what the fuzzer starts from: tiny blobs, inputs of each kind, and a dictionary of the format's words.

    python benchmarks/fuzz/seeds.py FOLDER

FOLDER/seeds has the blobs of tests/blobs.py as 0.gguf and on, which the target edits; FOLDER/corpus inputs that use
them, and each of them whole; FOLDER/words.dict keys, names of tensors, types and odd numbers.
"""

import argparse
import random
import struct
import sys
from pathlib import Path

REPO = Path(__file__).parents[2]
sys.path.insert(0, str(REPO / "tests"))  # where the tiny blobs are made

from blobs import KINDS, take_apart, write_tiny  # noqa: E402 - needs the path above

OPTIONS = bytes(3)  # the defaults: the blob's context, the best kernel, resident weights, all checks
UNCHECKED = bytes([0, 0, 8])
TEXTS = (b"The sky is blue.", b"  two  spaces\n\n\ttab", "naïve 日本語 \U0001f642".encode(), b"<|im_start|><sep>abcd")
ODD_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1)


def calls(text: bytes) -> bytes:
    """Encode, chat, evaluate, score, sample, rewind, decode; see `call` in fuzz_engine.c."""
    some = bytes([len(text)]) + text
    chat = bytes([2, 1, 4]) + b"user" + some
    sampling = bytes([5, 8, 6, 0, 2, 2, 0, 5, 5, 0]) + b"seed"
    return bytes([0, 1]) + some + bytes([3, 7, 0]) + chat + bytes([4, 9, 0]) + sampling + bytes([6, 3, 7, 64, 0, 70])


def inputs(blobs: list[bytes]) -> list[bytes]:
    """Inputs of the target: a byte of its kind, options, reads, edits, calls."""
    made = []
    for number, blob in enumerate(blobs):
        chosen = number << 2
        made += [bytes([0]) + OPTIONS + b"\xff" + blob, bytes([0]) + UNCHECKED + b"\0" + blob]
        for text in TEXTS:
            made.append(bytes([chosen | 1]) + OPTIONS + b"\0" + b"\0" + calls(text))
        for weights in range(3):  # resident, in place, streamed; with caches of each type
            made.append(bytes([chosen | 1, 0, weights << 5 | weights << 3, 1]) + b"\xff\1" + calls(TEXTS[0]))
        for kind in range(8):
            where = struct.pack(">I", random.randrange(4096))[1:]
            made.append(
                bytes([chosen | 2]) + OPTIONS + b"\xff" + bytes([1, kind | 0x30]) + where + b"\0" + calls(TEXTS[1])
            )
    return made


def words(blobs: list[bytes]) -> list[bytes]:
    """Keys with their lengths, and tensors' names, as they stand in files; numbers that are at the edge."""
    found: dict[bytes, None] = {}
    for blob in blobs:
        parts = take_apart(blob)
        for key in parts.keys:
            found[struct.pack("<Q", len(key.name)) + key.name + struct.pack("<I", key.type)] = None
        for tensor in parts.tensors:
            found[struct.pack("<Q", len(tensor.name)) + tensor.name] = None
    for number in ODD_NUMBERS:
        found[struct.pack("<Q", number)] = None
        found[struct.pack("<I", number % 2**32)] = None
    for bits in (0x7FC00000, 0x7F800000, 0xFF800000, 0x80000000, 0x00000001, 0x7F7FFFFF):  # odd floats
        found[struct.pack("<I", bits)] = None
    for text in (b"<|im_start|>", b"<|im_end|>\n", b"<sep>", b"<0x0A>", "\u2581".encode(), "\u0120".encode()):
        found[text] = None
    return list(found)


def main() -> None:
    """Write the three of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    random.seed(0)
    for name in ("seeds", "corpus"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    blobs = [write_tiny(kind, folder / "seeds" / f"{number}.gguf").read_bytes() for number, kind in enumerate(KINDS)]
    for number, data in enumerate(inputs(blobs)):
        (folder / "corpus" / f"{number:03}").write_bytes(data)
    quoted = ("".join(f"\\x{byte:02x}" for byte in word) for word in words(blobs))
    (folder / "words.dict").write_text("".join(f'"{word}"\n' for word in quoted))


if __name__ == "__main__":
    main()
