import pytest

from tests.serving import harness, soak

pytestmark = [pytest.mark.tensorflow, harness.needs_compiler]


def test_a_few_seconds_of_load(tmp_path):
    report, wrong = soak.run(3, 8, tmp_path, ["score"])
    assert wrong == report.changed == 0
    assert report.answered > 50
    assert len(report.threads) == 8 and len(report.resident_kib) >= 3


def test_drift_is_what_comes_after_the_warm_up():
    assert soak.drift([1, 1, *[100] * 8]) == 0
    assert soak.drift([100] * 8 + [102] * 2) == pytest.approx(0.02)
