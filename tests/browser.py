"""Control of a real browser, by Chromium's DevTools protocol over a pipe."""

import json
import os
import subprocess
import time
from contextlib import contextmanager


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
        """Run the body of an async JavaScript function; return its result."""
        expression = f"(async () => {{{script}}})()"
        options = {"awaitPromise": True, "returnByValue": True}
        answer = self.call("Runtime.evaluate", expression=expression, **options)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

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
def browser(command, folder, url):
    """Yield a Page with `url`, opened in the browser `command` with a profile in `folder`."""
    (browser_reads, we_write), (we_read, browser_writes) = os.pipe(), os.pipe()
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile"]
    # The browser reads from descriptor 3 and writes to descriptor 4.
    script = f'exec "$@" 3<&{browser_reads} 4>&{browser_writes}'
    process = subprocess.Popen(
        ["bash", "-c", script, "bash", command, *flags, "--remote-debugging-pipe"],
        pass_fds=(browser_reads, browser_writes),
        stderr=subprocess.DEVNULL,
    )
    os.close(browser_reads)
    os.close(browser_writes)
    with open(we_write, "wb") as write, open(we_read, "rb", buffering=0) as read:
        try:
            page = Page(write, read)
            page.open(url)
            yield page
        finally:
            process.kill()
            process.wait()
