"""Render chat templates, which come with other people's files, safely."""

from __future__ import annotations

import datetime
import functools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2

MAX_TEMPLATE = 64 * 1024
# What a template may spend, in characters read, written or stepped over.
MAX_WORK = 16 * 1024 * 1024
MAX_PARTS = 100_000
PART_SIZE = 32


def render_chat(
    template: str | None,
    messages: Sequence[dict[str, Any]],
    **variables: Any,
) -> str:
    """Return messages as text, by a Jinja template in a sandbox.

    The template reaches no attribute that begins with an underscore, no file
    and no import, changes nothing it is given, and its loops, calls and
    texts are counted: one that would take long or much memory is stopped.

    Args:
        template: the template.
        messages: dictionaries with "role" and "content".
        **variables: further names the template may use.

    Raises:
        ValueError: there is no template, it is wrong or does too much, or
            it refuses the messages.
    """
    if template is None:
        raise ValueError(
            "This tokenizer has no chat template; tokenizer_config.json or "
            "chat_template.jinja would hold it. Received: chat_template=None"
        )
    if len(template) > MAX_TEMPLATE:
        raise ValueError(
            f"A chat template has at most {MAX_TEMPLATE} characters. "
            f"Received: {len(template)}"
        )
    for message in messages:
        if not isinstance(message, dict) or "role" not in message:
            raise ValueError(
                "A message is a dictionary with a role. "
                f"Received: message={message!r:.100}"
            )
    try:
        import jinja2
    except ImportError as error:
        raise ImportError(
            "Chat templates need jinja2: pip install keras-bigmodel[chat]"
        ) from error
    try:
        environment, budget = _environment(len(template))
        tree = environment.parse(template)
        compiled = environment.from_string(budget.count_loops(tree))
        return compiled.render(messages=list(messages), **variables)
    except (
        jinja2.TemplateError,
        ArithmeticError,
        AttributeError,
        LookupError,
        MemoryError,
        RecursionError,
        SyntaxError,
        TypeError,
        ValueError,
    ) as error:
        raise ValueError(
            f"The chat template failed: {str(error) or type(error).__name__}. "
            f"Received: template={template[:60]!r}"
        ) from error


class _Budget:
    """What is left for a template to spend."""

    def __init__(self, step: int):
        self.left = MAX_WORK
        # A step of a loop can print the whole template.
        self.step = max(step, 512)

    def spend(self, work: int) -> None:
        self.left -= work
        if self.left < 0:
            raise ValueError("it does too much work")

    def steps(self, items: Iterable[Any]) -> Iterator[Any]:
        """Yield a loop's items, each of which costs a step."""
        for item in items:
            self.spend(self.step)
            yield item

    def product(self, *operands: Any) -> None:
        """Spend what operands can make together: the product of sizes."""
        work = 1
        for operand in operands:
            work *= 1 + _size(operand)
            self.spend(0 if work < MAX_WORK else work)
        self.spend(work)

    def printed(self, value: Any) -> Any:
        """Return a value that is printed, for its length."""
        self.spend(_size(value))
        return value

    def joined(self, parts: list[Any]) -> str:
        """Return parts written one after the other, for their length."""
        self.spend(sum(_size(part) for part in parts))
        return "".join(map(str, parts))

    def count_loops(self, tree: jinja2.nodes.Template) -> Any:
        """Return the template with loops, texts and lists that count."""
        from jinja2 import nodes

        for loop in tree.find_all(nodes.For):
            if loop.recursive:
                raise ValueError("recursive loops are not supported")
            loop.iter = _filter(loop.iter, "_steps")
        for parent in [tree, *tree.find_all(nodes.Node)]:
            for name, value in list(parent.iter_fields()):
                if isinstance(value, list):
                    value[:] = [_guarded(item) for item in value]
                else:
                    setattr(parent, name, _guarded(value))
        return tree


