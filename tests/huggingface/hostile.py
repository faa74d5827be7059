"""Hostile checkpoints: forty and more made by hand, and mutations at random."""

import json
import pathlib
import struct

import numpy as np

GIGABYTE = 2**30


def pack(header, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file with this header, true or not."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    length = len(raw) if length is None else length
    return struct.pack("<Q", length) + raw + data


def tensor(dtype="F32", shape=(2,), start=0, stop=8, **more) -> dict:
    """One entry of a header."""
    return {
        "dtype": dtype,
        "shape": list(shape) if isinstance(shape, tuple) else shape,
        "data_offsets": [start, stop],
        **more,
    }


DATA = bytes(8)
FILES = {
    "empty": b"",
    "seven bytes": bytes(7),
    "no header": struct.pack("<Q", 0),
    "header past the file": pack({}, length=100),
    "header of 16 MB and one": pack(b"{}", length=16 * 2**20 + 1),
    "header of 2 ** 63": pack(b"{}", length=2**63),
    "header of 2 ** 64 - 1": pack(b"{}", length=2**64 - 1),
    "no JSON": pack(b"{{{{"),
    "a list": pack(b"[]"),
    "a number": pack(b"7"),
    "null": pack(b"null"),
    "not UTF-8": pack(b'{"\xff\xfe": 1}'),
    "UTF-16": pack('{"a": {}}'.encode("utf-16")),
    "key twice": pack(
        b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
        b'"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}',
        DATA,
    ),
    "field twice": pack(
        b'{"a":{"dtype":"F32","dtype":"F16","shape":[2],"data_offsets":[0,8]}}',
        DATA,
    ),
    "NaN in the header": pack(b'{"a": NaN}'),
    "Infinity in the header": pack(b'{"a": Infinity}'),
    "1e999 in the header": pack(b'{"a": 1e999}'),
    "nested a million deep": pack(b'{"a":' + b"[" * 2**20),
    "nested lists, many": pack(b'{"a":[' + b"[]," * 2**21 + b"[]]}"),
    "many objects": pack(b'{"a":[' + b"{}," * 2**21 + b"{}]}"),
    "number of 100,000 digits": pack(b'{"a":' + b"9" * 100_000 + b"}"),
    "dtype unknown": pack({"a": tensor("F99")}, DATA),
    "dtype a list": pack({"a": tensor(["F32"])}, DATA),
    "dtype pickled": pack({"a": tensor("O")}, DATA),
    "shape negative": pack({"a": tensor(shape=(-2,))}, DATA),
    "shape fractional": pack({"a": tensor(shape=(2.0,))}, DATA),
    "shape true": pack({"a": tensor(shape=(True, 2))}, DATA),
    "shape a text": pack({"a": tensor(shape="2")}, DATA),
    "shape too large": pack({"a": tensor(shape=(2**62, 2**62))}, DATA),
    "shape overflows to 0": pack({"a": tensor(shape=(2**32, 2**32))}, b""),
    "shape of rank 1,000": pack({"a": tensor(shape=(1,) * 1000, stop=4)}, DATA),
    "too few bytes": pack({"a": tensor(shape=(3,))}, DATA),
    "too many bytes": pack({"a": tensor(shape=(1,))}, DATA),
    "offsets past the file": pack({"a": tensor(start=8, stop=16)}, DATA),
    "offsets reversed": pack({"a": tensor(start=8, stop=0)}, DATA),
    "offsets negative": pack({"a": tensor(start=-8, stop=0)}, DATA),
    "offsets three": pack({"a": tensor() | {"data_offsets": [0, 4, 8]}}, DATA),
    "offsets texts": pack({"a": tensor() | {"data_offsets": ["0", "8"]}}, DATA),
    "offsets of 2 ** 70": pack({"a": tensor(start=2**70, stop=2**70)}, DATA),
    "overlap": pack({"a": tensor(), "b": tensor(start=4, stop=12)}, bytes(12)),
    "same place": pack({"a": tensor(), "b": tensor()}, DATA),
    "hole": pack({"a": tensor(), "b": tensor(start=12, stop=20)}, bytes(20)),
    "hole at the start": pack({"a": tensor(start=4, stop=12)}, bytes(12)),
    "bytes left over": pack({"a": tensor()}, bytes(9)),
    "no tensor but bytes": pack({}, DATA),
    "field missing": pack({"a": {"dtype": "F32", "shape": [2]}}, DATA),
    "field too many": pack({"a": tensor(code="import os")}, DATA),
    "entry a list": pack({"a": ["F32", [2], [0, 8]]}, DATA),
    "metadata a list": pack({"__metadata__": ["pt"]}),
    "metadata with numbers": pack({"__metadata__": {"format": 1}}),
    "claims a gigabyte": pack(
        {"a": tensor("U8", shape=(GIGABYTE,), stop=GIGABYTE)}, DATA
    ),
    "a pickle": b"\x80\x04\x95\x0c\x00\x00\x00\x00\x00\x00\x00\x8c\x02os.",
    "a zip": b"PK\x03\x04" + bytes(40),
}

# Changes of a good config.json: name, then entries (None takes one away).
CONFIGS = {
    "model_type unknown": {"model_type": "gpt-17"},
    "model_type missing": {"model_type": None},
    "model_type a list": {"model_type": ["llama"]},
    "layers beyond reason": {"num_hidden_layers": 10**9},
    "layers a text": {"num_hidden_layers": "2"},
    "layers true": {"num_hidden_layers": True},
    "layers none": {"num_hidden_layers": 0},
    "layers negative": {"num_hidden_layers": -1},
    "vocabulary beyond reason": {"vocab_size": 10**18},
    "hidden size beyond reason": {"hidden_size": 2**39},
    "heads do not divide": {"num_attention_heads": 7},
    "key heads do not divide": {"num_key_value_heads": 3},
    "option unknown": {"mystery": 1},
    "quantised": {"quantization_config": {"bits": 4}},
    "activation unknown": {"hidden_act": "quick_gelu"},
    "activation a list": {"hidden_act": ["silu"]},
    "architecture unknown": {"architectures": ["LlamaForEverything"]},
    "architectures a number": {"architectures": 3},
    "epsilon a text": {"rms_norm_eps": "1e-5"},
    "epsilon negative": {"rms_norm_eps": -1.0},
    "base zero": {"rope_theta": 0, "rope_parameters": {"rope_type": "default"}},
    "rotary unknown": {"rope_parameters": {"rope_type": "spiral"}},
    "rotary type a list": {"rope_parameters": {"rope_type": ["linear"]}},
    "rotary factors no numbers": {
        "rope_parameters": {
            "rope_type": "longrope",
            "short_factor": ["a"],
            "long_factor": {},
        }
    },
    "rotary a list": {"rope_parameters": [1]},
    "rotary factor missing": {"rope_parameters": {"rope_type": "linear"}},
    "rotary factor a text": {
        "rope_parameters": {"rope_type": "linear", "factor": "2"}
    },
    "pad outside": {"pad_token_id": 10**6},
    "pad a text": {"pad_token_id": "<pad>"},
    "cross attention": {"add_cross_attention": True},
    "pruned": {"pruned_heads": {"0": [1]}},
}


def index(weight_map) -> str:
    """The text of a shards' index."""
    return json.dumps({"metadata": {}, "weight_map": weight_map})


INDEXES = {
    "no JSON": "{",
    "a list": "[]",
    "no map": "{}",
    "map a list": '{"weight_map": ["a"]}',
    "map empty": index({}),
    "file a number": index({"model.norm.weight": 1}),
    "file missing": index({"model.norm.weight": "missing.safetensors"}),
    "file above": index({"model.norm.weight": "../model.safetensors"}),
    "file far above": index({"model.norm.weight": "../../../etc/passwd"}),
    "file absolute": index({"model.norm.weight": "/etc/passwd"}),
    "file below": index({"model.norm.weight": "sub/model.safetensors"}),
    "file with NUL": index({"model.norm.weight": "a\0.safetensors"}),
    "file with backslash": index({"model.norm.weight": "..\\a.safetensors"}),
    "file a folder": index({"model.norm.weight": "."}),
    "file empty": index({"model.norm.weight": ""}),
    "file a pickle": index({"model.norm.weight": "pytorch_model.bin"}),
    "file a link out": index({"model.norm.weight": "link.safetensors"}),
    "tensor not in the file": index({"mystery": "shard.safetensors"}),
    "tensors left over": index({"model.norm.weight": "shard.safetensors"}),
}


def mutated(content: bytes, generator: np.random.Generator) -> bytes:
    """The file with one to five changes, most of them in the header."""
    content = bytearray(content)
    header = 8 + struct.unpack("<Q", content[:8])[0]
    for _ in range(generator.integers(1, 6)):
        end = len(content) if generator.random() < 0.2 else header
        place = int(generator.integers(0, max(1, min(end, len(content)))))
        kind = generator.integers(0, 5)
        if kind == 0:
            content[place : place + 1] = bytes([generator.integers(0, 256)])
        elif kind == 1:
            content[place : place + int(generator.integers(1, 9))] = b""
        elif kind == 2:
            content[place:place] = generator.bytes(generator.integers(1, 9))
        elif kind == 3:
            digits = b'0123456789[]{},:"-'
            content[place : place + 1] = bytes([digits[generator.integers(18)]])
        else:
            del content[place:]
    return bytes(content)


ODD = (
    None,
    True,
    -1,
    0,
    1,
    3,
    2**31,
    2**63,
    10**30,
    0.5,
    -0.0,
    1e300,
    "",
    "gelu",
    "\0../..",
    [],
    [1],
    [None, "a"],
    [[1]],
    {},
    {"rope_type": "yarn", "factor": 0},
    {"rope_type": "dynamic", "factor": 1e300},
    {"rope_type": "llama3"},
    {"full_attention": []},
    {"0": "a", "1": "b"},
)


def misvalued(content: dict, generator: np.random.Generator) -> dict:
    """The object with one value, at whatever depth, that is odd."""
    content = dict(content)
    key = str(generator.choice(sorted(content)))
    value = content[key]
    if isinstance(value, dict) and value and generator.random() < 0.8:
        content[key] = misvalued(value, generator)
    elif isinstance(value, list) and value and generator.random() < 0.8:
        value = list(value)
        value[generator.integers(len(value))] = ODD[
            generator.integers(len(ODD))
        ]
        content[key] = value
    else:
        content[key] = ODD[generator.integers(len(ODD))]
    return content


def write_mutated(
    folder: pathlib.Path, good: dict[str, bytes], seed: int
) -> None:
    """Writes a checkpoint of which one file is changed.

    Half of the changes are of bytes, half of values that are well written.
    """
    generator = np.random.default_rng(seed)
    config, file = good["config.json"], good["model.safetensors"]
    kind = generator.integers(0, 4)
    if kind == 0:
        packed = struct.pack("<Q", len(config)) + config
        config = mutated(packed, generator)[8:]
    elif kind == 1:
        file = mutated(file, generator)
    elif kind == 2:
        config = json.dumps(misvalued(json.loads(config), generator)).encode()
    else:
        end = 8 + struct.unpack("<Q", file[:8])[0]
        file = pack(misvalued(json.loads(file[8:end]), generator), file[end:])
    (folder / "config.json").write_bytes(config)
    (folder / "model.safetensors").write_bytes(file)
