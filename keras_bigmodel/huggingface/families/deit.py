"""DeiT: a Vision Transformer with a second token, for a teacher.

Released models without that token are of the family `vit`.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from keras_bigmodel.huggingface.families.vit import VIT, image_rows
from keras_bigmodel.huggingface.fields import Field

ONE, BOTH = (
    "DeiTForImageClassification",
    "DeiTForImageClassificationWithTeacher",
)


class Pooling(Field):
    """Whether the class token gives the logits, or both tokens do."""

    def read(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Returns `pooling`."""
        named = config.get("architectures") or [ONE]
        return {"pooling": "both" if named == [BOTH] else "class"}

    def write(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the class.

        Raises:
            ValueError: If the logits are made from the patches.
        """
        if options["pooling"] == "mean":
            raise ValueError("the family has a class token")
        return {
            "architectures": [BOTH if options["pooling"] == "both" else ONE]
        }


DEIT = dataclasses.replace(
    VIT,
    model_type="deit",
    architectures=(ONE, BOTH),
    fields=(*VIT.fields, Pooling("architectures")),
    constants={"distillation_token": True},
    rows=image_rows("deit"),
    ignored=(r"deit\.pooler\.dense\.(weight|bias)",),
)
