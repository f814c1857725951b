"""A headless Chromium, driven through its debugging pipe with the standard library.

Messages are JSON that ends in a null byte: ours to the browser's descriptor 3, its own
from descriptor 4.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
    "--disable-extensions", "--disable-background-networking", "--disable-sync",
    "--disable-component-update", "--mute-audio", "--remote-debugging-pipe",
)  # fmt: skip
KEY_CODES = {
    "Tab": 9, "Enter": 13, "Escape": 27, "End": 35, "Home": 36, "ArrowUp": 38,
    "ArrowDown": 40,
}  # fmt: skip


def executable():
    """Where Chromium is, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """A browser with a profile of its own; a context manager."""

    def __init__(self, *flags):
        self.events, self._buffer, self._number = [], b"", 0
        self._profile = tempfile.mkdtemp(prefix="chromium-")
        its_input, self._out = os.pipe()
        self._in, its_output = os.pipe()

        def as_three_and_four():
            # Copies first: a pipe's own number may be 3 or 4 already.
            copies = os.dup(its_input), os.dup(its_output)
            os.dup2(copies[0], 3)
            os.dup2(copies[1], 4)

        # A browser refuses to be root in its own sandbox.
        flags = (*FLAGS, *flags, *(["--no-sandbox"] if os.geteuid() == 0 else []))
        self._process = subprocess.Popen(
            [executable(), *flags, f"--user-data-dir={self._profile}", "about:blank"],
            preexec_fn=as_three_and_four,
            pass_fds=(3, 4),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(its_input)
        os.close(its_output)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        try:
            self.ask("Browser.close", timeout=5)
            self._process.wait(10)
        except (OSError, EOFError, TimeoutError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        os.close(self._in)
        os.close(self._out)
        shutil.rmtree(self._profile, ignore_errors=True)

    def ask(self, method, session=None, timeout=60, **parameters):
        """The answer to one command of the DevTools protocol."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._out, data) :]
        while True:
            answer = self._read(timeout)
            if answer.get("id") == message["id"]:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer.get("result", {})

    def wait_for(self, method, session, since, timeout=60):
        """The parameters of the first such event after the first `since`."""
        end = time.monotonic() + timeout
        while True:
            for event in self.events[since:]:
                if event["method"] == method and event.get("sessionId") == session:
                    return event["params"]
            since = len(self.events)
            self._read(max(0.01, end - time.monotonic()))

    def open(self, url, **keywords):
        """A page in a tab of its own."""
        page = Page(self, **keywords)
        page.go(url)
        return page

    def _read(self, timeout):
        """The next message; events are kept."""
        end = time.monotonic() + timeout
        while b"\0" not in self._buffer:
            left = max(0.0, end - time.monotonic())
            if not select.select([self._in], [], [], left)[0]:
                raise TimeoutError("no answer from Chromium")
            data = os.read(self._in, 1 << 20)
            if not data:
                raise EOFError("Chromium is gone")
            self._buffer += data
        message, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(message)
        if "method" in message:
            self.events.append(message)
        return message


class Page:
    """A tab of a size and a theme (None: the system's), with scripts or without."""

    def __init__(
        self, browser, width=1280, height=900, dark=False, script=True, media=""
    ):
        self.browser = browser
        target = browser.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = browser.ask("Target.attachToTarget", targetId=target, flatten=True)
        self.target, self.session = target, attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(f"{domain}.enable")
        self.resize(width, height)
        features = []
        if dark is not None:
            value = "dark" if dark else "light"
            features = [{"name": "prefers-color-scheme", "value": value}]
        self.ask("Emulation.setEmulatedMedia", media=media, features=features)
        if not script:
            self.ask("Emulation.setScriptExecutionDisabled", value=True)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.browser.ask("Target.closeTarget", targetId=self.target)

    def ask(self, method, **parameters):
        """The answer to a command about this tab."""
        return self.browser.ask(method, session=self.session, **parameters)

    def resize(self, width, height=900):
        """Give the tab a size, however small."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1}
        self.ask("Emulation.setDeviceMetricsOverride", mobile=False, **size)

    def go(self, url):
        """Load an address, to its load event."""
        since = len(self.browser.events)
        self.ask("Page.navigate", url=url)
        self.browser.wait_for("Page.loadEventFired", self.session, since)

    def run(self, script):
        """The value of a piece of JavaScript, awaited, whatever the page's policy."""
        answer = self.ask(
            "Runtime.evaluate",
            expression=script,
            returnByValue=True,
            awaitPromise=True,
            allowUnsafeEvalBlockedByCSP=True,
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def press(self, key):
        """Press and let go of a key."""
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        # Of letters and digits alone a key's code is the character's.
        code = KEY_CODES.get(key, ord(key[0].upper()) if key.isalnum() else 0)
        event = {"key": key, "windowsVirtualKeyCode": code}
        self.ask("Input.dispatchKeyEvent", type="keyDown", text=text, **event)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **event)

    def picture(self, path):
        """Save what is seen as a PNG."""
        answer = self.ask("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(answer["data"]))

    def of(self, *methods):
        """Parameters of this tab's events of some methods."""
        return [
            event["params"]
            for event in self.browser.events
            if event.get("sessionId") == self.session and event["method"] in methods
        ]

    def errors(self):
        """What was thrown or logged as an error."""
        logged = [e["entry"] for e in self.of("Log.entryAdded")]
        errors = [e["text"] for e in logged if e["level"] == "error"]
        return errors + [str(e) for e in self.of("Runtime.exceptionThrown")]

    def requests(self):
        """Addresses that were asked for."""
        return [e["request"]["url"] for e in self.of("Network.requestWillBeSent")]
