"""Signatures `prefill` and `decode`: a client asks for a few tokens at a time.

The server keeps nothing between two calls: the state goes to the client and
comes back, so that any server of a group may answer the next call.
"""

from typing import Any

import tensorflow as tf

from keras_bigmodel.export.guards import after, require
from keras_bigmodel.export.signatures.options import check_options, option_specs
from keras_bigmodel.export.signatures.signature import Signature
from keras_bigmodel.layers.decoding import LENGTHS

STATE = "state_"


def signatures(served: Any) -> dict[str, Signature]:
    """Returns the two signatures.

    Args:
        served: The `LanguageModel` or `SequenceToSequence`.
    """
    stream = Stream(served)
    return {
        "prefill": Signature(
            stream.prefill,
            {**served.text_inputs, **option_specs()},
            lambda: [served.stream_example()],
            lambda example: {},
        ),
        "decode": Signature(
            stream.decode,
            stream.decode_specs(),
            lambda: [stream.decode_example()],
            stream.expect,
        ),
    }


class Stream:
    """Generation in steps, with its state as tensors `state_00`, ....

    Args:
        served: The `LanguageModel` or `SequenceToSequence`.
    """

    def __init__(self, served: Any) -> None:
        self._served = served
        self._specs = {
            **served.decoder.state_specs(),
            "made": tf.TensorSpec([None, None], tf.int32),
            "num_made": tf.TensorSpec([None], tf.int32),
            "is_stopped": tf.TensorSpec([None], tf.bool),
        }

    def prefill(self, **inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Reads texts; returns the state that `decode` takes first."""
        (name,) = self._served.text_inputs
        state = self._served.begin(inputs.pop(name), inputs)
        none = tf.zeros_like(state["capacity"])
        state |= {
            # No client has to send an array without entries.
            "made": none[:, None],
            "num_made": none,
            "is_stopped": none > 0,
        }
        return self._flatten(state)

    def decode(
        self, num_tokens: tf.Tensor, **flat: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Makes the next tokens; returns the text so far and the new state."""
        num_tokens = tf.ensure_shape(num_tokens, [None])
        state = tf.nest.pack_sequence_as(
            self._specs, [flat[name] for name in sorted(flat)]
        )
        state, num_steps = self._checked(state, num_tokens)
        made, count = state.pop("made"), state.pop("num_made")
        was_stopped = state.pop("is_stopped")
        decoder = self._served.decoder
        state, new = decoder.advance(decoder.owned(state), num_steps)
        made = _append(made, count, new["token_ids"], new["num_tokens"])
        count += new["num_tokens"]
        is_stopped = was_stopped | new["is_stopped"]
        reason = tf.where(new["is_finished"], "length", "")
        state |= {"made": made, "num_made": count, "is_stopped": is_stopped}
        return {
            **self._served.door.write(made, count),
            "num_tokens": count,
            "finish_reason": tf.where(is_stopped, "stop", reason),
            **self._flatten(state),
        }

    def decode_specs(self) -> dict[str, tf.TensorSpec]:
        """Returns the inputs of `decode`."""
        return {
            "num_tokens": tf.TensorSpec([None], tf.int32),
            **self._flatten(self._specs),
        }

    def decode_example(self) -> dict[str, Any]:
        """Returns the state after the prompts, and tokens to make: all."""
        example = self._served.stream_example()
        num_tokens = example["max_new_tokens"]
        tensors = {name: tf.constant(value) for name, value in example.items()}
        state = self.prefill(**tensors)
        arrays = {name: value.numpy() for name, value in state.items()}
        return {"num_tokens": num_tokens, **arrays}

    def expect(self, example: dict[str, Any]) -> dict[str, Any]:
        """Returns what all the steps must give: what one call gives.

        Args:
            example: As `decode_example` gives it.
        """
        return self._served.expect_texts(self._served.stream_example())

    def _flatten(self, state: Any) -> dict[str, Any]:
        tf.nest.assert_same_structure(state, self._specs)
        return {
            f"{STATE}{index:03d}": value
            for index, value in enumerate(tf.nest.flatten(state))
        }

    def _checked(
        self, state: Any, num_tokens: tf.Tensor
    ) -> tuple[Any, tf.Tensor]:
        """Returns a state that fits itself and the limits, and steps to take.

        A client may send back anything.
        """
        flat = tf.nest.flatten(state)
        specs = tf.nest.flatten(self._specs)
        flat = [
            tf.ensure_shape(tensor, spec.shape)
            for tensor, spec in zip(flat, specs, strict=True)
        ]
        batch = tf.size(num_tokens)
        sizes = tf.stack([tf.shape(tensor)[0] for tensor in flat])
        checks = [
            require(
                (batch > 0) & tf.reduce_all(sizes == batch),
                "Every tensor of the state must have one row for each entry "
                "of `num_tokens`; send back what the call before returned",
            )
        ]
        most = self._served.limits.new_tokens
        with tf.control_dependencies(checks):
            in_range = require(
                tf.reduce_all((num_tokens > 0) & (num_tokens <= most)),
                f"`num_tokens` must be from 1 to {most}",
            )
        *flat, num_tokens = after([in_range], *flat, num_tokens)
        state = tf.nest.pack_sequence_as(state, flat)
        capacity = state["capacity"]
        most = self._served.limits.batch_tokens
        is_made = tf.reduce_all((capacity > 0) & (capacity <= most))
        lengths = state["carry"]["state"].get(LENGTHS)
        if lengths is not None:
            inside = (lengths >= 0) & (lengths <= capacity)
            is_made &= tf.reduce_all(inside)
        same = require(
            is_made, "The state is not one that `prefill` or `decode` returned"
        )
        state["capacity"] = after([same], capacity)
        state["options"] = check_options(
            state["options"], batch, self._served.limits.new_tokens
        )
        return state, tf.reduce_max(num_tokens)


def _append(
    made: tf.Tensor, count: tf.Tensor, new: tf.Tensor, num_new: tf.Tensor
) -> tf.Tensor:
    """Returns rows of ids with others put behind them."""
    rows = tf.RaggedTensor.from_tensor(made, count)
    more = tf.RaggedTensor.from_tensor(new, num_new)
    return tf.concat([rows, more], axis=1).to_tensor()
