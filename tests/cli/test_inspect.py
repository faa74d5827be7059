import json

import pytest

from keras_bigmodel import __main__

pytestmark = pytest.mark.tensorflow


def test_costs_for_people_and_for_scripts(trained, capsys):
    command = ["inspect", "--model", str(trained), "--context", "7"]
    assert __main__.main(command) == 0
    told = capsys.readouterr().out
    assert "decoder_block_0" in told and "GFLOP for a joule" in told
    assert __main__.main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["context"] == 7
    assert report["cache_bytes_per_token"] == 2 * 32 * 4
    assert report["cache_bytes_for_context"] == 7 * 2 * 32 * 4


@pytest.mark.parametrize("context", ["0", "33"])
def test_contexts_out_of_range_are_refused(trained, capsys, context):
    command = ["inspect", "--model", str(trained), "--context", context]
    assert __main__.main(command) == 2
    assert f"Received: --context={context}" in capsys.readouterr().err
