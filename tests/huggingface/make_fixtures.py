"""Makes the fixtures anew: small checkpoints and what transformers computes.

Run in the environment of `make parity`:

    python -m tests.huggingface.make_fixtures [family ...]
"""

import io
import pathlib
import sys
import tempfile
import zipfile
import zlib

import numpy as np
import transformers

from tests.huggingface import reference
from tests.huggingface.cases import CASES

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
KEPT = ("config.json", "model.safetensors")


def seed_of(family: str, variant: str, attempt: int = 0) -> int:
    """A seed of a case's own, the same everywhere."""
    return zlib.crc32(f"{family}/{variant}/{attempt}".encode())


def random_case(family: str, variant: str) -> tuple:
    """A model and what it computes, its continuations without padding."""
    for attempt in range(100):
        seed = seed_of(family, variant, attempt)
        model = reference.random_model(family, CASES[family][variant], seed)
        expected = reference.expected(model, seed)
        # Our models hide what holds the id of padding, written or read.
        pad_id = getattr(model.config, "pad_token_id", None)
        if pad_id not in expected.get("continued", ()):
            return model, expected
    raise RuntimeError(f"{family}/{variant} pads whatever it says")


def make(family: str) -> pathlib.Path:
    """Writes the zip of one family."""
    path = FIXTURES / f"{family}.zip"
    with zipfile.ZipFile(
        path, "w", zipfile.ZIP_DEFLATED, compresslevel=9
    ) as archive:
        for variant in CASES[family]:
            model, expected = random_case(family, variant)
            buffer = io.BytesIO()
            np.savez(buffer, **expected)
            _add(archive, f"{variant}/expected.npz", buffer.getvalue())
            with tempfile.TemporaryDirectory() as folder:
                reference.save_checkpoint(model, pathlib.Path(folder))
                for name in KEPT:
                    content = (pathlib.Path(folder) / name).read_bytes()
                    _add(archive, f"{variant}/{name}", content)
    return path


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    # Without a date the same fixtures are the same bytes.
    entry = zipfile.ZipInfo(name)
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    FIXTURES.mkdir(exist_ok=True)
    for name in sys.argv[1:] or CASES:
        written = make(name)
        print(f"{written.name}: {written.stat().st_size:,} bytes")
