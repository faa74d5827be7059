import math

import pytest

from keras_bigmodel.generation.step_rows import rows_alike


@pytest.mark.parametrize(
    "rows", [(1, 3), (4, 7), (8, 64), (65, math.inf)], ids=str
)
def test_first_and_last_are_computed_alike(rows):
    least, most = rows
    for number in (least, least + 1, min(most, 10**6)):
        assert rows_alike(number) == rows
