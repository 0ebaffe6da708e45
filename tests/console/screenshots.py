"""`make screenshots`: starts the demo, waits for its first leads, and pictures the console's pages
into docs/screenshots/.
"""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright
from tests.console.test_in_a_browser import CHROMIUM, LISTS, QUIET

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
ADDRESS = re.compile(r"What operators see (\S+)/\s+\(token: (\S+)\)")
FAILED = re.compile(r"c2s-enrich explain (\S+)")


def main() -> None:
    # On a terminal the demo goes on after its first leads, until Ctrl-C.
    ours, theirs = pty.openpty()
    demo = subprocess.Popen(
        [Path(sys.executable).with_name("c2s-enrich"), "demo"], stdin=theirs, stdout=theirs
    )
    os.close(theirs)
    try:
        said = ""
        while not (failed := FAILED.search(said)):
            said += os.read(ours, 65536).decode(errors="replace")
        found = ADDRESS.search(said)
        assert found is not None, said[-2000:]
        picture(found[1], found[2], failed[1])
    finally:
        demo.send_signal(signal.SIGINT)
        demo.wait(30)


def picture(address: str, token: str, failed: str) -> None:
    """Every page once, and `lead` of somebody who was told with its last attempt unfolded."""
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        context = browser.new_context(
            java_script_enabled=False, base_url=address, viewport={"width": 1000, "height": 720}
        )
        page = context.new_page()
        page.goto("/login")
        page.fill("#name", "Ana")
        page.fill("#token", token)
        page.keyboard.press("Enter")
        page.wait_for_url("**/")
        for path in LISTS:
            page.goto(path)
            page.screenshot(path=FOLDER / f"{path.strip('/') or 'overview'}.png")
        page.goto(f"/leads/{failed}")
        page.screenshot(path=FOLDER / "failed.png")
        page.goto("/events?outcome=enriched")
        page.click("td a[href^='/leads/']")
        page.click("text=/steps and calls/ >> nth=0")
        page.screenshot(path=FOLDER / "lead.png", full_page=True)
        browser.close()


if __name__ == "__main__":
    main()
