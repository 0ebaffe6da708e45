"""What a run says: a table of goals, results.json, and charts as plain SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results.json")


@dataclass(frozen=True)
class Goal:
    """One ratio of a run. `at_most` tells on which side of `goal` it should lie."""

    name: str
    value: float | None
    goal: float
    beyond: float | None = None
    at_most: bool = True

    @property
    def verdict(self) -> str:
        """In one word, for the table."""
        if self.value is None:
            return "not measured"
        if self.beyond is not None and self._within(self.beyond):
            return "beyond"
        return "reached" if self._within(self.goal) else "missed"

    def _within(self, bound: float) -> bool:
        assert self.value is not None
        return self.value <= bound if self.at_most else self.value >= bound

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"verdict": self.verdict}


def ratio(above: Any, below: Any) -> float | None:
    """A ratio to three digits; None where one of the two was not measured."""
    if not above or not below:
        return None
    return round(float(above) / float(below), 3)


def table(goals: Sequence[Goal]) -> str:
    """The goals in columns."""
    lines = [f"{'ratio':66} {'value':>8} {'goal':>8}  verdict"]
    for each in goals:
        value = "–" if each.value is None else f"{each.value:g}"
        sign = "≤" if each.at_most else "≥"
        lines.append(f"{each.name:66} {value:>8} {sign + f'{each.goal:g}':>8}  {each.verdict}")
    return "\n".join(lines)


def markdown(goals: Sequence[Goal]) -> str:
    """The same as a table of a document."""
    lines = ["| | seen | goal | |", "| --- | --- | --- | --- |"]
    for each in goals:
        sign = "≤" if each.at_most else "≥"
        seen = "–" if each.value is None else f"{each.value:g}"
        lines.append(f"| {each.name} | {seen} | {sign} {each.goal:g} | {each.verdict} |")
    return "\n".join(lines)


def between(text: str, mark: str, block: str) -> str:
    """The document with `block` between its two comments of this mark. Raises ValueError."""
    before, found, rest = text.partition(f"<!-- {mark} -->\n")
    _, end, after = rest.partition(f"<!-- end of {mark} -->")
    if not (found and end):
        raise ValueError(f"the document has no place for {mark}")
    return f"{before}{found}{block}\n{end}{after}"


def chart(path: Path, title: str, unit: str, values: Mapping[str, float], ours: str) -> None:
    """Horizontal bars, ours in another colour; numbers as text, so that the picture can be read."""
    width, left, row = 640, 130, 26
    height = 44 + row * len(values) + 8
    most = max(values.values(), default=1.0) or 1.0
    bars = []
    for place, (name, value) in enumerate(sorted(values.items(), key=lambda item: -item[1])):
        y = 40 + row * place
        length = max(1.0, (width - left - 110) * value / most)
        colour = "#0b6e4f" if name == ours else "#8a97a6"
        bars.append(
            f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{left}" y="{y}" width="{length:.0f}" height="18" fill="{colour}"/>'
            f'<text x="{left + length + 6:.0f}" y="{y + 14}">{value:,.6g}</text>'
        )
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13" fill="#222">'
        f'<rect width="{width}" height="{height}" fill="#fff"/>'
        f'<text x="8" y="22" font-size="15">{escape(title)} ({escape(unit)})</text>'
        f"{''.join(bars)}</svg>\n"
    )
