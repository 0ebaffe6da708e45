"""The people of the tests. Nobody real: names are common ones, CPFs are drawn from a seed and given
their check digits.

Ana is one clear match. Bruno has a homonym behind his e-mail. Nobody knows Carla. Davi left no
phone, and his payload is odd.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date
from typing import Any

from c2s_enrich.hashing import HashKeys
from c2s_enrich.options import Secret
from c2s_enrich.people.cpf import Candidate, Cpf

# The day on which all ages of the golden messages are counted.
TODAY = date(2026, 3, 10)
KEYS = HashKeys(Secret("a-hash-key-of-at-least-32-characters"))


@dataclass(frozen=True)
class Person:
    """`phone` is DDD and subscriber. `born` is dd/mm/yyyy, as the Work API writes it."""

    name: str
    cpf: Cpf
    phone: str
    email: str
    born: str
    sex: str

    @property
    def candidate(self) -> Candidate:
        """The person as a source suggests them."""
        return Candidate(self.cpf, self.name)


def with_check_digits(nine: str) -> str:
    """The CPF whose first nine digits are given: each check digit is the weighted sum times ten,
    modulo eleven.
    """
    digits = [int(digit) for digit in nine]
    for _ in range(2):
        weighted = sum(
            digit * weight
            for digit, weight in zip(digits, range(len(digits) + 1, 1, -1), strict=True)
        )
        digits.append(weighted * 10 % 11 % 10)
    return "".join(map(str, digits))


def a_cpf(seed: int) -> Cpf:
    """A valid CPF, always the same for a seed. It begins with no zero, so that each test loses its
    own on purpose.
    """
    cpf = Cpf.parse(with_check_digits(str(random.Random(seed).randint(100_000_000, 999_999_999))))
    assert cpf is not None
    return cpf


ANA = Person(
    "ANA CLARA DE SOUZA LIMA",
    a_cpf(1),
    "11987650001",
    "ana.lima@example.com",
    "05/03/1990",
    "F - FEMININO",
)
BRUNO = Person(
    "BRUNO ALVES PEREIRA",
    a_cpf(2),
    "21987650002",
    "bruno.pereira@example.com",
    "17/11/1984",
    "M - MASCULINO",
)
BRUNO_THE_HOMONYM = Person(
    "BRUNO ALVES PEREIRA", a_cpf(3), "31987650003", "bap@example.com", "02/08/1971", "M - MASCULINO"
)
CARLA = Person(
    "CARLA MENDES ROCHA",
    a_cpf(4),
    "55987650004",
    "carla.rocha@example.com",
    "30/06/1995",
    "F - FEMININO",
)
DAVI = Person(
    "DAVI NUNES BARBOSA",
    a_cpf(5),
    "4833650005",
    "davi.barbosa@example.com",
    "12/12/1979",
    "M - MASCULINO",
)

# Words that only the unused sections of a record hold; none of them may survive into a profile.
FORBIDDEN = (
    "VACINA-SECRETA",
    "VIZINHO-SECRETO",
    "PARENTE-SECRETO",
    "BENEFICIO-SECRETO",
    "CONSUMO-SECRETO",
    "CNS-SECRETO",
    "FOTO-SECRETA",
)


def lead_json(
    person: Person, *, lead_id: str = "0123456789abcdef0123456789abcdef", **customer: Any
) -> dict[str, Any]:
    """The lead as C2S gives it, asked or in a webhook. Keywords replace the customer's fields."""
    return {
        "data": {
            "type": "lead",
            "id": lead_id,
            "internal_id": 4711,
            "attributes": {
                "description": None,
                "customer": {
                    "id": "c" * 32,
                    "name": person.name.title(),
                    "email": person.email,
                    "phone": "55" + person.phone,
                    "phone2": None,
                    "phone_global": "+55" + person.phone,
                    **customer,
                },
                "seller": None,
                "product": {"price": "350.000,00", "price_float": 350000.0},
                "archive_details": {"archived": False, "archive_notes": None},
                "done_details": {"done": False, "done_price": None},
                "messages": [],
                "created_at": "2026-03-09T10:00:00.000-03:00",
                "updated_at": "2026-03-09T10:05:00.000-03:00",
            },
            "messages": [{"id": "m" * 32, "body": "Tenho interesse", "sender_type": "Customer"}],
        }
    }


