"""A tab of a headless Chromium that tests use as a person would, by Chromium's DevTools protocol over pipes.

chromedevtools.github.io/devtools-protocol says what can be called.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


class Tab:
    """A page that scripts run in."""

    def __init__(self, reader: int, writer: int) -> None:
        self._reader, self._writer = reader, writer
        self._held = b""
        self._number = 0
        self._session: str | None = None
        self.complaints: list[str] = []
        """What scripts and the browser have complained about, such as requests that a policy forbids."""
        self.requests: list[str] = []
        """URLs that were asked for."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> Any:
        """Call a method of the protocol."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._writer, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def open(self, url: str, *, width: int = 1000, height: int = 800, dark: bool = False) -> None:
        """Open a page in a window of some size."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """Return the value of an expression, for a promise what it becomes."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, f"{script}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def wait(self, condition: str, *, seconds: float = 20) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while not self.run(f"Boolean({condition})"):
            assert time.monotonic() < end, f"{condition} has not become true"
            time.sleep(0.02)

    def click(self, selector: str, number: int = 0) -> None:
        """Click on one of the elements that a selector finds."""
        self.run(f"document.querySelectorAll({json.dumps(selector)})[{number}].click()")

    def text(self, selector: str) -> str:
        """Return the text of the first element that a selector finds."""
        return str(self.run(f"document.querySelector({json.dumps(selector)}).innerText"))

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.call("Input.insertText", text=text)

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press Enter or another key that has a name."""
        common = {"key": key, "code": key, "windowsVirtualKeyCode": 13, "modifiers": 8 * shift, "text": "\r"}
        self.call("Input.dispatchKeyEvent", type="keyDown", **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def overflow(self) -> int:
        """Return how many pixels the page is wider than its window."""
        return int(self.run("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def picture(self, path: Path) -> None:
        """Write what is seen to a PNG file."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def _read(self) -> Any:
        while b"\0" not in self._held:
            data = os.read(self._reader, 1 << 16)
            assert data, "Chromium has ended"
            self._held += data
        line, _, self._held = self._held.partition(b"\0")
        message = json.loads(line)
        params = message.get("params", {})
        if message.get("method") == "Log.entryAdded":
            self.complaints.append(params["entry"]["text"])
        elif message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"]))
        elif message.get("method") == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        return message


@contextmanager
def tab(folder: Path) -> Iterator[Tab]:
    """Start a browser; skip the test where there is no Chromium, which .ci/run installs if it can."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None or os.name == "nt":
        pytest.skip("needs Chromium: apt install chromium")
    to_browser, writer = os.pipe()
    reader, from_browser = os.pipe()
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    options += [f"--user-data-dir={folder / 'profile'}", "--remote-debugging-pipe"]
    # Chromium wants its pipes as 3 and 4, which may be those of ours
    shell = f'exec 3<&{to_browser} 4>&{from_browser}; exec "$@"'
    process = subprocess.Popen(
        ["bash", "-c", shell, "bash", chromium, *options],
        pass_fds=(to_browser, from_browser),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_browser)
    os.close(from_browser)
    try:
        yield Tab(reader, writer)
    finally:
        process.kill()
        process.wait()
        os.close(writer)
        os.close(reader)
