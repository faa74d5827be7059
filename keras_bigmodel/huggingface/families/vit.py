"""Vision Transformers."""

from collections.abc import Callable, Mapping
from typing import Any

from keras_bigmodel import models
from keras_bigmodel.huggingface.describe_vit import describe_vit
from keras_bigmodel.huggingface.family import PREPROCESSOR, Family
from keras_bigmodel.huggingface.fields import (
    ACTIVATIONS,
    Field,
    Fixed,
    Irrelevant,
    Number,
    Size,
    Word,
)
from keras_bigmodel.huggingface.rows import Row, linear, normalization
from keras_bigmodel.huggingface.transforms import (
    FILTERS,
    IN_ONE_BATCH,
    TRANSPOSED,
)

MAX_PIXELS = 2**16


class ImageShape(Field):
    """Height, width and channels of the images."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The entries of images and patches."""
        return ("image_size", "num_channels", "patch_size")

    def read(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the shapes of images and patches."""
        image = _both(config.get("image_size", 224), "image_size")
        patch = _both(config.get("patch_size", 16), "patch_size")
        channels = config.get("num_channels", 3)
        if type(channels) is not int or not 0 < channels < MAX_PIXELS:
            raise ValueError(f"num_channels must be positive, not {channels!r}")
        return {"image_shape": (*image, channels), "patch_size": patch}

    def write(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the entries; a square's size is one number."""
        *image, channels = options["image_shape"]
        sizes = [list(image), list(options["patch_size"])]
        image, patch = (
            size[0] if size[0] == size[1] else size for size in sizes
        )
        return dict(zip(self.keys, (image, channels, patch), strict=True))


def _both(size: Any, name: str) -> tuple[int, int]:
    both = [size, size] if type(size) is int else size
    if (
        not isinstance(both, list)
        or len(both) != 2
        or any(type(one) is not int or not 0 < one < MAX_PIXELS for one in both)
    ):
        raise ValueError(f"{name} must be one or two sizes, not {size!r:.80}")
    return tuple(both)


class Pixels(Field):
    """How preprocessor_config.json says pixels are scaled.

    The model does it itself, from 0 to 255.
    """

    names = ("image_mean", "image_std", "rescale_factor", "do_rescale")

    @property
    def keys(self) -> tuple[str, ...]:
        """The entries, as `load` names those of the other file."""
        known = (*self.names, "do_normalize")
        return tuple(f"{PREPROCESSOR}:{name}" for name in known)

    def read(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Returns `pixel_mean` and `pixel_std`."""
        defaults = (0.5, 0.5, 1 / 255, True, True)
        mean, std, factor, rescale, normalize = (
            config.get(key, default)
            for key, default in zip(self.keys, defaults, strict=True)
        )
        if rescale is not True or normalize is not True:
            raise ValueError(
                "do_rescale and do_normalize must be true, not "
                f"{rescale!r:.80}, {normalize!r:.80}"
            )
        if type(factor) not in (int, float) or not factor > 0:
            raise ValueError(
                f"rescale_factor must be positive, not {factor!r:.80}"
            )
        found = {}
        for name, value in (("pixel_mean", mean), ("pixel_std", std)):
            values = value if isinstance(value, list) else [value]
            if not all(type(one) in (int, float) for one in values):
                raise ValueError(f"{name} must be numbers, not {value!r:.80}")
            scaled = [one / factor for one in values]
            same = all(one == scaled[0] for one in scaled)
            found[name] = scaled[0] if same and scaled else scaled
        return found

    def write(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the entries, one a channel."""
        channels = options["image_shape"][-1]
        values = []
        for name in ("pixel_mean", "pixel_std"):
            one = options[name]
            one = one * channels if len(one) == 1 else one
            values.append([pixel / 255 for pixel in one])
        entries = (*values, 1 / 255, True, True)
        return dict(zip(self.keys, entries, strict=True))


class Classes(Field):
    """The number of classes, as many as there are labels."""

    def read(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the number."""
        labels = config.get("id2label")
        count = config.get("num_labels", 2)
        count = len(labels) if isinstance(labels, dict) else count
        if type(count) is not int or not 0 < count < 2**31:
            raise ValueError(f"num_labels must be positive, not {count!r:.80}")
        return {"num_classes": count}

    def write(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns labels with numbers for names."""
        names = [f"LABEL_{i}" for i in range(options["num_classes"])]
        return {
            "id2label": {str(i): name for i, name in enumerate(names)},
            "label2id": {name: i for i, name in enumerate(names)},
        }


class QueryKeyValueBias(Field):
    """Whether queries, keys and values have biases; the output has one."""

    def to_option(self, value: Any) -> tuple[str, ...]:
        """Returns the projections that have one."""
        if type(value) is not bool:
            raise self.wrong(value, "true or false")
        return ("query", "key", "value", "output") if value else ("output",)

    def to_entry(self, value: Any) -> bool:
        """Returns whether all have one."""
        return len(value) == 4


def image_rows(start: str) -> Callable[[dict[str, Any]], list[Row]]:
    """Returns the function that makes the table of ViT and its kin.

    Args:
        start: What the names begin with.
    """
    there, block = f"{start}.embeddings", f"{start}.encoder.layer.{{i}}"
    ours, here = "encoder_block_{i}", "encoder_block_{i}/self_attention"
    attention = f"{block}.attention"
    patches = f"{there}.patch_embeddings.projection"
    up, down = f"{block}.intermediate.dense", f"{block}.output.dense"
    alone = {
        "cls_token": "class_embedding",
        "distillation_token": "distillation_embedding",
        "position_embeddings": "position_embeddings",
    }

    def rows(options: dict[str, Any]) -> list[Row]:
        both = options.get("pooling") == "both"
        head = "cls_classifier" if both else "classifier"
        return [
            *(
                Row(f"{there}.{name}", f"patch_embedding/{own}", IN_ONE_BATCH)
                for name, own in alone.items()
            ),
            *linear(patches, "patch_embedding/projection", FILTERS),
            *(
                row
                for name in ("query", "key", "value")
                for row in linear(
                    f"{attention}.attention.{name}",
                    f"{here}/{name}",
                    TRANSPOSED,
                )
            ),
            *linear(f"{attention}.output.dense", f"{here}/output", TRANSPOSED),
            *linear(up, f"{ours}/feed_forward/up", TRANSPOSED),
            *linear(down, f"{ours}/feed_forward/down", TRANSPOSED),
            *normalization(
                f"{block}.layernorm_before",
                f"{ours}/self_attention_normalization",
            ),
            *normalization(
                f"{block}.layernorm_after", f"{ours}/feed_forward_normalization"
            ),
            *normalization(f"{start}.layernorm", "final_normalization"),
            *linear(head, "logits", TRANSPOSED),
            *linear(
                "distillation_classifier", "distillation_logits", TRANSPOSED
            ),
        ]

    return rows


VIT = Family(
    model_type="vit",
    architectures=("ViTForImageClassification",),
    build=models.vit_classifier,
    describe=describe_vit,
    fields=(
        ImageShape("image_size"),
        Size("hidden_size", "hidden_dim", 768),
        Size("intermediate_size", "intermediate_dim", 3072),
        Size("num_hidden_layers", "num_layers", 12),
        Size("num_attention_heads", "num_heads", 12),
        Word("hidden_act", "activation", "gelu", ACTIVATIONS),
        Number("layer_norm_eps", "epsilon", 1e-12),
        QueryKeyValueBias("qkv_bias", "attention_bias", True),
        Classes("num_labels"),
        Pixels(PREPROCESSOR),
        Fixed("is_encoder_decoder", default=False),
        Irrelevant(
            names=tuple(
                """
                id2label label2id num_labels encoder_stride is_decoder
                pooler_output_size pooler_act
                """.split()
            )
        ),
        # How images come to the size; the model takes them at it.
        Irrelevant(
            names=tuple(
                f"{PREPROCESSOR}:{name}"
                for name in """
                size resample do_resize image_processor_type crop_size
                do_center_crop feature_extractor_type do_convert_rgb
                data_format input_data_format default_to_square
                processor_class
                """.split()
            )
        ),
    ),
    rows=image_rows("vit"),
    ignored=(r"vit\.pooler\.dense\.(weight|bias)",),
)
