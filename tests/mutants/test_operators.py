"""Every operator of a function becomes a switch, and nothing outside of functions does."""

from __future__ import annotations

from typing import Any

from proofs.operators import Place, switched

SOURCE = '''
LIMIT = 3


def is_small(number, least=0):
    """A docstring is not an expression."""
    match number:
        case 7:
            return False
    return least < number <= LIMIT or (number < 1 and not number)
'''


def compiled(chosen: int | None) -> tuple[Any, list[Place]]:
    """The function with one switch thrown."""
    tree, places = switched(SOURCE, "a.py", 0)
    names: dict[str, Any] = {"__mutant__": lambda number: number == chosen}
    exec(compile(tree, "a.py", "exec"), names)  # noqa: S102 what these switches are for
    return names["is_small"], places


class TestTheSwitches:
    def test_leave_the_module_as_it_is_until_one_is_thrown(self) -> None:
        function, _ = compiled(None)

        assert [function(number) for number in (0, 1, 3, 4, 7)] == [True, True, True, False, False]

    def test_are_at_every_operator_inside_of_a_function_and_nowhere_else(self) -> None:
        _, places = compiled(None)

        assert {(place.right, place.changed) for place in places} == {
            ("False", "True"),
            ("number < 1", "number <= 1"),
            ("1", "2"),
            ("not number", "number"),
            ("number < 1 and (not number)", "number < 1 or not number"),
            (
                "least < number <= LIMIT or (number < 1 and (not number))",
                "least < number <= LIMIT and (number < 1 and (not number))",
            ),
        }

    def test_change_what_the_function_says(self) -> None:
        changed = 0
        for place in compiled(None)[1]:
            function, _ = compiled(place.number)
            answers = [function(number) for number in (0, 1, 3, 4, 7)]
            changed += answers != [True, True, True, False, False]

        assert changed >= 3
