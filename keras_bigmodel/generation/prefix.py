"""The common beginning of many prompts, read once."""

from typing import Any

import keras
import numpy as np

from keras_bigmodel.generation import choice, samplers
from keras_bigmodel.generation import prompts as prompt_rows


class Prefix:
    """Keeps what a model made of a text that many prompts begin with.

    A long instruction or a set of examples is read once; `kbm.generate(...,
    prefix=prefix)` goes on from there with each prompt, and gives what it
    would give for prefix and prompt together.

    Args:
        model: A language model, without an encoder.
        text: A string, with a tokenizer, or a list of ids.
        tokenizer: As in `kbm.generate`.
        room: Tokens that a prompt and its answer may have together.
        cache_dtype: Float type of cached keys and values; None: as computed.

    Raises:
        ValueError: If the text or the room is not valid, or the model reads a
            source.

    Example:
    ```python
    import keras_bigmodel as kbm

    model = kbm.models.decoder_lm(100, 64, 2, 2, 16)
    prefix = kbm.generation.Prefix(model, [5, 17, 33], room=32)
    kbm.generate(model, [[21], [8, 9]], max_new_tokens=4, prefix=prefix)
    ```
    """

    def __init__(
        self,
        model: keras.Model,
        text: Any,
        tokenizer: Any = None,
        *,
        room: int = 256,
        cache_dtype: str | None = None,
    ) -> None:
        if prompt_rows.is_encoder_decoder(model):
            raise ValueError(
                "A prefix is of what a decoder reads; this model reads a "
                f"source too. Received: model={model.name!r}"
            )
        rows = prompt_rows.read(text, tokenizer, model)
        if len(rows.ids) > 1:
            raise ValueError(
                f"A prefix is one text. Received: {len(rows.ids)} texts"
            )
        prompt_rows.check_room(rows, model, room, beyond_context=False)
        (self.token_ids,) = rows.ids
        self.model = model
        self.room = room
        self.cache_dtype = cache_dtype
        # `start` leaves the last token to be read by the first step: with one
        # more behind them all tokens of the prefix are read.
        program, *_ = choice.program_for(
            model,
            samplers.Greedy(),
            rows.vocabulary_size,
            (),
            choice.Options(
                cache_dtype=cache_dtype,
                long_prompts=choice.needs_long_prompts(model, rows.ids),
            ),
        )
        carry = program.start(
            {
                "prompt_ids": np.array([[*self.token_ids, 0]], "int32"),
                "lengths": np.array([len(self.token_ids) + 1], "int32"),
                "capacity": np.int32(len(self.token_ids) + room),
            }
        )
        self.capacity = carry["capacity"]
        self.state = carry["state"]
