import random

import numpy as np
import pytest

from tests.serving import fuzz, harness

pytestmark = [pytest.mark.tensorflow, harness.needs_compiler]


def test_malformed_requests_are_refused_or_answered(tmp_path):
    found = fuzz.run(400, 1, tmp_path, ["generate", "score"])
    assert set(found) == {"answered", "INVALID_ARGUMENT"}
    assert len(found["INVALID_ARGUMENT"]) > 100
    assert sum(map(len, found.values())) == 400


def test_the_same_seed_spoils_the_same():
    good = [("a", {"x": np.float32([1, 2]), "n": np.int32([1])})]
    one, other = (
        [repr(fuzz.malformed(good, random.Random(seed))) for seed in range(50)]
        for _ in range(2)
    )
    assert one == other and len(set(one)) > 25
