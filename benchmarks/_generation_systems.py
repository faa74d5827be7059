"""One system of `benchmarks/generation.py`, in a process of its own.

Reads jobs as lines of JSON and answers each with one. It imports none of this
project at its head, so that it also runs where another system is installed.
"""

import json
import os
import statistics
import sys
import time

VOCABULARY, CONTEXT, LAYERS, HEADS, WIDTH = 50257, 1024, 12, 12, 768


class Training:
    """What `fit` does in the systems of Keras, whose models are `model`."""

    def fit(self, batch: int, length: int, steps: int, epochs: int) -> dict:
        """Trains by AdamW on random ids; says how long an epoch's step takes.

        The first epoch, which compiles, is left out.
        """
        import keras
        import numpy as np

        times = []

        class Clock(keras.callbacks.Callback):
            def on_epoch_begin(self, *_: object) -> None:
                times.append(-time.perf_counter())

            def on_epoch_end(self, *_: object) -> None:
                times[-1] += time.perf_counter()

        trained = self.trained()
        trained.compile(
            keras.optimizers.AdamW(1e-4, weight_decay=0.1),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        ids = np.random.default_rng(0).integers(
            0, VOCABULARY, (batch * steps, length + 1), "int32"
        )
        trained.fit(
            ids[:, :-1],
            ids[:, 1:],
            batch_size=batch,
            epochs=epochs + 1,
            verbose=0,
            callbacks=[Clock()],
        )
        weights = sum(
            int(np.prod(weight.shape)) for weight in trained.trainable_weights
        )
        seconds = statistics.median(times[1:]) / steps
        return {"seconds_a_step": seconds, "weights": weights}


class Ours(Training):
    """GPT-2 small by `decoder_lm`, with or without XLA."""

    def __init__(self, jit_compile: bool) -> None:
        import keras

        import keras_bigmodel as kbm

        keras.utils.set_random_seed(0)
        self.kbm, self.jit_compile = kbm, jit_compile
        self.model = kbm.models.decoder_lm(
            VOCABULARY,
            CONTEXT,
            LAYERS,
            HEADS,
            WIDTH,
            position_encoding="learned",
            activation="gelu_tanh",
        )
        self.reciting, self.text = None, None

    def generate(self, prompts: list[list[int]], num_tokens: int) -> dict:
        """Does one greedy generation."""
        answers = self.kbm.generate(
            self.model,
            prompts,
            max_new_tokens=num_tokens,
            jit_compile=self.jit_compile,
        )
        return {"tokens": sum(map(len, answers))}

    def first_token(self, prompts: list[list[int]], room: int) -> dict:
        """Waits for the first token of a stream that may fill the room."""
        stream = self.kbm.generate(
            self.model,
            prompts,
            max_new_tokens=room - len(prompts[0]),
            stream=True,
            jit_compile=self.jit_compile,
        )
        return {"tokens": sum(map(len, next(stream)))}

    def recite(self, text: list[int], prompt: int, look_up: bool) -> dict:
        """Continues a text that the model is made to know by heart."""
        if self.text != text:
            self.reciting, self.text = reciting_model(self.model, text), text
        sampler = self.kbm.samplers.PromptLookup() if look_up else "greedy"
        answer = self.kbm.generate(
            self.reciting,
            text[:prompt],
            max_new_tokens=len(text) - prompt,
            sampler=sampler,
            jit_compile=self.jit_compile,
        )
        return {"right": answer == text[prompt:]}

    def trained(self) -> object:
        """Returns the model that `fit` trains."""
        return self.model

    def bandwidth(self) -> dict:
        """Reads the embedding table by products with a vector."""
        import numpy as np
        import tensorflow as tf

        table = self.model.weights[0]
        vector = tf.ones((WIDTH, 1))

        @tf.function(autograph=False)
        def product() -> tf.Tensor:
            return tf.matmul(table, vector)

        times = []
        for _ in range(9):
            start = time.perf_counter()
            product().numpy()
            times.append(time.perf_counter() - start)
        size = int(np.prod(table.shape)) * 4
        weights = sum(int(np.prod(w.shape)) for w in self.model.weights) * 4
        return {
            "bytes_per_second": size / sorted(times)[4],
            # Of the table of positions a step reads one row.
            "weight_bytes": weights - CONTEXT * WIDTH * 4,
        }


def reciting_model(model: object, text: list[int]) -> object:
    """Returns the model with the next word's logit raised far above all.

    All of the model is computed, and what it says is a text known beforehand:
    this shows what guessing gains on that text.
    """
    import keras
    from keras import ops

    from keras_bigmodel.layers.decoding import current_positions

    class Recite(keras.layers.Layer):
        def call(self, logits: object) -> object:
            line = ops.convert_to_tensor([*text, 0], "int32")
            after = ops.minimum(current_positions(logits) + 1, len(text))
            word = ops.one_hot(ops.take(line, after), VOCABULARY)
            return logits + 1e4 * word

    return keras.Model(model.input, Recite()(model.output))


class KerasHub(Training):
    """KerasHub's GPT-2, with or without XLA."""

    def __init__(self, jit_compile: bool) -> None:
        import keras
        import keras_hub

        keras.utils.set_random_seed(0)
        backbone = keras_hub.models.GPT2Backbone(
            VOCABULARY, LAYERS, HEADS, WIDTH, 4 * WIDTH, 0.0, CONTEXT
        )
        self.model = keras_hub.models.GPT2CausalLM(backbone, preprocessor=None)
        self.model.compile(sampler="greedy", jit_compile=jit_compile)

    def generate(self, prompts: list[list[int]], num_tokens: int) -> dict:
        """Does one greedy generation in a buffer of just the length."""
        room = len(prompts[0]) + num_tokens
        return self._fill(prompts, len(prompts[0]), room)

    def first_token(self, prompts: list[list[int]], room: int) -> dict:
        """Prefills the whole room, as it does for any prompt, for one token.

        Its loop runs until the room is full, so the prompt is said to end just
        before; what is computed for the first token is the same.
        """
        return self._fill(prompts, room - 1, room)

    def trained(self) -> object:
        """Returns the model that `fit` trains, from ids alone to logits."""
        import keras
        from keras import ops

        ids = keras.Input((None,), dtype="int32")
        mask = ops.ones_like(ids)
        logits = self.model({"token_ids": ids, "padding_mask": mask})
        return keras.Model(ids, logits)

    def _fill(self, prompts: list[list[int]], known: int, room: int) -> dict:
        import numpy as np

        token_ids = np.zeros((len(prompts), room), "int32")
        token_ids[:, : len(prompts[0])] = prompts
        mask = np.zeros(token_ids.shape, "int32")
        mask[:, :known] = 1
        self.model.generate(
            {"token_ids": token_ids, "padding_mask": mask},
            stop_token_ids=None,
        )
        return {"tokens": len(prompts) * (room - known)}


class Transformers:
    """The Hugging Face library's GPT-2 on PyTorch."""

    def __init__(self, jit_compile: bool) -> None:
        import torch
        import transformers

        torch.manual_seed(0)
        self.torch = torch
        config = transformers.GPT2Config(eos_token_id=None, bos_token_id=None)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = torch.bfloat16 if "bfloat16" in sys.argv else torch.float32
        model = transformers.GPT2LMHeadModel(config).eval()
        self.model = model.to(self.device, dtype)

    def generate(self, prompts: list[list[int]], num_tokens: int) -> dict:
        """Does one greedy generation."""
        ids = self.torch.tensor(prompts, device=self.device)
        with self.torch.inference_mode():
            out = self.model.generate(
                ids,
                attention_mask=self.torch.ones_like(ids),
                max_new_tokens=num_tokens,
                do_sample=False,
                pad_token_id=0,
            )
        return {"tokens": (out.shape[1] - ids.shape[1]) * out.shape[0]}

    def first_token(self, prompts: list[list[int]], room: int) -> dict:
        """Generates one token; its cache grows by itself."""
        return self.generate(prompts, 1)


class Memory:
    """How much memory a large cache of ours takes while it fills."""

    def __init__(self, jit_compile: bool) -> None:
        import keras_bigmodel as kbm

        self.kbm, self.batch, self.room = kbm, 8, 2048
        self.layers, self.width = 12, 256
        self.model = kbm.models.decoder_lm(
            *(101, self.room, self.layers, 4, self.width),
            position_encoding="rotary",
        )

    def cache(self, stream: bool) -> dict:
        """Returns the peak over what was there before, and what must be."""
        import resource

        def run(num_tokens: int) -> None:
            answers = self.kbm.generate(
                self.model,
                [[1, 2, 3]] * self.batch,
                max_new_tokens=num_tokens,
                stream=stream,
            )
            pieces = answers if stream else [answers]
            made = sum(len(row) for piece in pieces for row in piece)
            if made != num_tokens * self.batch:
                raise RuntimeError(f"{made} tokens came instead of all.")

        run(24)
        with open("/proc/self/statm") as statm:
            pages = int(statm.read().split()[1])
        before = pages * resource.getpagesize()
        run(self.room - 3)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        width = 2 * self.layers * self.width * 4
        return {
            "grown": peak - before,
            "needed": width * self.batch * self.room,
        }

    def endless(self, positions: str, num_tokens: int) -> dict:
        """Returns how much memory grows far beyond a model's context."""
        import resource

        model = self.kbm.models.decoder_lm(
            101, 64, 2, 2, 64, position_encoding=positions, sliding_window=32
        )
        made, peaks = 0, []
        for piece in self.kbm.generate(
            model,
            [1, 2, 3],
            max_new_tokens=num_tokens,
            stream=True,
            beyond_context=True,
        ):
            made += len(piece)
            usage = resource.getrusage(resource.RUSAGE_SELF)
            peaks.append(usage.ru_maxrss * 1024)
        return {"tokens": made, "grown": peaks[-1] - peaks[len(peaks) // 10]}


SYSTEMS = {
    "ours": Ours,
    "KerasHub": KerasHub,
    "transformers": Transformers,
    "memory": Memory,
}


def main() -> None:
    """Builds the system, then does what each line says."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    name, *flags = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # What a library prints is no answer.
    for policy in ("bfloat16", "mixed_bfloat16"):
        if policy in flags and name != "transformers":
            import keras

            keras.config.set_dtype_policy(policy)
    system = SYSTEMS[name]("xla" in flags)
    print(json.dumps({"ready": name}), file=answers, flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        start = time.perf_counter()
        answer = getattr(system, job.pop("do"))(**job)
        answer["seconds"] = time.perf_counter() - start
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
