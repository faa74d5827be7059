import builtins
import time

import pytest

from keras_bigmodel.text import ByteTokenizer
from keras_bigmodel.text.chat import render_chat
from tests.text.tokenizers_for_tests import byte_pair

MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": " Hi <b> & 'é' "},
]
CHATML = (
    "{%- for message in messages %}\n"
    "    {{- '<|im_start|>' + message.role + '\\n' + message.content ~ '\\n' }}"
    "\n{%- endfor %}\n"
    "{%- if add_generation_prompt %}{{ '<|im_start|>assistant' }}{% endif %}"
)
LLAMA3 = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}"
    "{% set content = '<|start|>' + message['role'] + '<|end|>\\n'"
    "+ message['content'] | trim + '<|eot|>' %}"
    "{% if loop.index0 == 0 %}{% set content = bos_token + content %}"
    "{% endif %}{{ content }}{% if loop.last %}{{ loop.length }}{% endif %}"
    "{% endfor %}"
)
# Loops and texts that grow without end; ways out of the sandbox.
GROW = (
    "{%% set n = namespace(x=%s) %%}{%% for i in range(70) %%}%s{%% endfor %%}"
)
HOSTILE = {
    "attribute": "{{ ''.__class__.__mro__ }}",
    "globals": "{{ messages.__init__.__globals__ }}",
    "change": "{{ messages.append(1) }}",
    "include": "{% include '/etc/passwd' %}",
    "import": "{% import 'os' as os %}",
    "loops": "{% for a in range(99999) %}{% for b in range(99999) %}"
    "{% endfor %}{% endfor %}",
    "range": "{{ range(10000000) | list }}",
    "times": "{{ 'a' * 1000000000 }}",
    "power": "{{ 9 ** 9 ** 9 }}",
    "plus": GROW % ("'ab'", "{% set n.x = n.x + n.x %}"),
    "tilde": GROW % ("'ab'", "{% set n.x = n.x ~ n.x %}"),
    "replace": GROW % ("'ab'", "{% set n.x = n.x.replace('a', n.x) %}"),
    "filter": GROW % ("'ab'", "{% set n.x = n.x | replace('a', n.x) %}"),
    "lists": GROW % ("[1]", "{% set n.x = [n.x, n.x] %}") + "{{ n.x }}",
    "dicts": GROW % ("1", "{% set n.x = dict(a=n.x, b=n.x) %}") + "{{ n.x }}",
    "names": GROW % ("1", "{% set n.x = namespace(a=n.x, b=n.x) %}")
    + "{{ n.x }}",
    "split": "{% set x = 'a ' * 100000 %}{% for i in range(1000) %}"
    "{% set y = x.split() %}{% endfor %}",
    "padding": "{{ 'a'.ljust(1000000000) }}",
    "center": "{{ 'a' | center(1000000000) }}",
    "percent": "{{ '%999999999d' % 1 }}",
    "format": "{{ '{:999999999}'.format(1) }}",
    "json": "{{ 1 | tojson(indent=1000000) }}",
    "date": "{{ strftime_now('%999999999d') }}",
    "macro": "{% macro f(n) %}{{ f(n + 1) }}{{ f(n + 1) }}{% endmacro %}"
    "{{ f(0) }}",
    "tree": "{% macro f(n) %}{% if n < 60 %}{{ f(n + 1) }}{{ f(n + 1) }}"
    "{% endif %}{% endmacro %}{{ f(0) }}",
    "recursive": "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "printed": "{% set x %}{% for i in range(9999) %}"
    + "y" * 50_000
    + "{% endfor %}{% endset %}",
    "nested": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "blocks": "{% if 1 %}" * 3000 + "{% endif %}" * 3000,
    "syntax": "{% for %}",
    "undefined": "{{ nothing.there }}",
    "refusal": "{{ raise_exception('roles must alternate') }}",
    "division": "{{ 1 / 0 }}",
    "type": "{{ 'a' + 1 }}",
}


def test_templates_are_rendered_as_their_models_expect():
    text = render_chat(CHATML, MESSAGES, add_generation_prompt=True)
    assert text == (
        "<|im_start|>system\nBe brief.\n<|im_start|>user\n Hi <b> & 'é' \n"
        "<|im_start|>assistant"
    )
    text = render_chat(LLAMA3, MESSAGES, bos_token="<s>")
    assert text == (
        "<s><|start|>system<|end|>\nBe brief.<|eot|>"
        "<|start|>user<|end|>\nHi <b> & 'é'<|eot|>2"
    )


def test_json_dates_and_controls():
    template = (
        "{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}"
        "{{ m | tojson }}{% endfor %}{{ strftime_now('%Y') | length }}"
        "{{ messages | map(attribute='role') | join(',') }}"
        "{% for key, value in messages[0] | items %}{{ key }};{% endfor %}"
    )
    assert render_chat(template, MESSAGES) == (
        '{"role": "user", "content": " Hi <b> & \'é\' "}4'
        "system,userrole;content;"
    )


def test_a_tokenizer_brings_its_template_and_tokens():
    tokenizer = byte_pair()
    try:
        tokenizer.chat_template = (
            "{{ bos_token }}{{ messages[0].content }}{{ extra }}"
            "{% if add_generation_prompt %}>{% endif %}{{ pad_token }}"
        )
        messages = [{"role": "user", "content": "hi"}]
        text = tokenizer.apply_chat_template(messages, extra="!")
        assert text == "<|endoftext|>hi!><|pad|>"
        text = tokenizer.apply_chat_template(messages, False)
        assert text == "<|endoftext|>hi<|pad|>"
    finally:
        tokenizer.chat_template = None


def test_long_conversations_fit_the_budget():
    messages = [{"role": "user", "content": "word " * 200}] * 500
    text = render_chat(LLAMA3, messages, bos_token="")
    assert len(text) > 500_000


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_templates_are_stopped(name):
    started = time.process_time()
    with pytest.raises(ValueError, match="chat template failed: .*Received: "):
        render_chat(HOSTILE[name], MESSAGES)
    assert time.process_time() - started < 1


def test_what_is_wrong_is_said():
    with pytest.raises(ValueError, match="Received: chat_template=None"):
        ByteTokenizer().apply_chat_template(MESSAGES)
    with pytest.raises(ValueError, match="at most 65536 .*Received: 65537"):
        render_chat("a" * 65_537, MESSAGES)
    with pytest.raises(ValueError, match="with a role. Received: message="):
        render_chat(CHATML, [{"content": "a"}])
    with pytest.raises(ValueError, match="with a role. Received: message='a'"):
        render_chat(CHATML, ["a"])
    with pytest.raises(ValueError, match="failed: roles must alternate"):
        render_chat(HOSTILE["refusal"], MESSAGES)


def test_without_jinja_the_extra_is_named(monkeypatch):
    import_module = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "jinja2":
            raise ImportError(name)
        return import_module(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"keras-bigmodel\[chat\]"):
        render_chat(CHATML, MESSAGES)
