"""A real Chromium, headless, driven over a pipe: no port, no driver, no dependency.

Chromium speaks the DevTools protocol on file descriptors 3 and 4 when started with
`--remote-debugging-pipe`: JSON messages that end in a zero byte.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
]
PATIENCE = 90.0


def find() -> str | None:
    """The path of a Chromium on this machine."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """One tab. Remembers every script dialog, console error and request beyond its own file."""

    def __init__(self, reader: int, writer: int) -> None:
        self._reader, self._writer = reader, writer
        self._rest, self._count, self._session = b"", 0, None
        self.events: list[dict[str, Any]] = []
        target = self._pages()[0]["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def _pages(self) -> list[dict[str, Any]]:
        for _ in range(200):
            found = self.call("Target.getTargets")["targetInfos"]
            pages = [target for target in found if target["type"] == "page"]
            if pages:
                return pages
            time.sleep(0.05)
        raise TimeoutError("Chromium opened no page")

    def _send(self, method: str, **params: Any) -> int:
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._writer, json.dumps(message).encode() + b"\0")
        return self._count

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command and wait for its answer; events that arrive meanwhile are kept."""
        number = self._send(method, **params)
        started = time.monotonic()
        while True:
            if time.monotonic() - started > PATIENCE:  # a page may chatter without end
                raise TimeoutError(f"{method}: no answer, but {self.complaints()[-3:]}")
            answer = self._next()
            if answer.get("id") != number:
                continue
            if "error" in answer:
                raise RuntimeError(f"{method}: {answer['error']}")
            result: dict[str, Any] = answer["result"]
            return result

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            if not select.select([self._reader], [], [], PATIENCE)[0]:
                raise TimeoutError("Chromium says nothing")
            chunk = os.read(self._reader, 1 << 16)
            if not chunk:
                raise EOFError("Chromium is gone")
            self._rest += chunk
        raw, self._rest = self._rest.split(b"\0", 1)
        message: dict[str, Any] = json.loads(raw)
        if "method" in message:
            self.events.append(message)
            if message["method"] == "Page.javascriptDialogOpening":
                self._send("Page.handleJavaScriptDialog", accept=True)  # it would block the page
        return message

    def open(
        self,
        path: Path,
        fragment: str = "",
        *,
        width: int = 1280,
        height: int = 900,
        scale: float = 1,
    ) -> float:
        """Open a file and wait until the report is painted; returns the seconds that took."""
        size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Page.navigate", url="about:blank")
        self.events.clear()
        started = time.perf_counter()
        self.call("Page.navigate", url=path.as_uri() + fragment)
        self.ready()
        return time.perf_counter() - started

    def ready(self) -> None:
        """Wait until a page that is being loaded says that it is drawn."""
        started = time.perf_counter()
        drawn = "document.documentElement?.dataset.ready === 'true'"
        while True:
            # A page that is on its way out may take the question with it.
            with contextlib.suppress(RuntimeError):
                if self.run(f"location.protocol === 'file:' && {drawn}"):
                    return self.settle()
            if time.perf_counter() - started > PATIENCE:
                raise TimeoutError(f"the page was never drawn: {self.complaints()}")
            time.sleep(0.01)

    @contextmanager
    def framed(self) -> Iterator[None]:
        """Talk to the sandboxed frame inside the page, which is a target of its own."""
        targets = self.call("Target.getTargets")["targetInfos"]
        frame = next(target for target in targets if target["type"] == "iframe")
        attached = self.call("Target.attachToTarget", targetId=frame["targetId"], flatten=True)
        outer, self._session = self._session, attached["sessionId"]
        try:
            for domain in ("Runtime", "Network", "Log"):
                self.call(f"{domain}.enable")
            yield
        finally:
            self._session = outer

    def settle(self) -> None:
        """Wait until two frames were painted."""
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression; promises are awaited."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"])[:1000])
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key as a person would: `j`, `/`, `?`, `Enter`, `Escape`."""
        codes = {"Enter": 13, "Escape": 27}
        event = {"key": key, "windowsVirtualKeyCode": codes.get(key, ord(key.upper()[0]))}
        text = {} if key == "Escape" else {"text": "\r" if key == "Enter" else key}
        self.call("Input.dispatchKeyEvent", type="keyDown", **event, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)
        self.settle()

    def prefer(self, scheme: str) -> None:
        """Prefer `light` or `dark`, as the operating system would tell."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", features=[feature])

    def screenshot(self, path: Path) -> None:
        """Save what the window shows as PNG."""
        data = self.call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def complaints(self) -> list[str]:
        """Dialogs, script errors, policy violations and requests to anywhere but a file."""
        found = []
        for event in self.events:
            method, params = event["method"], event["params"]
            if method == "Page.javascriptDialogOpening":
                found.append(f"dialog: {params['message']}")
            elif method == "Runtime.exceptionThrown":
                found.append(f"exception: {json.dumps(params['exceptionDetails'])[:500]}")
            elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
                found.append(f"log: {params['entry']['text']}")
            elif method == "Network.requestWillBeSent":
                url = params["request"]["url"]
                if not url.startswith(("file:", "about:")):
                    found.append(f"request: {url}")
        return found


def texts(page: Page, selector: str) -> list[str]:
    """The text of each element that a selector finds."""
    found: list[str] = page.run(
        f"[...document.querySelectorAll({selector!r})].map(each => each.textContent)"
    )
    return found


def selected(page: Page) -> str | None:
    """The number of the step that is selected."""
    found: str | None = page.run(
        "document.querySelector('.step[aria-current]')?.dataset.step ?? null"
    )
    return found


@contextmanager
def browser() -> Iterator[Page]:
    """Start a Chromium with an empty profile, and end it with all its children."""
    program = find()
    if program is None:
        raise FileNotFoundError("no Chromium")
    commands, answers = _high_pipe(), _high_pipe()

    def connect() -> None:
        os.dup2(commands[0], 3)
        os.dup2(answers[1], 4)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(3, 4),
            preexec_fn=connect,  # noqa: PLW1509 - descriptors 3 and 4, before any thread
            start_new_session=True,  # one group to end at once
        )
        os.close(commands[0])
        os.close(answers[1])
        try:
            yield Page(answers[0], commands[1])
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            os.close(commands[1])
            os.close(answers[0])


def _high_pipe() -> tuple[int, int]:
    """A pipe whose ends do not lie where Chromium wants its own."""
    ends = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return high[0], high[1]
