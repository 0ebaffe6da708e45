"""What a delivery is answered. `fault` in a refusal says whose turn it is to change something."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from c2s_enrich.intake.job import DeliveryReceipt
from c2s_enrich.intake.payload import SENTENCES
from c2s_enrich.serving.problem import CLOSE, Answer, problem

METHOD_NOT_ALLOWED = problem(
    405, "method_not_allowed", "Deliveries are POSTed.", (b"allow", b"POST"), CLOSE
)
COMPRESSED = problem(
    415,
    "content_encoding",
    "The body is compressed, which is not supported.",
    (b"accept-encoding", b"identity"),
    CLOSE,
)


def unauthorised(verdict: str, *headers: tuple[bytes, bytes]) -> Answer:
    challenge = (b"www-authenticate", b"Bearer")
    detail = "A delivery needs the webhook token."
    return problem(401, "token_" + verdict, detail, challenge, *headers)


def too_slow(seconds: float) -> Answer:
    detail = f"The body did not arrive within {seconds:g} seconds."
    return problem(408, "body_too_slow", detail, CLOSE)


def too_large(limit: int) -> Answer:
    return problem(413, "body_too_large", f"A delivery has at most {limit} bytes.", CLOSE)


def not_now(reason: str, why: str, after: int, *headers: tuple[bytes, bytes]) -> Answer:
    """Our fault: nothing is wrong with the delivery, and it is to be sent again."""
    detail = f"Not stored: {why}. Deliver it again."
    return problem(503, reason, detail, (b"retry-after", b"%d" % after), *headers)


@lru_cache(maxsize=64)
def answer_to(receipt: DeliveryReceipt) -> Answer:
    """200 only where at least one event of the delivery is in `webhook_events`."""
    told = msgspec.structs.asdict(receipt)
    problems = told.pop("problems")
    if problems:
        told["errors"] = [
            {"index": each.index, "reason": each.reason, "detail": SENTENCES[each.reason]}
            for each in problems
        ]
    if receipt.rejected < receipt.received:
        return Answer(200, msgspec.json.encode({"status": "received", **told}))
    reason = problems[0].reason
    status = 413 if reason == "too_many_events" else 400
    detail = SENTENCES[reason] + " The delivery was kept for a person to look at."
    return problem(status, reason, detail, **told)
