"""How does Liquid become a template of ours? python-liquid reads it, and each tag is written down again in Jinja.

So there is one sandbox, one analysis and one set of filters, whatever the author writes. The text between the tags
stays as it is, and each tag stays on its line. What Liquid has and messages may not (counters, cycles, loops without a
list) is a LiquidProblem; what it means is Liquid's: a comparison with a field that is absent is false, not an error,
and 0 is true.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from liquid import DictLoader, Environment, Mode, Token
from liquid.ast import BlockNode, Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import BooleanExpression, FilteredExpression, Nil, Path, StringLiteral, logical
from liquid.builtin.expressions.primitive import Blank, Empty, FalseLiteral, Literal, TrueLiteral
from liquid.builtin.output import OutputNode
from liquid.builtin.tags.assign_tag import AssignNode
from liquid.builtin.tags.case_tag import CaseNode, MultiExpressionBlockNode
from liquid.builtin.tags.comment_tag import CommentNode
from liquid.builtin.tags.doc_tag import DocNode
from liquid.builtin.tags.for_tag import ForNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.include_tag import IncludeNode
from liquid.builtin.tags.inline_comment_tag import InlineCommentNode
from liquid.builtin.tags.render_tag import RenderNode
from liquid.builtin.tags.unless_tag import UnlessNode
from liquid.exceptions import LiquidError
from liquid.expression import Expression

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
_BRACE = re.compile(r"\{(?=[{%#])")
_WAY_OUT = re.compile(r"\{%(-?)(\s*unsubscribe_url\s*)(-?)%\}")
_TAG = re.compile(r"\{\{.*?\}\}|\{%-?\s*(\w+).*?%\}", re.DOTALL)
_BLOCKS = ("if", "unless", "case", "for", "capture", "comment", "tablerow", "raw", "ifchanged")
_INNER = ("else", "elsif", "when")
_LOOP = {"rindex": "revindex", "rindex0": "revindex0"}
_LONGEST = 4_000
_WORDS = {
    logical.LtExpression: "<",
    logical.GtExpression: ">",
    logical.LeExpression: "<=",
    logical.GeExpression: ">=",
}


class LiquidProblem(Exception):
    """A template that cannot be read or may not be used, and its line."""

    def __init__(self, line: int, message: str) -> None:
        self.line = line
        super().__init__(message)


@dataclass(frozen=True)
class _Value:
    """An expression in Jinja. `needs` are the fields that must be there for it; `path` is set when it is one field."""

    text: str
    needs: tuple[str, ...] = ()
    path: tuple[str | int, ...] | None = None

    @property
    def is_there(self) -> str:
        """The test that all it needs is there."""
        return " and ".join(f"{need} is defined" for need in self.needs)


_Scope = dict[str, _Value]


def to_jinja(source: str) -> str:
    """Return the Jinja template that says the same as the Liquid `source`. Raises LiquidProblem."""
    try:
        nodes = _environment().from_string(_WAY_OUT.sub(r"{{\1\2\3}}", source)).nodes
        return _Writer(source).written(nodes)
    except LiquidError as error:
        has_place = error.token is not None and error.token.start_index >= 0
        line = _line(error.token) if has_place and error.token is not None else _suspect(source)
        raise LiquidProblem(line, f"this is not Liquid: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise LiquidProblem(1, "the template is nested too deeply") from None


def _environment() -> Environment:
    return Environment(tolerance=Mode.STRICT, loader=DictLoader({}))


def _line(token: Token) -> int:
    return token.source.count("\n", 0, max(0, token.start_index)) + 1


def _suspect(source: str) -> int:
    """Return the line of the first tag that cannot be read, else of the first block that is not closed."""
    open_blocks: list[tuple[str, int]] = []
    for tag in _TAG.finditer(source):
        line = source.count("\n", 0, tag.start()) + 1
        word = tag.group(1) or ""
        if word.startswith("end"):
            open_blocks = open_blocks[:-1]
            continue
        end = f"{{% end{word} %}}" if word in _BLOCKS else ""
        try:
            _environment().from_string(tag.group(0) + end if word not in _INNER else "")
        except LiquidError:
            return line
        if end:
            open_blocks.append((word, line))
    return open_blocks[0][1] if open_blocks else 1


class _Writer:
    """Writes nodes in order; what it has written counts lines, so that a tag can be put on its own."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.out: list[str] = []
        self.line = 1

    def written(self, nodes: Sequence[Node]) -> str:
        self._nodes(nodes, {})
        return "".join(self.out)

    def _text(self, text: str) -> None:
        self.out.append(_BRACE.sub("{{ '{' }}", text))
        self.line += text.count("\n")

    def _tag(self, node: Node | Expression, inner: str, marks: str = "%%") -> None:
        behind = max(0, _line(node.token) - self.line)
        self.line += behind
        self.out.append(f"{{{marks[0]}{chr(10) * behind} {inner} {marks[1]}}}")

    def _wrong(self, node: Node | Expression, message: str) -> LiquidProblem:
        return LiquidProblem(_line(node.token), message)

    def _nodes(self, nodes: Iterable[Node], scope: _Scope) -> None:
        """Write the nodes of one block; what they assign is known in the rest of it."""
        for node in nodes:
            self._node(node, scope)

    def _block(self, block: BlockNode, scope: _Scope) -> None:
        """Write a block that may not run: what it assigns is unknown after it, and so is what was there before."""
        inside = dict(scope)
        self._nodes(block.nodes, inside)
        for name, value in inside.items():
            if scope.get(name) != value:
                scope[name] = _Value("")

    def _node(self, node: Node, scope: _Scope) -> None:
        if isinstance(node, ContentNode):
            self._text(node.text)
        elif isinstance(node, OutputNode):
            self._tag(node, self._value(node.expression, scope).text, "{}")
        elif isinstance(node, AssignNode):
            value = self._value(node.expression, scope)
            if len(value.text) > _LONGEST:
                raise self._wrong(node, f"`{node.name}` has become too long; calculate it in the model")
            scope[str(node.name)] = value
        elif isinstance(node, IfNode | UnlessNode):
            self._if(node, scope)
        elif isinstance(node, CaseNode):
            self._case(node, scope)
        elif isinstance(node, ForNode):
            self._for(node, scope)
        elif isinstance(node, RenderNode | IncludeNode):
            self._snippet(node)
        elif not isinstance(node, CommentNode | InlineCommentNode | DocNode):
            word = node.token.value
            raise self._wrong(
                node,
                f"`{{% {word} %}}` cannot be used in a message; expected `if`, `unless`, `case`, `for` or `assign`",
            )

    def _if(self, node: IfNode | UnlessNode, scope: _Scope) -> None:
        test = self._test(node.condition, scope)
        self._tag(node, f"if not ({test})" if isinstance(node, UnlessNode) else f"if {test}")
        self._block(node.consequence, scope)
        for branch in node.alternatives:
            self._tag(branch, f"elif {self._test(branch.expression, scope)}")
            self._block(branch.block, scope)
        if node.default is not None:
            self._tag(node.default, "else")
            self._block(node.default, scope)
        self.out.append("{% endif %}")

    def _case(self, node: CaseNode, scope: _Scope) -> None:
        left = self._value(node.expression, scope)
        word = "if"
        for block in node.blocks:
            if isinstance(block, MultiExpressionBlockNode):
                options = block.expression.expressions
                tests = [self._same(left, node.expression, self._value(option, scope), option) for option in options]
                self._tag(block, f"{word} {' or '.join(tests)}")
                word = "elif"
                self._block(block.block, scope)
            elif word == "elif" and block is node.blocks[-1]:
                self._tag(block, "else")
                self._block(block, scope)
            else:
                raise self._wrong(block, "`else` stands at the end of a `case`, after a `when`")
        if word == "elif":
            self.out.append("{% endif %}")

    def _for(self, node: ForNode, scope: _Scope) -> None:
        loop = node.expression
        if not isinstance(loop.iterable, Path):
            raise self._wrong(node, "a loop goes over a list of the data: `{% for item in event.items %}`")
        over = self._value(loop.iterable, scope)
        name, text = str(loop.identifier), over.text
        if loop.limit is not None or loop.offset is not None:
            counts = [
                "200" if loop.limit is None else self._value(loop.limit, scope).text,
                "0" if loop.offset is None else self._value(loop.offset, scope).text,
            ]
            text += f"|take({', '.join(counts)})"
        if loop.reversed:
            text += "|reverse"
        # In Liquid a list that is not there is an empty one.
        if over.needs:
            self._tag(node, f"if {over.is_there}")
        self._tag(node, f"for {name} in {text}")
        inside = {**scope, name: _Value(name, (), (name,)), "forloop": _Value("loop", (), ("loop",))}
        before = dict(inside)
        self._nodes(node.block.nodes, inside)
        self._forget(scope, before, inside)
        self.out.append("{% endfor %}")
        if node.default is not None:
            # Without `else`, nothing; with it, for an absent list and for an empty one.
            raise self._wrong(node, "a loop with `else` cannot be used; put `{% if list == empty %}` before it")
        if over.needs:
            self.out.append("{% endif %}")

    def _forget(self, scope: _Scope, before: _Scope, after: _Scope) -> None:
        for name, value in after.items():
            if before.get(name) != value:
                scope[name] = _Value("")

    def _snippet(self, node: RenderNode | IncludeNode) -> None:
        name = node.name
        if not isinstance(name, StringLiteral) or node.var is not None or node.args:
            raise self._wrong(
                node, "a snippet takes no values; expected `{% render 'name' %}` or `{{ snippets.name }}`"
            )
        self._tag(node, f"snippets.{name.value}", "{}")

    def _test(self, expression: Expression, scope: _Scope) -> str:  # noqa: PLR0911 (one return for each kind)
        if isinstance(expression, BooleanExpression):
            return self._test(expression.expression, scope)
        if isinstance(expression, logical.LogicalAndExpression | logical.LogicalOrExpression):
            word = "and" if isinstance(expression, logical.LogicalAndExpression) else "or"
            return f"({self._test(expression.left, scope)} {word} {self._test(expression.right, scope)})"
        if isinstance(expression, logical.LogicalNotExpression):
            return f"not ({self._test(expression.right, scope)})"
        if isinstance(expression, logical.EqExpression | logical.NeExpression):
            left, right = self._value(expression.left, scope), self._value(expression.right, scope)
            same = self._same(left, expression.left, right, expression.right)
            return f"not {same}" if isinstance(expression, logical.NeExpression) else same
        if isinstance(expression, logical.ContainsExpression):
            left, right = self._value(expression.left, scope), self._value(expression.right, scope)
            return _guarded(f"({right.text}) in ({left.text})", left, right)
        word = _WORDS.get(type(expression), "")
        if word:
            left, right = self._value(expression.left, scope), self._value(expression.right, scope)  # type: ignore[attr-defined]
            return _guarded(f"({left.text}) {word} ({right.text})", left, right)
        value = self._value(expression, scope)
        needs = value.needs if value.path is None else value.needs[:-1]
        return _guarded(f"({value.text}) is truthy", replace(value, needs=needs))

    def _same(self, left: _Value, first: Expression, right: _Value, second: Expression) -> str:
        """Return the test that two values are the same, as Liquid has it: with `blank`, with nothing, with a value."""
        if isinstance(first, _NOTHING):
            left, first, right, second = right, second, left, first
        if isinstance(second, Nil):
            return f"(not ({left.is_there}))" if left.needs else "(1 == 2)"
        if isinstance(second, Empty | Blank):
            if len(left.needs) > 1:
                outer = replace(left, needs=left.needs[:-1])
                return f"(not ({outer.is_there}) or ({left.text}) is blank)"
            return f"(({left.text}) is blank)"
        same = _guarded(f"({left.text}) is same({right.text})", left, right)
        if left.needs and right.needs:
            return f"({same} or not ({left.is_there}) and not ({right.is_there}))"
        return same

    def _value(self, expression: Any, scope: _Scope) -> _Value:
        if isinstance(expression, FilteredExpression):
            value = self._value(expression.left, scope)
            for applied in expression.filters or ():
                value = self._filtered(value, applied, scope)
            return value
        if isinstance(expression, Path):
            return self._path(expression, scope)
        if isinstance(expression, Nil | Empty | Blank):
            return _Value("''")
        if isinstance(expression, TrueLiteral | FalseLiteral):
            return _Value("true" if expression.value else "false")
        if isinstance(expression, StringLiteral):
            return _Value(_quoted(str(expression.value)))
        if isinstance(expression, Literal) and isinstance(expression.value, int | float):
            return _Value(repr(expression.value))
        raise self._wrong(expression, "this cannot be used in a message; expected a field, a text or a number")

    def _filtered(self, value: _Value, applied: Any, scope: _Scope) -> _Value:
        arguments = []
        for argument in applied.args:
            name = getattr(argument, "name", None)
            text = self._value(argument.value, scope).text
            arguments.append(f"{name}={text}" if name else text)
        call = f"|{applied.name}({', '.join(arguments)})" if arguments else f"|{applied.name}"
        base = value.text if value.path is not None or "|" in value.text else f"({value.text})"
        if applied.name != "default":
            return _Value(base + call, value.needs)
        if value.path is not None and len(value.needs) == 1:
            return _Value(base + call)
        fallback = arguments[0] if arguments else "''"
        return _Value(f"({base}{call} if {value.is_there} else {fallback})" if value.needs else base + call)

    def _path(self, expression: Path, scope: _Scope) -> _Value:
        parts = list(expression.path)
        known = scope.get(parts[0]) if isinstance(parts[0], str) else None
        if any(not isinstance(part, str | int) for part in parts):
            raise self._wrong(expression, "a field is named by its name, not by another field")
        if known is not None and not known.text:
            raise self._wrong(
                expression,
                f"`{parts[0]}` is assigned in a branch or a loop; use it there, or put an `if` where it is used",
            )
        if known is not None and len(parts) == 1:
            return known
        if known is not None:
            if known.path is None:
                raise self._wrong(expression, f"`{parts[0]}` is no record; it has no fields")
            parts = [*known.path, *parts[1:]]
        if parts[0] == "loop" and len(parts) == 2:
            parts[1] = _LOOP.get(str(parts[1]), parts[1])
        text, needs = str(parts[0]), []
        if not _PLAIN.fullmatch(text):
            raise self._wrong(expression, f"`{text}` is not known here; expected a field such as `customer.first_name`")
        for part in parts[1:]:
            is_plain = isinstance(part, str) and _PLAIN.fullmatch(part)
            text += f".{part}" if is_plain else f"[{part}]" if isinstance(part, int) else f"[{_quoted(str(part))}]"
            needs.append(text)
        is_standing = len(parts) == 1 or parts[0] in ("snippets", "loop")
        return _Value(text, () if is_standing else tuple(needs), tuple(parts))  # type: ignore[arg-type]


_NOTHING = (Nil, Empty, Blank)


def _guarded(test: str, *values: _Value) -> str:
    needs = " and ".join(value.is_there for value in values if value.needs)
    return f"({needs} and {test})" if needs else f"({test})"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"
