"""`brandon push`: publish a model folder on the Hub."""

import argparse
from pathlib import Path

from brandon_hf.pretrained import known_model

from .card import add_card_arguments, card_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `push`."""
    parser.epilog = (
        "The token is that of `hf auth login`, or HF_TOKEN. A push that broke off is continued by the same command."
    )
    parser.add_argument("model", metavar="MODEL", type=known_model, help="folder of a finished model")
    parser.add_argument("repo", metavar="REPO", help="repository, NAMESPACE/NAME; made if it does not exist")
    parser.add_argument(
        "--public",
        action="store_true",
        help="make a new repository public (default: private); one that exists has to be so already",
    )
    parser.add_argument("--dry-run", action="store_true", help="only list the files and their sizes")
    add_card_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Push and print what was uploaded."""
    from brandon_hf.hub.push import push_model

    print(
        push_model(
            Path(args.model),
            args.repo,
            card=lambda: card_of(args, args.repo).content,
            results=Path(args.results) if args.results else None,
            public=args.public,
            dry_run=args.dry_run,
        )
    )
    return 0
