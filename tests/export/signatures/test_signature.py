import tensorflow as tf

from keras_bigmodel.export.signatures.signature import Signature


def test_a_trace_has_the_inputs_by_name():
    signature = Signature(
        call=lambda a, b: {"sum": a + b},
        inputs={"a": tf.TensorSpec([None]), "b": tf.TensorSpec([])},
        examples=[],
        expect=dict,
    )
    traced = signature.trace()
    names = [tensor.name for tensor in traced.inputs]
    assert names == ["a:0", "b:0"]
    answer = traced(a=tf.constant([1.0, 2.0]), b=tf.constant(3.0))
    assert answer["sum"].numpy().tolist() == [4, 5]
