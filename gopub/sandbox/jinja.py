"""The sandbox itself: the immutable one of Jinja2, with budgets that are checked before work is done.

An undefined variable is an error; there is no randomness and no loader. Steps of all loops and calls, the work that
filters and calls are given, the text that is made and the size of any value are counted: a result must not depend on
how fast a machine is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

from jinja2 import StrictUndefined, Template, nodes, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from gopub.sandbox.fault import BudgetError, ControlError
from gopub.sandbox.weight import (
    MOST_TEXT,
    kept,
    refuse_format,
    refuse_growth,
    refuse_operation,
    refuse_percent,
    refuse_width,
    weight,
)

MOST_SOURCE = 256 * 1024  # characters of a template
MOST_STEPS = 50_000  # rounds of all loops and calls of one template
MOST_WORK = 64 * MOST_TEXT  # characters that filters, calls and outputs are given, all together
_WIDENING = frozenset({"batch", "center", "indent", "slice", "tojson", "wordwrap"})  # whose arguments are sizes
_METER, _BOUND, _WRITTEN, _CONCAT = "gopub_metered", "gopub_bounded", "gopub_written", "gopub_concat"


class Sandbox(ImmutableSandboxedEnvironment):
    """One template's environment; make a new one for each template, for it counts what that uses."""

    intercepted_binops = frozenset({"+", "-", "*", "**", "%"})

    def __init__(self, *, one_line: bool = False) -> None:
        """``one_line``: every value must be printable and without a line break before it becomes text."""
        super().__init__(
            undefined=StrictUndefined,
            autoescape=False,
            keep_trailing_newline=True,
            finalize=_one_line if one_line else None,
        )
        self._steps = self._work = 0
        del self.filters["random"], self.globals["lipsum"]
        self.filters = {name: self._guarded(name, function) for name, function in self.filters.items()}
        self.filters |= {
            _METER: self._metered,
            # With the context Jinja cannot compute them when it compiles, before anything is counted.
            _BOUND: pass_context(lambda _, value: kept(value)),
            _WRITTEN: pass_context(lambda _, value, more=0: self._written(value, more)),
            _CONCAT: pass_context(lambda _, values: self._concat(values)),
        }

    def text(self, source: str, variables: Mapping[str, Any], show: Callable[[Template], object] | None = None) -> str:
        """The template's text; ``show`` is given the template before that is filled in.

        Raises:
            BudgetError: a budget is used up.
            ControlError: a value has more than one line.
            jinja2.TemplateError: it is wrong, or asks for what is not there.
        """
        template = self.compiled(source)
        if show:
            show(template)
        parts, size = [], 0
        for part in template.generate(variables):  # not as keywords: one may be named self
            size += len(part)
            if size > MOST_TEXT:
                raise BudgetError(f"it makes more than {MOST_TEXT} characters")
            parts.append(part)
        return "".join(parts)

    def compiled(self, source: str) -> Template:
        """The template, ready to be filled in.

        Raises:
            BudgetError: it is too long.
            jinja2.TemplateSyntaxError: it cannot be read.
        """
        if len(source) > MOST_SOURCE:
            raise BudgetError(f"it has {len(source)} characters, {MOST_SOURCE} are allowed")
        return self.from_string(source)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        template = super()._parse(source, name, filename)
        _Meters().visit(template)
        return template

    def call(self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: PYI063 - Jinja's own names
        """Call what a template calls, within the budget."""
        self._step()
        owner = getattr(__obj, "__self__", None)
        if isinstance(owner, str | bytes | int | float):
            args = tuple(self._listed(value) for value in args)
            refuse_width(*args, *kwargs.values())
            _refuse_method(owner, getattr(__obj, "__name__", ""), args, kwargs)
        self._spend(owner, *args, *kwargs.values())
        return kept(super().call(__context, __obj, *args, **kwargs))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Guard ``str.format``, as the sandbox does, and refuse what would make huge texts."""
        made = super().wrap_str_format(value)
        if made is None:
            return None
        owner, mapped = str(value.__self__), value.__name__ == "format_map"

        @functools.wraps(made)
        def guarded(*args: Any, **kwargs: Any) -> str:
            named = dict(args[0]) if mapped and args else kwargs
            refuse_format(owner, () if mapped else args, named)
            return str(kept(made(*args, **kwargs)))

        return guarded

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute ``left operator right`` unless that would be huge."""
        refuse_operation(operator, left, right)
        self._spend(left, right)
        return kept(super().call_binop(context, operator, left, right))

    def _step(self) -> None:
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise BudgetError(f"it takes more than {MOST_STEPS} steps")

    def _spend(self, *values: object) -> None:
        self._work += weight(*values)
        if self._work > MOST_WORK:
            raise BudgetError(f"it works on more than {MOST_WORK} characters in all")

    def _metered(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            self._step()
            yield item

    def _listed(self, value: Any) -> Any:
        """What comes one by one, as a list within the budgets: only then can anybody tell how much it is."""
        if not isinstance(value, Iterator):
            return value
        items, size = [], 0
        for item in value:
            self._step()
            size += weight(item)
            if size > MOST_TEXT:
                raise BudgetError(f"it makes a value of more than {MOST_TEXT} characters")
            items.append(item)
        return items

    def _written(self, value: Any, more: int) -> Any:
        """Count what is about to be written, at the top level or into a macro's or a block's text."""
        self._spend(kept(value))
        self._work += more
        return value

    def _concat(self, values: list[Any]) -> str:
        self._spend(kept(values))
        return str(kept("".join(str(value) for value in values)))

    def _guarded(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        first = 1 if hasattr(function, "jinja_pass_arg") else 0  # what Jinja passes to some, before the value

        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            value, rest = self._listed(args[first]), args[first + 1 :]
            if name in _WIDENING:
                refuse_width(*rest, *kwargs.values())
            if name == "format":
                refuse_percent(str(value), kwargs or rest)
            refuse_growth(name, value, rest, kwargs)
            self._spend(value, *rest, *kwargs.values())
            return kept(function(*args[:first], value, *rest, **kwargs))

        return guarded


class _Meters(NodeTransformer):
    """Puts a meter on every loop and output, and a bound on every value that is put together of others."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - Jinja's visitor
        self.generic_visit(node)
        # A loop over an iterator still knows its length, which ``loop.last`` and ``loop.length`` need.
        node.iter = _filtered(node.iter, _METER)
        return node

    def visit_Output(self, node: nodes.Output) -> nodes.Node:  # noqa: N802 - Jinja's visitor
        self.generic_visit(node)
        children: list[nodes.Expr] = []
        for child in node.nodes:
            if isinstance(child, nodes.TemplateData):
                nothing, size = nodes.Const("", lineno=child.lineno), nodes.Const(len(child.data), lineno=child.lineno)
                children += [_filtered(nothing, _WRITTEN, size), child]
            else:
                children.append(_filtered(child, _WRITTEN))
        node.nodes = children
        return node

    def visit_AssignBlock(self, node: nodes.AssignBlock) -> nodes.Node:  # noqa: N802 - Jinja's visitor
        self.generic_visit(node)
        node.filter = nodes.Filter(node.filter, _BOUND, [], [], None, None, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - Jinja's visitor
        self.generic_visit(node)
        return _filtered(nodes.List(node.nodes, lineno=node.lineno), _CONCAT)

    def visit_List(self, node: nodes.List) -> nodes.Node:  # noqa: N802 - Jinja's visitor
        self.generic_visit(node)
        return _filtered(node, _BOUND)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:  # noqa: N802 - Jinja's visitor
        self.generic_visit(node)
        return _filtered(node, _BOUND)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802 - Jinja's visitor
        self.generic_visit(node)
        return _filtered(node, _BOUND) if node.ctx == "load" else node


def _filtered(node: nodes.Node, name: str, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(cast("nodes.Expr", node), name, list(args), [], None, None, lineno=node.lineno)


def _refuse_method(owner: Any, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    if name == "join" and args:
        refuse_growth("join", args[0], (owner,), kwargs)
    elif name in {"replace", "expandtabs", "translate"}:
        refuse_growth(name, owner, args, kwargs)


def _one_line(value: Any) -> Any:
    if value is not None and not str(value).isprintable():
        raise ControlError(str(value)[:60])
    return value
