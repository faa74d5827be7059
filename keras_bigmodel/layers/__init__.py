"""Layers: every block of a model, each usable alone.

Written on `keras.ops`, they run on Keras's TensorFlow and JAX backends.
"""

from keras_bigmodel.layers.attention import CrossAttention, SelfAttention
from keras_bigmodel.layers.bias import Bias
from keras_bigmodel.layers.conv_block import ConvBlock
from keras_bigmodel.layers.decoder_block import DecoderBlock
from keras_bigmodel.layers.decoding import DecodingScope
from keras_bigmodel.layers.encoder_block import EncoderBlock
from keras_bigmodel.layers.encoder_context import (
    EncoderContext,
    encoder_and_decoder,
)
from keras_bigmodel.layers.feed_forward import FeedForward
from keras_bigmodel.layers.mixture_of_experts import MixtureOfExperts
from keras_bigmodel.layers.patch_embedding import PatchEmbedding
from keras_bigmodel.layers.pixel_scaling import PixelScaling
from keras_bigmodel.layers.positions.alibi import ALiBiPositionEncoding
from keras_bigmodel.layers.positions.base import PositionEncoding
from keras_bigmodel.layers.positions.learned import LearnedPositionEncoding
from keras_bigmodel.layers.positions.relative import RelativePositionEncoding
from keras_bigmodel.layers.positions.rotary import RotaryPositionEncoding
from keras_bigmodel.layers.positions.shared_bias import SharedPositionBias
from keras_bigmodel.layers.positions.sinusoidal import (
    SinusoidalPositionEncoding,
)
from keras_bigmodel.layers.recorder import AttentionRecorder
from keras_bigmodel.layers.recurrent import GRU, LSTM
from keras_bigmodel.layers.rms_normalization import RMSNormalization
from keras_bigmodel.layers.segment_embedding import SegmentEmbedding
from keras_bigmodel.layers.segment_positions import SegmentPositions
from keras_bigmodel.layers.sequence_pooling import SequencePooling
from keras_bigmodel.layers.token_embedding import TokenEmbedding

__all__ = [
    "GRU",
    "LSTM",
    "ALiBiPositionEncoding",
    "AttentionRecorder",
    "Bias",
    "ConvBlock",
    "CrossAttention",
    "DecoderBlock",
    "DecodingScope",
    "EncoderBlock",
    "EncoderContext",
    "FeedForward",
    "LearnedPositionEncoding",
    "MixtureOfExperts",
    "PatchEmbedding",
    "PixelScaling",
    "PositionEncoding",
    "RMSNormalization",
    "RelativePositionEncoding",
    "RotaryPositionEncoding",
    "SegmentEmbedding",
    "SegmentPositions",
    "SelfAttention",
    "SequencePooling",
    "SharedPositionBias",
    "SinusoidalPositionEncoding",
    "TokenEmbedding",
    "encoder_and_decoder",
]
