"""`mcp`: the operators' questions as read-only tools for an assistant, over stdin and stdout."""

from c2s_enrich.cli.ending import fail, load_settings, run
from c2s_enrich.cli.frame import log_to_stderr


def mcp() -> None:
    """Serve status, explain, errors and plan to an assistant, read-only, over stdin and stdout.

    Needs the extra: pip install "c2s-enrich[mcp]"
    """
    settings = load_settings("migrate")
    log_to_stderr(settings)
    try:
        from c2s_enrich.cli.assistant import build_server
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types"):
            raise
        fail('install the extra first: pip install "c2s-enrich[mcp]"')
    run(build_server(settings).run_stdio_async())
