"""The names of a classifier's classes."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_bigmodel.huggingface.checkpoint import Checkpoint
from keras_bigmodel.huggingface.load import find_folder


def load_labels(folder_or_repo: str | Path) -> list[str] | None:
    """Returns the names of the classes that a checkpoint's classifier tells.

    Several classes of ImageNet share a name; those get their number behind it,
    so that each name stands for one class.

    Args:
        folder_or_repo: As for `load`.

    Returns:
        A name for each class, or None: the model is no classifier.

    Raises:
        ValueError: If config.json is wrong.

    Example:
        >>> model = kbm.models.vit_classifier((8, 8, 3), 2, 4, 1, 2, 8)
        >>> labels = ["cat", "dog"]
        >>> folder = kbm.huggingface.save(model, None, "pets", labels=labels)
        >>> kbm.huggingface.load_labels(folder)
        ['cat', 'dog']
    """
    config = Checkpoint(find_folder(folder_or_repo)).config
    named = config.get("architectures")
    if not isinstance(named, list) or "Classification" not in str(named[:1]):
        return None
    labels = config.get("id2label")
    if labels is None:
        return None
    if (
        not isinstance(labels, dict)
        or set(labels) != {str(index) for index in range(len(labels))}
        or not all(isinstance(label, str) for label in labels.values())
    ):
        raise ValueError(
            "id2label must name the classes 0, 1, ... of config.json. "
            f"Received: id2label={labels!r:.200}"
        )
    names = [labels[str(index)] for index in range(len(labels))]
    counts = Counter(names)
    return [
        name if counts[name] == 1 else f"{name} ({index})"
        for index, name in enumerate(names)
    ]


def label_entries(
    labels: Sequence[str], config: dict[str, Any]
) -> dict[str, dict]:
    """Returns the entries of config.json that name the classes.

    Args:
        labels: A name for each class.
        config: What the family wrote, with numbers for names.

    Raises:
        ValueError: If the model is no classifier, or has more or fewer classes.
    """
    count = len(config.get("id2label", ()))
    if isinstance(labels, str) or len(labels) != count:
        raise ValueError(
            f"`labels` must name each of the model's {count} classes. "
            f"Received: labels={labels!r:.200}"
        )
    return {
        "id2label": {str(index): name for index, name in enumerate(labels)},
        "label2id": {name: index for index, name in enumerate(labels)},
    }
