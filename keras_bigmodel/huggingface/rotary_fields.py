"""The entries of config.json about rotary positions and windows."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from keras_bigmodel import layers
from keras_bigmodel.huggingface.fields import Field

SLIDING, FULL = "sliding_attention", "full_attention"
ORIGINAL = "original_max_position_embeddings"
NOT_SCALING = ("type", "rope_type", "rope_theta", "partial_rotary_factor")


@dataclasses.dataclass(frozen=True)
class Rotary(Field):
    """Rotary positions.

    They stand in `rope_theta` and `rope_scaling`, or, from transformers 5 on,
    together in `rope_parameters`.

    Args:
        theta: Where config.json has none.
        partial: Share of each head that is turned, where config.json has none.
        theta_key: The entry of the base.
        partial_key: The entry of the share.
    """

    key: str = "rope_scaling"
    theta: float = 10000.0
    partial: float = 1.0
    theta_key: str = "rope_theta"
    partial_key: str = "partial_rotary_factor"

    @property
    def keys(self) -> tuple[str, ...]:
        """The entries of both generations."""
        return (
            self.theta_key,
            self.partial_key,
            "rope_scaling",
            "rope_parameters",
            "original_max_position_embeddings",
        )

    def read(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Returns `position_encoding`."""
        entries = config.get("rope_parameters") or {}
        entries = config.get("rope_scaling") or entries
        if not isinstance(entries, dict):
            raise self.wrong(entries, "an object or null")
        encoding = self.encoding(config, entries)
        options: dict[str, Any] = {"position_encoding": encoding}
        if (encoding.scaling or {}).get("type") == "dynamic":
            # The configured length is the one that scaling starts from.
            stretched = encoding.scaling[ORIGINAL] * encoding.scaling["factor"]
            options["max_sequence_length"] = int(stretched)
        return options

    def encoding(
        self, config: Mapping[str, Any], entries: Mapping[str, Any]
    ) -> layers.RotaryPositionEncoding:
        """Returns the layer which `entries`, and the rest, describe."""
        base = entries.get("rope_theta", config.get(self.theta_key, self.theta))
        partial = entries.get(
            "partial_rotary_factor",
            config.get(self.partial_key, self.partial),
        )
        for name, value in (("rope_theta", base), ("partial", partial)):
            if type(value) not in (int, float) or not 0 < value < 1e18:
                raise ValueError(
                    f"{name} must be a positive number, not {value!r:.80}"
                )
        return layers.RotaryPositionEncoding(
            base=float(base),
            rotary_dim=(
                None if partial == 1 else int(head_dim_of(config) * partial)
            ),
            scaling=_scaling(config, entries),
            name="position_encoding",
        )

    def write(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the entries which both generations read."""
        encoding = options["position_encoding"]
        if not isinstance(encoding, layers.RotaryPositionEncoding):
            raise ValueError(
                "the family's positions are rotary, one encoding for all "
                f"blocks, not {encoding!r:.80}"
            )
        return self.entries(encoding, options)

    def entries(
        self,
        encoding: layers.RotaryPositionEncoding,
        options: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Returns the entries that describe a layer."""
        scaling = encoding.scaling and {
            "rope_type": encoding.scaling["type"],
            **{k: v for k, v in encoding.scaling.items() if k != "type"},
        }
        found = {self.theta_key: encoding.base, "rope_scaling": scaling}
        if scaling and scaling["rope_type"] == "dynamic":
            found["max_position_embeddings"] = scaling.pop(ORIGINAL)
        if scaling and scaling["rope_type"] == "longrope":
            # Where the entry beside is missing, Phi-3 has a default for it.
            found[ORIGINAL] = scaling[ORIGINAL]
        head_dim = options["head_dim"]
        if self.partial != 1.0 or encoding.rotary_dim is not None:
            rotary_dim = encoding.rotary_dim or head_dim
            found[self.partial_key] = rotary_dim / head_dim
        return found


def head_dim_of(config: Mapping[str, Any]) -> int:
    """Returns the features of a head, given or shared out.

    Raises:
        ValueError: If the sizes are no positive integers.
    """
    sizes = {
        key: config.get(key)
        for key in ("head_dim", "hidden_size", "num_attention_heads")
    }
    for key, size in sizes.items():
        given = size is not None or key != "head_dim"
        if given and (type(size) is not int or size < 1):
            raise ValueError(f"{key} must be a positive integer, not {size!r}")
    return sizes["head_dim"] or (
        sizes["hidden_size"] // sizes["num_attention_heads"]
    )


def _scaling(
    config: Mapping[str, Any], entries: Mapping[str, Any]
) -> dict[str, Any] | None:
    kind = entries.get("rope_type", entries.get("type", "default"))
    options = {k: v for k, v in entries.items() if k not in NOT_SCALING}
    if kind == "default":
        if options:
            raise ValueError(f"rope_scaling has {sorted(options)} and no type")
        return None
    longest = config.get("max_position_embeddings")
    if kind == "dynamic":
        options[ORIGINAL] = longest
    elif kind in ("llama3", "yarn", "longrope"):
        # The entry beside `rope_scaling` stands, as Phi-3 has it.
        options[ORIGINAL] = config.get(ORIGINAL) or options.get(
            ORIGINAL, longest
        )
    if kind == "llama3":
        for key in ("low_freq_factor", "high_freq_factor"):
            if type(options.get(key, 1)) not in (int, float):
                raise ValueError(
                    f"{key} must be a number, not {options[key]!r:.80}"
                )
    if kind in ("yarn", "longrope") and options.get("factor") is None:
        options["factor"] = _ratio(longest, options[ORIGINAL])
    return {
        "type": kind,
        **{k: v for k, v in options.items() if v is not None},
    }


def _ratio(longest: Any, original: Any) -> float:
    for size in (longest, original):
        if type(size) is not int or size < 1:
            raise ValueError(
                "max_position_embeddings and original_max_position_embeddings "
                f"must be positive integers, not {size!r:.80}"
            )
    return longest / original


@dataclasses.dataclass(frozen=True)
class Windows(Field):
    """The sliding window of each block.

    Args:
        key: The entry of the window's size.
        default: What it is where it is missing.
        switch: An entry which turns windows on; None: always on.
        pattern: Every how many blocks one sees everything; 0: none does. An
            entry `layer_types` says it block by block.
        from_block: The entry that counts the first blocks without a window.
    """

    key: str = "sliding_window"
    default: Any = None
    switch: str | None = None
    pattern: int = 0
    pattern_keys: tuple[str, ...] = ()
    from_block: str | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """All entries about windows."""
        named = (self.key, self.switch, self.from_block, *self.pattern_keys)
        return tuple(key for key in (*named, "layer_types") if key)

    def read(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Returns `sliding_window`."""
        window = config.get(self.key, self.default)
        if window is not None and (type(window) is not int or window < 1):
            raise self.wrong(window, "a positive integer or null")
        if self.switch and not config.get(self.switch, False):
            window = None
        kinds = config.get("layer_types")
        count = config.get("num_hidden_layers")
        if type(count) is not int or not 0 < count <= 100_000:
            raise ValueError(
                f"num_hidden_layers must be from 1 to 100000, not {count!r:.80}"
            )
        if kinds is None:
            kinds = self._kinds(config, count)
        if not isinstance(kinds, list) or len(kinds) != count:
            raise ValueError(
                f"layer_types must have {count} entries, not {kinds!r:.80}"
            )
        unknown = [kind for kind in kinds if kind not in (SLIDING, FULL)]
        if unknown:
            raise ValueError(
                f"layer_types must be {SLIDING} or {FULL}, not "
                f"{unknown[0]!r:.80}"
            )
        if SLIDING in kinds and window is None:
            raise self.wrong(window, "a size, for layer_types has windows")
        windows = [window if kind == SLIDING else None for kind in kinds]
        return {"sliding_window": windows}

    def _kinds(self, config: Mapping[str, Any], count: int) -> list[str]:
        window = config.get(self.key, self.default)
        if window is None or (self.switch and not config.get(self.switch)):
            return [FULL] * count
        pattern = self.pattern
        for key in self.pattern_keys:
            pattern = config.get(key, pattern)
        if type(pattern) is not int or pattern < 0:
            raise ValueError(
                f"{self.pattern_keys} must be an integer, not {pattern!r:.80}"
            )
        first = config.get(self.from_block, 28) if self.from_block else 0
        return [
            FULL
            if index < first or (pattern and (index + 1) % pattern == 0)
            else SLIDING
            for index in range(count)
        ]

    def write(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the window and, where blocks differ, their types."""
        windows = options["sliding_window"]
        sizes = {window for window in windows if window is not None}
        if len(sizes) > 1:
            raise ValueError(
                f"the family has one size of window, not {sorted(sizes)}"
            )
        size = sizes.pop() if sizes else None
        found: dict[str, Any] = {self.key: size}
        if self.switch:
            found[self.switch] = size is not None
        if self.switch or self.pattern:
            found["layer_types"] = [
                FULL if window is None else SLIDING for window in windows
            ]
        elif size is not None and None in windows:
            raise ValueError("the family has a window in all blocks or none")
        return found
