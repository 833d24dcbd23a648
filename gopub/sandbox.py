"""A Jinja2 that cannot reach out, cannot guess and always ends: the same template and variables give the same text.

Templates come with a signed release, variables from inventories that many people write. So: the immutable sandbox,
an undefined variable is an error, no randomness, no loader; and budgets instead of a clock, because a result must
not depend on how fast a machine is: steps of all loops and calls, size of any value, size of the text.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, UndefinedError, nodes
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from gopub.errors import SpecError, Where

MOST_SOURCE = 256 * 1024  # characters of a template
MOST_TEXT = 1024 * 1024  # characters of what it makes, and of any value on the way
MOST_STEPS = 50_000  # rounds of all loops and calls of one template
MOST_NUMBER = 100_000  # as an argument of a filter or method (widths, counts)
_WIDE = re.compile(r"\d{5,}|:[^{}]*\{")  # a width of five digits in a format, or one that is computed
_WIDENING = frozenset({"batch", "center", "indent", "slice", "tojson"})  # filters whose arguments are sizes
_METER, _BOUND = "gopub_metered", "gopub_bounded"


class BudgetError(Exception):
    """A template wants more steps or more text than it may have."""


class TemplateFault(Exception):  # noqa: N818 - whoever knows the template's place makes the error of it
    """What is wrong with a template: the problem, its line (0: unknown), and whether it is a name or a budget."""

    def __init__(self, problem: str, line: int = 0, *, undefined: bool = False, excess: bool = False) -> None:
        """Keep the parts."""
        super().__init__(problem)
        self.line, self.undefined, self.excess = line, undefined, excess

    def told(self, where: Where, what: str = "template") -> SpecError:
        """The error that users read: GP407, or GP408 for one that wants too much."""
        if self.excess:
            return SpecError("GP408", f"{what}: {self}", hint="keep templates small", where=where)
        hint = "variables are those of the host, of its groups and of the release" if self.undefined else ""
        return SpecError("GP407", f"{what}: {self}", hint=hint, where=where)


def fill(source: str, variables: Mapping[str, Any], finalize: Callable[[Any], Any] | None = None) -> str:
    """The template's text, in a sandbox of its own; ``finalize`` sees every value before it becomes text.

    Raises:
        TemplateFault: it is wrong, asks for what is not there, or wants too much.
    """
    with _faults():
        text = Sandbox(finalize).text(source, variables)
        text.encode()  # a lone surrogate is no text
        return text


def check_syntax(source: str) -> None:
    """See whether a template can be read at all; its variables need not be known.

    Raises:
        TemplateFault: its syntax is wrong, or it is too large.
    """
    with _faults():
        Sandbox().compiled(source)


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except TemplateSyntaxError as error:
        raise TemplateFault(error.message or "it cannot be read", error.lineno) from error
    except BudgetError as error:
        raise TemplateFault(str(error), excess=True) from error
    except RecursionError as error:
        raise TemplateFault("it calls itself without end", excess=True) from error
    except (TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise TemplateFault(str(error), _line_of(error), undefined=isinstance(error, UndefinedError)) from error


def _line_of(error: BaseException) -> int:
    """The template's line where it happened: Jinja rewrites tracebacks so that they name it."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


class Sandbox(ImmutableSandboxedEnvironment):
    """One template's environment; make a new one for each template, for it counts steps."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, finalize: Callable[[Any], Any] | None = None) -> None:
        """``finalize`` sees every value before it becomes text."""
        super().__init__(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True, finalize=finalize)
        self._steps = 0
        del self.filters["random"], self.globals["lipsum"]
        self.filters = {name: _narrow(name, function) for name, function in self.filters.items()}
        self.filters |= {_METER: self._metered, _BOUND: _bounded}

    def text(self, source: str, variables: Mapping[str, Any]) -> str:
        """The template's text.

        Raises:
            BudgetError: a budget is used up.
            jinja2.TemplateError: it is wrong, or asks for what is not there.
        """
        parts, size = [], 0
        for part in self.compiled(source).generate(variables):  # not as keywords: one may be named self
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
        if isinstance(getattr(__obj, "__self__", None), str):
            _check_width("", *args, *kwargs.values())
        return super().call(__context, __obj, *args, **kwargs)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Guard ``str.format``, as the sandbox does, and refuse widths that make huge texts."""
        owner = getattr(value, "__self__", None)
        if isinstance(owner, str) and getattr(value, "__name__", "") in {"format", "format_map"}:
            _check_width(owner)
        return super().wrap_str_format(value)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute ``left operator right`` unless that would be huge."""
        if operator == "**" and not (abs(right) <= 64 and abs(left) <= MOST_NUMBER):
            raise BudgetError(f"{left} ** {right} is too large")
        if operator == "*" and _length(left) * _factor(right) + _length(right) * _factor(left) > MOST_TEXT:
            raise BudgetError("a repetition is too long")
        if operator == "%" and isinstance(left, str):
            _check_width(left)
        return _bounded(super().call_binop(context, operator, left, right))

    def _step(self) -> None:
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise BudgetError(f"it takes more than {MOST_STEPS} steps")

    def _metered(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            self._step()
            yield item


class _Meters(NodeTransformer):
    """Puts a meter on every loop and a bound on every concatenation."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - Jinja's visitor
        self.generic_visit(node)
        # A loop over an iterator still knows its length, which ``loop.last`` and ``loop.length`` need.
        node.iter = nodes.Filter(node.iter, _METER, [], [], None, None, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - Jinja's visitor
        self.generic_visit(node)
        return nodes.Filter(node, _BOUND, [], [], None, None, lineno=node.lineno)


def _narrow(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    own = 2 if hasattr(function, "jinja_pass_arg") else 1  # the value, and before it what Jinja passes to some

    @functools.wraps(function)
    def narrow(*args: Any, **kwargs: Any) -> Any:
        if name in _WIDENING:
            _check_width("", *args[own:], *kwargs.values())
        if name == "format":
            _check_width(str(args[0]))
        return _bounded(function(*args, **kwargs))

    return narrow


def _check_width(pattern: str, *values: object) -> None:
    if _WIDE.search(pattern):
        raise BudgetError(f"a width in {pattern[:40]!r} is too large")
    for value in values:
        if isinstance(value, int) and abs(value) > MOST_NUMBER and not isinstance(value, bool):
            raise BudgetError(f"{value} is too large for a filter or a method")


def _bounded(value: Any) -> Any:
    if _length(value) > MOST_TEXT:
        raise BudgetError(f"it makes a value of more than {MOST_TEXT} characters")
    return value


def _length(value: object) -> int:
    return len(value) if isinstance(value, str | bytes | list | tuple) else 0


def _factor(value: object) -> int:
    return value if isinstance(value, int) else 0
