"""Invented people: valid check digits, valid numbers, nobody real. The same seed always gives the
same people.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from random import Random

_FIRST_F = (
    "Ana",
    "Beatriz",
    "Carla",
    "Daniela",
    "Eduarda",
    "Fernanda",
    "Helena",
    "Isabela",
    "Júlia",
    "Larissa",
    "Mariana",
    "Patrícia",
)
_FIRST_M = (
    "André",
    "Bruno",
    "Caio",
    "Davi",
    "Eduardo",
    "Felipe",
    "Gustavo",
    "Henrique",
    "João",
    "Lucas",
    "Mateus",
    "Rafael",
)
_LAST = (
    "Almeida",
    "Barbosa",
    "Cardoso",
    "Conceição",
    "Dias",
    "Ferreira",
    "Gonçalves",
    "Lima",
    "Monteiro",
    "Nogueira",
    "Pereira",
    "Souza",
)
# Some areas with many numbers, and two with a trap: 55 is also the country's code, 99 the start of
# many invented numbers.
_DDDS = ("11", "19", "21", "31", "41", "47", "48", "51", "55", "61", "71", "81", "85", "99")
_STREETS = ("das Flores", "Sete de Setembro", "dos Andradas", "Santos Dumont", "da Praia")
_CITIES = (
    ("São Paulo", "SP", "01310"),
    ("Florianópolis", "SC", "88015"),
    ("Porto Alegre", "RS", "90020"),
    ("Recife", "PE", "50030"),
)

# What the record holds of the person's health, family and neighbours. None of it may ever be
# stored: tests look for these words.
FORBIDDEN_MARKS = (
    "VACINA SIMULADA",
    "PARENTE SIMULADO",
    "VIZINHO SIMULADO",
    "BENEFICIO SIMULADO",
    "700000000000000",
)


@dataclass(frozen=True)
class Person:
    """One invented person. `phone` is DDD and number, 11 digits; `cpf` 11 digits; `serial` makes
    e-mail and record unique.
    """

    serial: int
    cpf: str
    name: str
    sex: str
    phone: str
    email: str
    has_record: bool = True

    @cached_property
    def record(self) -> dict[str, object]:
        """The Work API's answer to `modulo=cpf`, in the real one's shapes and with all its odd
        types.
        """
        chance = Random(f"record {self.serial} {self.cpf}")  # noqa: S311 invented data
        city, state, postcode = chance.choice(_CITIES)
        income = f"{chance.randrange(1200, 18000)},{chance.randrange(100):02d}"
        return {
            "status": 200,
            "foto": {},
            "DadosBasicos": {
                "nome": self.name.upper(),
                "cpf": self.cpf,
                "cns": FORBIDDEN_MARKS[4],
                "dataNascimento": (
                    f"{chance.randrange(1, 29):02d}/{chance.randrange(1, 13):02d}"
                    f"/{chance.randrange(1950, 2003)}"
                ),
                "sexo": "F - FEMININO" if self.sex == "F" else "M - MASCULINO",
                "cor": "SEM INFORMAÇÃO",
                "nomeMae": f"{chance.choice(_FIRST_F)} {chance.choice(_LAST)}".upper(),
                "nomePai": "SEM INFORMAÇÃO",
                "municipioNascimento": city.upper(),
                "escolaridade": "SUPERIOR COMPLETO",
                "estadoCivil": chance.choice(("SOLTEIRO(A)", "CASADO(A)")),
                "nacionalidade": "BRASILEIRA",
                "conjuge": [],
                "obito": {"obito": "NÃO", "dataObito": ""},
                "situacaoCadastral": {"codigo": "0", "descricao": "REGULAR", "data": "01/02/2020"},
            },
            "DadosEconomicos": {
                "renda": income,
                "poderAquisitivo": {
                    "codigoPoderAquisitivo": "3",
                    "poderAquisitivoDescricao": "MÉDIO",
                    "rendaPoderAquisitivo": income,
                    "codigoFaixaRenda": "4",
                    "faixaPoderAquisitivo": "De R$ 1630 até R$ 2250",
                },
                "score": {
                    "scoreCSB": str(chance.randrange(100, 990)),
                    "scoreCSBFaixaRisco": "MÉDIO",
                    "scoreCSBA": str(chance.randrange(100, 990)),
                    "scoreCSBAFaixaRisco": "BAIXO",
                },
                "serasaMosaic": {"codigo": "A01", "observação": "simulado"},
            },
            "profissao": {"pis": 12345678901, "cboDescricao": "ANALISTA DE SISTEMAS"},
            "empregos": [],
            "empresas": [
                {
                    "cnpj": "11222333000181",
                    "razaoSocial": "EMPRESA SIMULADA LTDA",
                    "tipoRelacao": "SOCIO",
                    "relacao": "SOCIO-ADMINISTRADOR",
                    "admissao": "10/03/2015",
                    "demissao": "31/12/9999",
                }
            ],
            "registroGeral": {},
            "tituloEleitor": {"numero": 123456780914},
            "enderecos": [
                {
                    "tipoLogradouro": "RUA",
                    "logradouro": chance.choice(_STREETS).upper(),
                    "logradouroNumero": str(chance.randrange(1, 2000)),
                    "complemento": "",
                    "bairro": "CENTRO",
                    "cidade": city.upper(),
                    "uf": state,
                    "cep": postcode + f"{chance.randrange(1000):03d}",
                }
            ],
            "telefones": [
                {
                    "telefone": self.phone,
                    "status": "ATIVO",
                    "tipo": "MÓVEL",
                    "operadora": "SIMULADA",
                    "whatsapp": "SIM",
                },
                {
                    "telefone": self.phone[:2] + "3" + self.phone[4:],
                    "status": "NO",
                    "tipo": "FIXO",
                    "operadora": "",
                    "whatsapp": None,
                },
            ],
            "emails": [
                {
                    "email": self.email,
                    "prioridade": "MUITO ALTA",
                    "qualidade": "OTIMO",
                    "emailPessoal": "SIM",
                    "blacklist": False,
                }
            ],
            "parentes": [{"nome": FORBIDDEN_MARKS[1], "cpf": self.cpf, "grau": "MAE"}],
            "DadosImposto": [],
            "beneficios": [{"beneficio": FORBIDDEN_MARKS[3]}],
            "listaDocumentos": {},
            "imunoBiologicos": [{"vacina": FORBIDDEN_MARKS[0]}],
            "pep": [],
            "vizinhos": [{"nome": FORBIDDEN_MARKS[2], "cep": postcode + "000"}],
            "internet": {},
            "comprasId": [{"preco": 12.5}],
            "perfilConsumo": {"cartao": True, "luxo": "12% acima da média"},
            "servidor_siape": {},
            "flags": {},
            "debug_info": [],
        }


def populate(seed: int, size: int) -> tuple[Person, ...]:
    """`size` people; one in ten has no record at the Work API."""
    chance = Random(f"people {seed}")  # noqa: S311 invented data
    people: list[Person] = []
    taken: set[str] = set()
    while len(people) < size:
        serial = len(people)
        sex = chance.choice("FM")
        first = chance.choice(_FIRST_F if sex == "F" else _FIRST_M)
        name = f"{first} {chance.choice(_LAST)} {chance.choice(_LAST)}"
        cpf = invent_cpf(chance)
        # The second digit pair keeps the number from looking invented: "9876…" and "9999…" are on
        # every list of fakes.
        phone = f"{chance.choice(_DDDS)}9{chance.choice('6789')}{chance.randrange(10**7):07d}"
        if cpf in taken or phone in taken or len(set(phone[2:])) < 4:
            continue
        taken |= {cpf, phone}
        email = (
            f"{_ascii(name.split()[0])}.{_ascii(name.split()[1])}.s{serial}@exemplo-simulado.com.br"
        )
        people.append(
            Person(serial, cpf, name, sex, phone, email, has_record=chance.random() >= 0.1)
        )
    return tuple(people)


def invent_cpf(chance: Random) -> str:
    """11 digits with right check digits, not all equal."""
    while True:
        digits = [chance.randrange(10) for _ in range(9)]
        if len(set(digits)) == 1:
            continue
        for length in (9, 10):
            total = sum(digit * (length + 1 - place) for place, digit in enumerate(digits))
            digits.append(total * 10 % 11 % 10)
        return "".join(map(str, digits))


def _ascii(text: str) -> str:
    return text.lower().translate(str.maketrans("áâãçéêíóôõú", "aaaceeiooou"))
