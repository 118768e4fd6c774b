"""`brandon make-chats`: chats for instruction tuning from plain text and from tables of this package."""

import argparse
from pathlib import Path

from brandon_hf.data.derived import DEFAULT_ROWS, KINDS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `make-chats`."""
    needed = "; ".join(f"{kind.name}: {', '.join(kind.sources)}" for kind in KINDS if kind.sources)
    parser.epilog = (
        f"Kinds: {', '.join(kind.name for kind in KINDS)}. Files they need in FOLDER (.jsonl, .txt or .parquet, "
        f"also compressed): {needed}. Requests that ask what the prompts of `brandon eval` ask are left out."
    )
    parser.add_argument("--pretrain", metavar="FOLDER", help="folder with the text that kinds are made from")
    parser.add_argument("--output", metavar="FILE", required=True, help="what to write: .jsonl or .jsonl.gz")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default: %(default)s)")
    parser.add_argument("--rows", type=int, default=DEFAULT_ROWS, help="how many chats (default: %(default)s)")
    parser.add_argument("--kinds", metavar="NAME,...", help="which kinds of chats (default: all)")


def run(args: argparse.Namespace) -> int:
    """Write the chats and beside them what they are made of; print both."""
    from tqdm import tqdm

    from brandon_hf.data.derived import (
        KindReport,
        check_output,
        derived_chats,
        every_prompt,
        write_manifest,
        write_rows,
    )

    output = Path(args.output).expanduser()
    check_output(output)
    kinds = None if args.kinds is None else [name.strip() for name in args.kinds.split(",") if name.strip()]
    report: dict[str, KindReport] = {}
    chats = derived_chats(args.pretrain, kinds, args.seed, held_out=every_prompt(), rows=args.rows, report=report)
    count = write_rows(tqdm(chats, desc="Making chats", total=args.rows, unit="chat"), output)
    manifest = output.with_name(output.name.removesuffix(".gz").removesuffix(".jsonl") + ".manifest.yaml")
    write_manifest(manifest, KINDS, report, args.seed)
    for name, of_kind in report.items():
        print(f"{name:>13}: {of_kind.rows:,} chats, {of_kind.held_out:,} left out")
    print(f"{count:,} chats in {output}, what they are made of in {manifest}")
    return 0
