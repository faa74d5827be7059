import pytest

from tests.serving import kills

pytestmark = [pytest.mark.tensorflow]


def test_killed_exports_leave_no_half_version(tmp_path, monkeypatch):
    monkeypatch.setattr(kills, "LONGEST_LIFE", 0.5)
    total, wrong = kills.run(3, 0, tmp_path)
    assert wrong == [] and total > 0


def test_half_a_version_is_noticed(tmp_path):
    seen = {}
    (tmp_path / "1").mkdir()
    kills.watch(tmp_path, kills.time.monotonic() + 0.01, seen)
    (tmp_path / "1" / "file").write_text("late")
    assert seen == {"1": {}}
    assert kills.contents(tmp_path / "1") == {"file": 4}
