"""Reading a lead's messages back: what is not shown is unknown, never taken for "not there"."""

import pytest
from tests.upstreams.conftest import MakeRig, answering

from c2s_enrich.errors import Unreadable


class TestTheMessagesOfALead:
    @pytest.mark.parametrize("messages", [[], [{"body": "Olá\n\nref ABCDEFGH"}]])
    async def test_are_read_where_c2s_lists_them(
        self, make_rig: MakeRig, messages: list[dict[str, str]]
    ) -> None:
        lead = {"id": "a", "attributes": {}, "messages": messages}
        rig = await make_rig(answering(json={"data": lead}))

        assert await rig.c2s.messages("a") == tuple(message["body"] for message in messages)

    async def test_are_read_from_the_attributes_too(self, make_rig: MakeRig) -> None:
        lead = {"id": "a", "attributes": {"messages": [{"message": "oi"}]}}
        rig = await make_rig(answering(json={"data": lead}))

        assert await rig.c2s.messages("a") == ("oi",)

    @pytest.mark.parametrize(
        "lead",
        [
            {"id": "a", "attributes": {}},
            {"id": "a", "attributes": {"messages": None}, "messages": None},
        ],
    )
    async def test_are_unknown_where_c2s_lists_none(
        self, make_rig: MakeRig, lead: dict[str, object]
    ) -> None:
        rig = await make_rig(answering(json={"data": lead}))

        with pytest.raises(Unreadable, match="no list of messages"):
            await rig.c2s.messages("a")
