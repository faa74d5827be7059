"""BLOOM."""

import pytest

from tests.huggingface import family_checks

pytestmark = pytest.mark.tensorflow


@family_checks.each_case("bloom")
def test_outputs_and_round_trip(family, variant, unpack):
    family_checks.check_family(*unpack(family, variant))


@family_checks.last_case("bloom")
def test_greedy_generation(family, variant, unpack):
    folder, expected = unpack(family, variant)
    family_checks.check_generation(folder, expected, family, variant)
