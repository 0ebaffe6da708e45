"""The three upstreams as lean as they can be: one process, canned answers, latencies by contact.

usage: upstreams.py PORT SCALE      latencies are those of the real services times SCALE; 0: none

The simulators of the sandbox would be the bottleneck here: they cost more than the poller. A
contact names its person by number (see `bench/pipeline.py`), so nothing has to be looked up.
GET /calls tells when each call began and ended, in seconds of the monotonic clock.
"""

import asyncio
import json
import random
import re
import sys
import time

import httptools

PORT, SCALE = int(sys.argv[1]), float(sys.argv[2])
RANGES = {"phone": (2, 5), "email": (2, 5), "record": (3, 10), "message": (1, 2)}
calls: dict[str, list[float]] = {}


def cpf_of(number: int) -> str:
    digits = [int(c) for c in f"{number + 100_000_000:09d}"]
    for _ in range(2):
        rest = sum(d * w for d, w in zip(digits, range(len(digits) + 1, 1, -1), strict=True)) % 11
        digits.append(0 if rest < 2 else 11 - rest)
    return "".join(map(str, digits))


def seconds_of(kind: str, number: int) -> float:
    low, high = RANGES[kind]
    return random.Random(f"{kind} {number}").uniform(low, high) * SCALE


def record(number: int) -> dict[str, object]:
    return {
        "DadosBasicos": {
            "nome": f"PESSOA DE TESTE {number}", "cpf": cpf_of(number),
            "dataNascimento": "01/02/1980", "sexo": "F", "nomeMae": "MAE DE TESTE",
        },
        "DadosEconomicos": {"renda": "6089,28", "score": {"scoreCSB": "700"}},
        "telefones": [{"telefone": f"119{number:08d}", "whatsapp": "SIM"}] * 3,
        "enderecos": [{"logradouro": "RUA DE TESTE", "logradouroNumero": "1", "cidade": "SAO PAULO",
                       "uf": "SP", "cep": "01310100"}] * 2,
        "emails": [{"email": f"p{number}@example.com"}],
    }  # fmt: skip


def answer(path: str) -> tuple[str, int, int, object]:
    """Kind, person's number, status and document for one request."""
    if found := re.search(r"/Telefone/119(\d{8})$", path):
        number = int(found[1])
        return "phone", number, 200, [{"nome": f"PESSOA DE TESTE {number}", "cpf": cpf_of(number)}]
    if found := re.search(r"/Email/p(\d+)(?:@|%40)", path):
        number = int(found[1])
        return "email", number, 200, [{"nome": f"PESSOA DE TESTE {number}", "cpf": cpf_of(number)}]
    if found := re.search(r"consulta=(\d{11})", path):
        number = int(found[1][:9]) - 100_000_000
        return "record", number, 200, record(number)
    if found := re.search(r"/leads/lead-(\d+)/create_message", path):
        number = int(found[1])
        return "message", number, 201, {"data": {"id": f"lead-{number}", "messages": []}}
    if found := re.search(r"/leads/lead-(\d+)$", path):
        # Asked by a read-back: the message is there, whatever its ref.
        texts = [{"id": "1", "body": messages.get(int(found[1]), "")}]
        document = {"data": {"id": f"lead-{found[1]}", "attributes": {"messages": texts}}}
        return "lead", int(found[1]), 200, document
    return "calls", 0, 200, calls


messages: dict[int, str] = {}


class Server(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)
        self.body = b""

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.path = url.decode()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        began = time.monotonic()
        kind, number, status, document = answer(self.path)
        if kind == "message":
            messages[number] = json.loads(self.body)["body"]
        self.body = b""
        body = json.dumps(document).encode()
        head = f"HTTP/1.1 {status} OK\r\ncontent-type: application/json\r\n"
        whole = head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body
        if SCALE and kind in RANGES:
            asyncio.get_running_loop().call_later(
                seconds_of(kind, number), self.done, kind, number, began, whole
            )
        else:
            self.done(kind, number, began, whole)

    def done(self, kind: str, number: int, began: float, whole: bytes) -> None:
        if kind in RANGES:
            calls[f"{kind} {number}"] = [began, time.monotonic(), seconds_of(kind, number)]
        if not self.transport.is_closing():  # type: ignore[attr-defined]
            self.transport.write(whole)  # type: ignore[attr-defined]


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", PORT, backlog=2048)
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main())
