"""Every error that has a meaning of its own; `queue/verdict.py` decides what to do with it."""

from datetime import timedelta


class EnrichError(Exception):
    """Base of all errors. Texts never carry a token, a full CPF or a URL with credentials."""

    said = ""

    def __str__(self) -> str:
        return super().__str__() or self.said


class SettingsError(EnrichError):
    """The environment is wrong. `problems` holds one sentence each; the message joins them."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("settings: " + "; ".join(problems))


class CannotListen(EnrichError):
    """The address is taken, or is not this machine's."""


class UpstreamError(EnrichError):
    """Something about one upstream; `upstream` is its name in the table `upstreams`."""

    def __init__(self, upstream: str, detail: str) -> None:
        self.upstream = upstream
        self.detail = detail
        super().__init__(f"{upstream}: {detail}")


class Unavailable(UpstreamError):
    """Time-out, connection trouble or 5xx: it may heal by itself."""


class Throttled(UpstreamError):
    """429: every poller waits `retry_after` before it calls this upstream again."""

    def __init__(self, upstream: str, retry_after: timedelta) -> None:
        self.retry_after = retry_after
        super().__init__(upstream, f"throttled for {retry_after.total_seconds():.0f} s")


class Unauthorised(UpstreamError):
    """Our credential, plan or credit is refused: not the lead's fault, a person must act."""


class Refused(UpstreamError):
    """Understood and rejected: sending the same again cannot help."""


class Unreadable(UpstreamError):
    """A success that we cannot parse: the upstream has changed."""


class Unproven(Unreadable):
    """A web page where the upstream says "not found": perhaps nobody, perhaps a wrong address."""


class Uncertain(UpstreamError):
    """C2S may have received the message: read it back before any resend."""


class Paused(UpstreamError):
    """The upstream is paused; `wait` is how long still."""

    def __init__(self, upstream: str, wait: timedelta, reason: str) -> None:
        self.wait = wait
        super().__init__(upstream, f"paused: {reason}")


class NoSlot(UpstreamError):
    """The next free slot of the rate limit is `wait` away: give the place to others meanwhile."""

    def __init__(self, upstream: str, wait: timedelta) -> None:
        self.wait = wait
        super().__init__(upstream, f"rate limit: next slot in {wait.total_seconds():.0f} s")


class BudgetSpent(UpstreamError):
    """No more paid calls today; `wait` lasts until the next day (America/Sao_Paulo)."""

    def __init__(self, upstream: str, wait: timedelta) -> None:
        self.wait = wait
        super().__init__(upstream, "today's budget of calls is spent")


class MissingCustomer(EnrichError):
    """Neither the event nor C2S names a contact."""

    said = "Missing customer data"


class LeadNotFound(EnrichError):
    """C2S does not know the lead."""

    said = "Lead not found"


class DeliveryUnclear(EnrichError):
    """Reading back did not settle whether C2S took the message: a person decides."""


class NotYet(EnrichError):
    """The next step must wait: `wait` says how long."""

    def __init__(self, wait: timedelta, detail: str) -> None:
        self.wait = wait
        super().__init__(detail)


class NotStored(EnrichError):
    """The delivery was not committed in time: deliver it again. A second copy is recognised."""


class LeaseLost(EnrichError):
    """The event was taken away, or may be before the work is done: stop, change no state."""

    said = "the lease does not last long enough to go on"
