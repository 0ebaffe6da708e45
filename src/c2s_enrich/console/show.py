"""Pages as HTML: the templates, and what stands around every page."""

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from functools import cache, partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, unquote
from zlib import crc32

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from c2s_enrich.console import words as spoken
from c2s_enrich.console.page import Page, Visit, address, path_of
from c2s_enrich.console.words import Words
from c2s_enrich.ops.causes import Language, sentences
from c2s_enrich.ops.problems import Problem
from c2s_enrich.settings import database_name

SAID = "c2s_said"
COUNTED = 10_000


@cache
def words_of(language: Language, zone: tzinfo) -> Words:
    return Words(language, zone)


def render(words: Words, template: str, context: Mapping[str, Any], status: int) -> Response:
    text = _templates(words).get_template(template).render(context, words=words)
    return HTMLResponse(text, status)


def show(visit: Visit, page: Page, problems: Sequence[Problem]) -> Response:
    """A page with what is wrong with the service above it."""
    query, database = visit.request.query_params, database_name(visit.tools.settings)
    said, pages = unquote(visit.request.cookies.get(SAID, "")), sentences("problems")
    around = {
        "visit": visit,
        "may": visit.session.may_act,
        "table": page.table,
        "problems": [(each, pages.get(each.code, {}).get("page", "/")) for each in problems],
        "database": database,
        "bar": crc32(database.encode()) % 5,
        "said": said,
        "live": "live" in query and page.status == 200,
        "here": lambda **words: address(
            path_of(visit.request), **(dict(query) | {"live": None} | words)
        ),
        "form_address": lambda form: address(path_of(visit.request) + form, **query),
    }
    answer = render(visit.words, page.template, around | dict(page.context), page.status)
    if said:
        answer.delete_cookie(SAID)
    return answer


@cache
def _templates(words: Words) -> Environment:
    """Once in a process: a template takes 0.1 s of CPU when it is first shown."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    cast(Any, made).install_gettext_translations(words, newstyle=True)
    made.filters |= {
        "text": words.text,
        "number": words.number,
        "seconds": spoken.seconds,
        "utc": spoken.utc,
        "lines": spoken.lines,
        "quoted": partial(quote, safe=""),
    }
    made.globals.update(code=words.code, address=address, counted=COUNTED)
    return made
