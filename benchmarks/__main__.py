"""Runs every benchmark of this folder, or those named, one after the other.

    python -m benchmarks [name ...]

Each is a module with a docstring that says what it measures and where it writes
the figures.
"""

import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def main() -> int:
    """Run the benchmarks and return how many failed."""
    known = sorted(
        path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_")
    )
    names = sys.argv[1:] or known
    unknown = sorted(set(names) - set(known))
    if unknown:
        print(f"There is no benchmark {unknown}; there are {known}.")
        return 2
    failed = []
    for name in names:
        print(f"\n=== {name}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}"]
        if subprocess.run(command, cwd=HERE.parent).returncode:
            failed.append(name)
    print(f"\n{len(names) - len(failed)} of {len(names)} benchmarks ran.")
    if failed:
        print(f"These failed: {failed}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
