"""Every small change of an expression, as switches inside one compiled module.

Each place is compiled as `changed if __mutant__(number) else right`, so that one import holds all
mutants and a test run chooses one. Only expressions inside functions are changed: what a module
evaluates when it is imported cannot be switched any more.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}


@dataclass(frozen=True)
class Place:
    """One mutant: where it is, and which expression it changes, and into what."""

    number: int
    file: str
    line: int
    right: str
    changed: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.right}  →  {self.changed}"


class Switches(ast.NodeTransformer):
    """Puts the switches into one module; `places` then holds its mutants."""

    def __init__(self, file: str, first: int) -> None:
        self.places: list[Place] = []
        self._file = file
        self._first = first
        self._depth = 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        # Decorators, defaults and annotations are evaluated at import.
        self._depth += 1
        node.body = [self.visit(statement) for statement in node.body]
        self._depth -= 1
        return node

    def visit_match_case(self, node: ast.match_case) -> ast.AST:
        # A pattern is not an expression.
        node.guard = self.visit(node.guard) if node.guard else None
        node.body = [self.visit(statement) for statement in node.body]
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.value = self.visit(node.value) if node.value else None
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        return node if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        right = ast.unparse(node) if isinstance(node, ast.expr) else ""
        # Copied before the switches of what is inside are put in.
        found = _changes(node) if isinstance(node, ast.expr) and self._depth else ()
        changes = [deepcopy(changed) for changed in found]
        node = super().generic_visit(node)
        for changed in changes:
            place = Place(
                self._first + len(self.places),
                self._file,
                getattr(node, "lineno", 0),
                right,
                ast.unparse(changed),
            )
            self.places.append(place)
            ask = ast.Call(ast.Name("__mutant__", ast.Load()), [ast.Constant(place.number)], [])
            assert isinstance(node, ast.expr)
            node = ast.copy_location(ast.IfExp(ask, changed, node), node)
        return node


def _changes(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.Compare(left, [operator], [other]):
            yield ast.Compare(left, [_COMPARISONS[type(operator)]()], [other])
        case ast.BoolOp(operator, values):
            yield ast.BoolOp(ast.Or() if isinstance(operator, ast.And) else ast.And(), values)
        case ast.UnaryOp(ast.Not(), operand):
            yield operand
        case ast.BinOp(left, operator, right) if type(operator) in _ARITHMETIC:
            yield ast.BinOp(left, _ARITHMETIC[type(operator)](), right)
        case ast.IfExp(_, body, other):
            yield body
            yield other
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() as value):
            yield ast.Constant(value + 1)
        case ast.Constant(str() as value):
            yield ast.Constant(value + "XX")


def switched(source: str, file: str, first: int) -> tuple[ast.Module, list[Place]]:
    """The module with its switches, and its mutants, numbered from `first`."""
    switches = Switches(file, first)
    tree = ast.fix_missing_locations(switches.visit(ast.parse(source)))
    assert isinstance(tree, ast.Module)
    return tree, switches.places
