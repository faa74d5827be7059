"""The command line: `python -m keras_bigmodel COMMAND`."""

import argparse
import sys
from collections.abc import Sequence

from keras_bigmodel.cli import (
    convert,
    demo,
    evaluate,
    export,
    generate,
    import_checkpoint,
    inspect,
    train,
)

COMMANDS = {
    "demo": demo,
    "train": train,
    "generate": generate,
    "evaluate": evaluate,
    "export": export,
    "import": import_checkpoint,
    "convert": convert,
    "inspect": inspect,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: what stands behind the program's name; None takes it from
            the command line.

    Returns:
        The exit code: 0; 1 where what was made does not work; 2 where the
        input is wrong; 130 where the user stopped it.
    """
    parser = argparse.ArgumentParser(
        prog="keras_bigmodel",
        description="Big models for Keras: train, sample, export, serve.",
        epilog="Exit codes: 0 done, 1 what was made does not work, 2 the "
        "input is wrong, 130 stopped.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, module in COMMANDS.items():
        help_text, _, details = module.__doc__.partition("\n")
        command = commands.add_parser(
            name,
            help=help_text,
            description=help_text,
            epilog=details.strip(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
    options = parser.parse_args(arguments)
    try:
        COMMANDS[options.command].run(options)
    except (ValueError, OSError) as error:
        print(f"keras_bigmodel {options.command}: {error}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        print(f"keras_bigmodel {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
