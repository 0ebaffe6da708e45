"""Reading a lead's messages back: what is not shown is unknown, never taken for "not there"."""

import msgspec
import pytest

from c2s_enrich.errors import Unreadable
from c2s_enrich.upstreams.c2s_answers import read_messages
from c2s_enrich.upstreams.response import Response


def answer(data: object) -> Response:
    return Response(
        "c2s", 200, {"content-type": "application/json"}, msgspec.json.encode({"data": data})
    )


class TestTheMessagesOfALead:
    @pytest.mark.parametrize("messages", [[], [{"body": "Olá\n\nref ABCDEFGH"}]])
    def test_are_read_where_c2s_lists_them(self, messages: list[dict[str, str]]) -> None:
        texts = read_messages(answer({"id": "a", "attributes": {}, "messages": messages}))

        assert texts == tuple(message["body"] for message in messages)

    def test_are_read_from_the_attributes_too(self) -> None:
        assert read_messages(
            answer({"id": "a", "attributes": {"messages": [{"message": "oi"}]}})
        ) == ("oi",)

    @pytest.mark.parametrize(
        "lead",
        [
            {"id": "a", "attributes": {}},
            {"id": "a", "attributes": {"messages": None}, "messages": None},
        ],
    )
    def test_are_unknown_where_c2s_lists_none(self, lead: dict[str, object]) -> None:
        with pytest.raises(Unreadable, match="no list of messages"):
            read_messages(answer(lead))
