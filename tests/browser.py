"""Control of a real browser, by Chromium's DevTools protocol over a pipe."""

import json
import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from threading import Timer

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
needs_chromium = pytest.mark.browser

# For scripts: waits for a state, however busy the machine is. `browser` ends one that never comes.
HELPERS = """
async function until(condition) {
  for (;;) {
    const value = condition();
    if (value) return value;
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}
function named(elements, text) {
  return [...document.querySelectorAll(elements)].find(it => it.textContent.trim() == text);
}
"""


class Page:
    """A page in the browser."""

    def __init__(self, write, read):
        self.write, self.read = write, read
        self.session, self.number = {}, 0

    def call(self, method, **parameters):
        """Call a method of the protocol; return its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters, **self.session}
        self.write.write(json.dumps(message).encode() + b"\0")
        self.write.flush()
        while True:
            answer = json.loads(read_message(self.read))
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, url):
        target = self.call("Target.createTarget", url=url)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = {"sessionId": session["sessionId"]}
        loaded = "location.href != 'about:blank' && document.readyState == 'complete'"
        while not self.call("Runtime.evaluate", expression=loaded)["result"]["value"]:
            time.sleep(0.02)

    def evaluate(self, script):
        """Run the body of an async JavaScript function with HELPERS; return its result."""
        expression = f"(async () => {{{HELPERS}{script}}})()"
        options = {"awaitPromise": True, "returnByValue": True, "userGesture": True}
        answer = self.call("Runtime.evaluate", expression=expression, **options)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def resize(self, width, height):
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": True}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def click(self, x, y):
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)


def read_message(file):
    message = b""
    while not message.endswith(b"\0"):
        byte = file.read(1)
        assert byte, "the browser has ended"
        message += byte
    return message[:-1]


@contextmanager
def browser(folder, url):
    """Yield a Page with `url`, opened in Chromium with a profile in `folder`."""
    (browser_reads, we_write), (we_read, browser_writes) = os.pipe(), os.pipe()
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile"]
    # The browser reads from descriptor 3 and writes to descriptor 4.
    script = f'exec "$@" 3<&{browser_reads} 4>&{browser_writes}'
    process = subprocess.Popen(
        ["bash", "-c", script, "bash", CHROMIUM, *flags, "--remote-debugging-pipe"],
        pass_fds=(browser_reads, browser_writes),
        stderr=subprocess.DEVNULL,
    )
    os.close(browser_reads)
    os.close(browser_writes)
    watchdog = Timer(300, process.kill)
    watchdog.start()
    with open(we_write, "wb") as write, open(we_read, "rb", buffering=0) as read:
        try:
            page = Page(write, read)
            page.open(url)
            yield page
        finally:
            watchdog.cancel()
            process.kill()
            process.wait()
