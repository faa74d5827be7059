"""Losses of the models."""

from keras_bigmodel.losses.token_crossentropy import TokenCrossentropy

__all__ = ["TokenCrossentropy"]
