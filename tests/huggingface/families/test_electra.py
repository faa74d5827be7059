"""ELECTRA and its heads."""

import pytest

from tests.huggingface import family_checks

pytestmark = pytest.mark.tensorflow


@family_checks.each_case("electra")
def test_outputs_and_round_trip(family, variant, unpack):
    family_checks.check_family(*unpack(family, variant))
