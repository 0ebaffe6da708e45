"""What a delivery is answered. `fault` in a refusal says whose turn it is to change something."""

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
