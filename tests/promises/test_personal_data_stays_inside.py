"""Personal data stays inside: no CPF, contact or credential is in a log."""

import json

from promises.conftest import Product


class TestTheLogs:
    async def test_hold_nothing_personal_and_no_credential(self, product: Product) -> None:
        product.stage.start_poller()
        person = product.people[2]

        await product.deliver("c" * 32, person)
        await product.until_all_ended()
        product.stage.end_all()

        logs = "".join(product.stage.log_of(name).read_text() for name in ("web", "poller"))
        assert json.loads(logs.splitlines()[0])
        for secret in (person.cpf, person.phone, person.email, "a-work-token", "a-password", "demo-webhook-token"):
            assert secret not in logs
