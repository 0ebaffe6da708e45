"""Pages as HTML: what stands around every one of them, and the login."""

from collections.abc import Sequence
from datetime import tzinfo
from functools import cache
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote
from zlib import crc32

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from c2s_enrich.console.page import Page, Visit, address, path_of
from c2s_enrich.console.table import COUNTED
from c2s_enrich.console.words import LANGUAGES, N_, Words, lines, utc
from c2s_enrich.ops.causes import Language, sentences
from c2s_enrich.ops.problems import Problem
from c2s_enrich.settings import database_name

SAID, NAME = "c2s_said", "c2s_name"
_MENU = (
    ("/", N_("Overview")),
    ("/events", N_("Events")),
    ("/errors", N_("Errors")),
    ("/upstreams", N_("Upstreams")),
    ("/messages", N_("Messages")),
    ("/rejects", N_("Rejects")),
    ("/pollers", N_("Pollers")),
    ("/actions", N_("Actions")),
)


class Shown:
    def __init__(self, zone: tzinfo) -> None:
        self.words = {language: Words(language, zone) for language in LANGUAGES}
        self._templates = {language: _environment(words) for language, words in self.words.items()}

    def page(self, visit: Visit, page: Page, problems: Sequence[Problem]) -> Response:
        """A page with what is wrong with the service above it."""
        query, database = visit.request.query_params, database_name(visit.tools.settings)
        said, pages = unquote(visit.request.cookies.get(SAID, "")), sentences("problems")
        around = {
            "visit": visit,
            "words": visit.words,
            "title": page.title,
            "table": page.table,
            "menu": _MENU,
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
        template = self._templates[visit.words.language].get_template(page.template)
        text = template.render(around | dict(page.context))
        answer = Response(text, page.status, media_type="text/html; charset=utf-8")
        if said:
            answer.delete_cookie(SAID)
        return answer

    def login(
        self, request: Request, language: Language, target: str, sentence: str, status: int
    ) -> Response:
        text = self._templates[language].get_template("login.html").render(
            words=self.words[language], title=N_("Log in"), target=target, sentence=sentence,
            name=unquote(request.cookies.get(NAME, "")),
        )  # fmt: skip
        return Response(text, status, media_type="text/html; charset=utf-8")


@cache
def shown(zone: tzinfo) -> Shown:
    """Once in a process: a template takes 0.1 s of CPU when it is first shown."""
    return Shown(zone)


def _environment(words: Words) -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    cast(Any, made).install_gettext_translations(words, newstyle=True)
    made.filters.update(
        {
            "text": words.text, "number": words.number, "seconds": words.seconds, "utc": utc,
            "lines": lines,
        }
    )  # fmt: skip
    made.globals.update({"code": words.code, "address": address, "counted": COUNTED})
    return made
