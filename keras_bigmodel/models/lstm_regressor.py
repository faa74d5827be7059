"""Stacked LSTMs that answer a sequence of features with one vector."""

from typing import Any

import keras

from keras_bigmodel import layers
from keras_bigmodel.models.arguments import check_sizes


def lstm_regressor(
    num_features: int,
    num_outputs: int,
    num_layers: int,
    units: int,
    dense_units: int | None = None,
    *,
    bidirectional: bool = False,
    dropout: float = 0.0,
    mask_value: float | None = None,
    dtype: Any = None,
    name: str = "lstm_regressor",
) -> keras.Model:
    """Builds stacked LSTMs for regression or classification of sequences.

    The last LSTM's last output runs through a Dense layer with ReLU to the
    outputs: numbers to be fitted with a squared error, or the logits of
    `num_outputs` classes.

    Args:
        num_features: Features at each step of a sequence.
        num_outputs: Numbers to predict, or classes.
        num_layers: Number of LSTMs.
        units: Size of each LSTM's output and states.
        dense_units: Width of the Dense layer; default: units. 0: no such
            layer.
        bidirectional: Whether a second LSTM in each layer reads backwards; the
            two outputs are joined.
        dropout: Share dropped of each LSTM's output in training.
        mask_value: A step whose features all have this value is padding; None:
            no padding.
        dtype: Dtype policy of all layers; default: Keras's.
        name: The model's name.

    Input shape:
        features: floats, (batch, sequence, num_features).

    Output shape:
        (batch, num_outputs), not squashed by any activation.

    Masking:
        Padding leaves the states as they are.

    Raises:
        ValueError: If sizes are not positive.

    Example:
    ```python
    import keras
    import keras_bigmodel as kbm

    model = kbm.models.lstm_regressor(
        num_features=7, num_outputs=1, num_layers=2, units=16
    )
    model.compile(keras.optimizers.Adam(1e-3), loss="mse")
    ```

    References:
        Hochreiter & Schmidhuber 1997, "Long Short-Term Memory"; Graves &
        Schmidhuber 2005, "Framewise Phoneme Classification with Bidirectional
        LSTM", section 2 (both directions).
    """
    dense_units = units if dense_units is None else dense_units
    check_sizes(
        num_features=num_features,
        num_outputs=num_outputs,
        num_layers=num_layers,
        units=units,
        dense_units=dense_units or None,
    )
    features = keras.Input((None, num_features), name="features")
    x = features
    if mask_value is not None:
        x = keras.layers.Masking(mask_value, dtype=dtype, name="masking")(x)
    for index in range(num_layers):
        layer = layers.LSTM(
            units,
            return_sequences=index < num_layers - 1,
            dtype=dtype,
            name=f"lstm_{index}",
        )
        if bidirectional:
            layer = keras.layers.Bidirectional(
                layer, dtype=dtype, name=f"bidirectional_{index}"
            )
        x = layer(x)
        if dropout:
            x = keras.layers.Dropout(
                dropout, dtype=dtype, name=f"lstm_{index}_dropout"
            )(x)
    if dense_units:
        x = keras.layers.Dense(
            dense_units, activation="relu", dtype=dtype, name="dense"
        )(x)
    outputs = keras.layers.Dense(num_outputs, dtype=dtype, name="outputs")(x)
    return keras.Model(features, outputs, name=name)
