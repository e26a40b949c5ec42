"""A headless Chromium over its DevTools pipe: no driver, no port, no package."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}


class Chromium:
    """One page. `open` loads a file; `js` evaluates an expression in it."""

    def __init__(self, profile: Path) -> None:
        assert BROWSER is not None
        theirs, self._write = os.pipe()
        self._read, theirs_out = os.pipe()
        self.requests: list[str] = []
        self.messages: list[str] = []
        self._buffer, self._next = b"", 0

        def wire() -> None:
            # Above 4 first: one of the two may already be 3 or 4.
            source, sink = os.dup(theirs), os.dup(theirs_out)
            high = [os.dup(fd) for fd in (source, sink, source, sink)][-2:]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self._process = subprocess.Popen(
            [
                BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
                "--no-first-run", "--disable-dev-shm-usage", "--hide-scrollbars",
                f"--user-data-dir={profile}", "about:blank",
            ],
            preexec_fn=wire, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs)
        os.close(theirs_out)
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session: str | None = None
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._call(f"{domain}.enable")

    # -- a reader --

    def open(
        self, path: Path, *, width: int = 1220, height: int = 820, dark: bool = False, mobile: bool = False
    ) -> float:
        """Load a file; returns the seconds until its load event ended."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=mobile,
        )
        scheme = "dark" if dark else "light"
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.requests.clear()
        self.messages.clear()
        self._call("Page.navigate", url=path.resolve().as_uri())
        deadline = time.monotonic() + 30
        while self.js("document.readyState") != "complete" or self.js("location.href") == "about:blank":
            if time.monotonic() > deadline:
                raise TimeoutError(f"{path} did not load")
            time.sleep(0.02)
        self.js("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
        return self.js("performance.getEntriesByType('navigation')[0].loadEventEnd") / 1000

    def js(self, expression: str) -> Any:
        done = self._call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True
        )
        if "exceptionDetails" in done:
            raise RuntimeError(done["exceptionDetails"]["exception"].get("description", str(done)))
        return done["result"].get("value")

    def press(self, key: str, *, shift: bool = False) -> None:
        modifiers = 8 if shift else 0
        text = {"Enter": "\r", " ": " "}.get(key)
        for kind in ("keyDown", "keyUp"):
            extra = {"text": text} if text and kind == "keyDown" else {}
            self._call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=_KEYS[key],
                modifiers=modifiers, **extra,
            )  # fmt: skip

    def type(self, text: str) -> None:
        self._call("Input.insertText", text=text)

    def hover(self, selector: str) -> None:
        x, y = self.js(
            f"""(element => {{
                element.scrollIntoView({{block: "center", inline: "center"}});
                const box = element.getBoundingClientRect();
                return [box.x + box.width / 2, box.y + box.height / 2];
            }})(document.querySelector({json.dumps(selector)}))"""
        )
        self._call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def screenshot(self, path: Path, *, full: bool = False) -> None:
        shot = self._call(
            "Page.captureScreenshot", captureBeyondViewport=full, **({"clip": self._page()} if full else {})
        )
        path.write_bytes(base64.b64decode(shot["data"]))

    def paper(self) -> None:
        """Show the page as it is printed."""
        self._call("Emulation.setEmulatedMedia", media="print")

    def close(self) -> None:
        try:
            self._send("Browser.close", {})
            self._process.wait(10)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        finally:
            os.close(self._read)
            os.close(self._write)

    def _page(self) -> Mapping[str, float]:
        width, height = self.js(
            "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
        )
        return {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}

    # -- the protocol: JSON messages that end in a zero byte --

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        number = self._send(method, params)
        deadline = time.monotonic() + 60
        while True:
            message = self._receive(deadline)
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self._event(message)

    def _send(self, method: str, params: Mapping[str, Any]) -> int:
        self._next += 1
        message: dict[str, Any] = {"id": self._next, "method": method, "params": params}
        if getattr(self, "_session", None) and not method.startswith(("Target.", "Browser.")):
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        return self._next

    def _receive(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(self._read, 1 << 16) if ready else b""
            if not data:
                raise RuntimeError("chromium does not answer")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(line)

    def _event(self, message: Mapping[str, Any]) -> None:
        params = message.get("params", {})
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Runtime.exceptionThrown":
                self.messages.append(str(params["exceptionDetails"]))
            case "Log.entryAdded":
                self.messages.append(params["entry"]["text"])
            case "Page.javascriptDialogOpening":
                self.messages.append(f"dialog: {params['message']}")
                self._send("Page.handleJavaScriptDialog", {"accept": True})