def _guarded(node: Any) -> Any:
    """Return an expression that counts, for one that makes something."""
    from jinja2 import nodes

    if isinstance(node, nodes.Concat):
        parts = nodes.Tuple(node.nodes, "load", lineno=node.lineno)
        return _filter(parts, "_joined")
    made = isinstance(node, (nodes.List, nodes.Dict)) or (
        isinstance(node, nodes.Tuple) and node.ctx == "load"
    )
    return _filter(node, "_printed") if made else node


def _filter(node: Any, name: str) -> Any:
    from jinja2 import nodes

    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _size(value: Any) -> int:
    """Return how many characters a value is about; a number is its value."""
    if isinstance(value, int):
        return abs(value)
    size = 0
    waiting = [value]
    for _ in range(MAX_PARTS):
        if not waiting:
            return size
        part = waiting.pop()
        size += PART_SIZE
        size += len(part) if isinstance(part, (str, bytes)) else 0
        if isinstance(part, dict):
            waiting.extend(part)
            waiting.extend(part.values())
        elif isinstance(part, (list, tuple)):
            waiting.extend(part)
        elif type(part).__name__ == "Namespace":
            raise ValueError("a namespace is no text")
    raise ValueError("it does too much work")


def _environment(
    template_size: int,
) -> tuple[jinja2.Environment, _Budget]:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    budget = _Budget(template_size)

    class Environment(ImmutableSandboxedEnvironment):
        intercepted_binops = frozenset(["+", "*", "**", "%"])

        def call_binop(self, context, operator, left, right):
            if operator == "%" and isinstance(left, str):
                raise ValueError("formatting with % is not supported")
            if operator == "**":
                raise ValueError("powers are not supported")
            if operator == "*":
                budget.product(left, right)
            else:
                budget.spend(0 if isinstance(left, int) else _size(left))
            return super().call_binop(context, operator, left, right)

        def call(self, context, function, *args, **kwargs):
            budget.spend(budget.step)
            # The sandbox wraps str.format in a function of its own.
            method = getattr(function, "__wrapped__", function)
            owner = getattr(method, "__self__", None)
            if isinstance(owner, str):
                if method.__name__ in ("format", "format_map"):
                    raise ValueError("str.format is not supported")
                budget.product(owner, *args, *kwargs.values())
            result = super().call(context, function, *args, **kwargs)
            if isinstance(result, (str, list, tuple, dict)):
                budget.printed(result)
            return result

    environment = Environment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.loopcontrols"],
        finalize=budget.printed,
    )
    for name in ("format", "center", "indent", "wordwrap", "pprint", "urlize"):
        del environment.filters[name]
    for name, function in environment.filters.items():
        environment.filters[name] = _counted(function, budget)
    environment.filters["tojson"] = _to_json
    environment.filters["_steps"] = budget.steps
    environment.filters["_joined"] = budget.joined
    environment.filters["_printed"] = budget.printed
    environment.globals = {
        "range": environment.globals["range"],
        "namespace": environment.globals["namespace"],
        "dict": dict,
        "raise_exception": _refuse,
        "strftime_now": _now,
    }
    return environment, budget


def _counted(
    function: Callable[..., Any], budget: _Budget
) -> Callable[..., Any]:
    @functools.wraps(function)
    def counted(*args: Any, **kwargs: Any) -> Any:
        budget.product(*(a for a in args if not callable(a)))
        budget.product(*kwargs.values())
        return function(*args, **kwargs)

    return counted


def _to_json(value: Any, indent: int | None = None, **_: Any) -> str:
    if indent is not None and indent not in range(17):
        raise ValueError("tojson indents by 0 to 16 blanks")
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _refuse(message: str) -> None:
    raise ValueError(message)


def _now(pattern: str) -> str:
    if len(pattern) > 100 or any(c.isdigit() for c in pattern):
        raise ValueError("strftime_now takes a short pattern without widths")
    return datetime.datetime.now().strftime(pattern)
