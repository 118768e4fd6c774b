"""The `brandon` command. Each subcommand is a module here with `add_parser`; it is imported only when it is called."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from brandon_hf import __version__

# name: (module, what `brandon --help` says of it)
COMMANDS = {
    "import": ("import_", "turn a checkpoint of the original implementation into a native model folder"),
    "serve": ("serve", "answer OpenAI-style requests with a model folder"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `brandon` with the given arguments, by default those of the process.

    Returns:
        The exit status: that of the subcommand, 2 if it raised `ValueError` or `OSError` (printed as one line), 130 if
        it was interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="brandon", description="Small instruction-following language models.")
    parser.add_argument("--version", action="version", version=f"brandon-hf {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, summary) in COMMANDS.items():
        if name in arguments[:1]:
            importlib.import_module(f".{module}", __name__).add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=summary, add_help=False)
    args = parser.parse_args(arguments)
    try:
        return args.run(args)
    except (ValueError, OSError) as error:
        print(f"brandon {args.command}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"brandon {args.command}: interrupted", file=sys.stderr)
        return 130
