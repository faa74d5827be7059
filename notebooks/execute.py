"""Runs the notebooks, or those named on the command line, from top to bottom.

What a cell prints and draws is saved in the notebook; what TensorFlow logs goes
to the terminal alone. With `KBM_NOTEBOOK_QUICK=1` the notebooks train less and
nothing is saved: a check that they run.
"""

import os
import pathlib
import sys
import time

import nbformat
from nbclient import NotebookClient

HERE = pathlib.Path(__file__).resolve().parent


def execute(path: pathlib.Path, save: bool) -> None:
    """Run one notebook with the repository as its working directory."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        timeout=None,
        coalesce_streams=True,
        kernel_name="python3",
        resources={"metadata": {"path": str(HERE.parent)}},
    ).execute()
    if save:
        for cell in notebook.cells:
            # Timestamps would change at every run.
            cell.metadata.pop("execution", None)
            if cell.cell_type == "code":
                cell.outputs = [
                    output
                    for output in cell.outputs
                    if output.get("name") != "stderr"
                ]
        nbformat.write(notebook, path)


def main() -> None:
    """Run every notebook asked for and say how long each took."""
    quick = os.environ.get("KBM_NOTEBOOK_QUICK") == "1"
    paths = [pathlib.Path(name) for name in sys.argv[1:]]
    for path in paths or sorted(HERE.glob("*.ipynb")):
        start = time.perf_counter()
        print(f"{path.name} ...", flush=True)
        execute(path, save=not quick)
        print(f"{path.name}: {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