def record_json(person: Person, **sections: Any) -> dict[str, Any]:
    """The body of the Work API's `modulo=cpf`. Keywords replace whole sections; `DadosBasicos` is
    merged.
    """
    basic = {
        "nome": person.name,
        "cpf": person.cpf.digits,
        "cns": FORBIDDEN[5],
        "dataNascimento": person.born,
        "sexo": person.sex,
        "cor": "PARDA",
        "nomeMae": "MARIA DE SOUZA LIMA",
        "nomePai": "SEM INFORMAÇÃO",
        "escolaridade": "SUPERIOR COMPLETO",
        "estadoCivil": "SOLTEIRO(A)",
        "conjuge": [],
        "obito": {"obito": "NÃO", "dataObito": ""},
        "situacaoCadastral": {
            "codigoSituacaoCadastral": "0",
            "descricaoSituacaoCadastral": "REGULAR",
            "dataSituacaoCadastral": "01/02/2024",
        },
        **sections.pop("DadosBasicos", {}),
    }
    record: dict[str, Any] = {
        "status": 200,
        "foto": {"base64": FORBIDDEN[6]},
        "DadosBasicos": basic,
        "DadosEconomicos": {
            "renda": "6089,28",
            "poderAquisitivo": {
                "codigoPoderAquisitivo": "3",
                "poderAquisitivoDescricao": "MEDIO",
                "faixaPoderAquisitivo": "De R$ 4.180 até R$ 10.450",
            },
            "score": {
                "scoreCSB": "512",
                "scoreCSBFaixaRisco": "MEDIO RISCO",
                "scoreCSBA": "702",
                "scoreCSBAFaixaRisco": "BAIXO RISCO",
            },
            "serasaMosaic": {"observação": "x"},
        },
        "profissao": {"cboDescricao": "ARQUITETO DE EDIFICACOES", "pis": 12345678901},
        "empresas": [
            {
                "cnpj": "11222333000181",
                "tipoRelacao": "SOCIO",
                "relacao": "SÓCIO",
                "admissao": "01/02/2010",
                "demissao": "31/12/9999",
            }
        ],
        "enderecos": [
            {
                "tipoLogradouro": "RUA",
                "logradouro": "DAS ACACIAS",
                "logradouroNumero": "120",
                "complemento": "APTO 31",
                "bairro": "CENTRO",
                "cidade": "SAO PAULO",
                "uf": "SP",
                "cep": "01310100",
            }
        ],
        "telefones": [
            {
                "telefone": "1133650099",
                "status": "NO",
                "tipo": "TELEFONE RESIDENCIAL",
                "operadora": "VIVO",
                "whatsapp": None,
            },
            {
                "telefone": person.phone,
                "status": "ATIVO",
                "tipo": "TELEFONE MÓVEL",
                "operadora": "TIM",
                "whatsapp": "SIM",
            },
        ],
        "emails": [
            {
                "email": "antigo@example.org",
                "prioridade": "BAIXA",
                "qualidade": "BOM",
                "emailPessoal": "SIM",
                "blacklist": "NAO",
            },
            {
                "email": person.email.upper(),
                "prioridade": "MUITO ALTA",
                "qualidade": "OTIMO",
                "emailPessoal": "SIM",
                "blacklist": "NAO",
            },
        ],
        "parentes": [{"nome": FORBIDDEN[2], "cpf": a_cpf(99).digits}],
        "vizinhos": [{"nome": FORBIDDEN[1]}],
        "beneficios": [{"nome": FORBIDDEN[3]}],
        "imunoBiologicos": [{"vacina": FORBIDDEN[0]}],
        "perfilConsumo": {"frase": FORBIDDEN[4], "possuiInvestimentos": True},
        "comprasId": [{"preco": "12.50"}],
    }
    return record | sections


# No phone, no `data`, the customer's id a number, the name with a NUL, messages under the other
# key.
DAVI_PAYLOAD: dict[str, Any] = {
    "hook_action": "on_update_lead",
    "lead": {
        "id": 90210,
        "attributes": {
            "customer": {
                "id": 5,
                "name": "Davi\x00 Nunes",
                "email": " DAVI.BARBOSA@EXAMPLE.COM ",
                "phone": "",
                "phone_global": None,
            },
            "messages": [{"message": "oi"}, "texto solto", None, 7],
            "updated_at": "2026-03-09 10:05:00",
        },
    },
}
