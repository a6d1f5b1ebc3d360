"""Headless Chromium, driven by its DevTools protocol over a pipe."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium")
MAY_SKIP = CHROMIUM is None and "GIBLET_REQUIRE_ALL" not in os.environ
NEEDS_CHROMIUM = pytest.mark.skipif(MAY_SKIP, reason="no chromium here: the page was not tried in a browser")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync --mute-audio "
    "--disable-background-networking --disable-component-update --remote-debugging-pipe"
)
PATIENCE_S = 60
TAB, HOME, ENTER, SPACE = ("Tab", 9, ""), ("Home", 36, ""), ("Enter", 13, "\r"), (" ", 32, " ")
RIGHT, DOWN = ("ArrowRight", 39, ""), ("ArrowDown", 40, "")


class Browser:
    """Commands go to the browser's descriptor 3, answers and events come from its 4; a zero byte ends each."""

    def __init__(self, profile: Path) -> None:
        theirs, self.out = os.pipe()
        self.back, their_out = os.pipe()
        command = f'exec "{CHROMIUM}" {FLAGS} --user-data-dir="{profile}" 3<&{theirs} 4>&{their_out} 2>/dev/null'
        self.process = subprocess.Popen(["bash", "-c", command], pass_fds=(theirs, their_out), start_new_session=True)
        os.close(theirs)
        os.close(their_out)
        self.number, self.buffer, self.session = 0, b"", None
        self.events: list[dict[str, Any]] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def close(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE_S)
        os.close(self.out)
        os.close(self.back)

    def send(self, method: str, **params: Any) -> Any:
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        os.write(self.out, json.dumps(message | ({"sessionId": self.session} if self.session else {})).encode() + b"\0")
        while (answer := self.receive()).get("id") != self.number:
            pass
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def receive(self) -> dict[str, Any]:
        while b"\0" not in self.buffer:
            assert select.select([self.back], [], [], PATIENCE_S)[0], "the browser is silent"
            more = os.read(self.back, 1 << 20)
            assert more, "the browser has ended"
            self.buffer += more
        message, _, self.buffer = self.buffer.partition(b"\0")
        parsed: dict[str, Any] = json.loads(message)
        self.events += [parsed] if "method" in parsed else []
        return parsed

    def open(self, page: Path | str) -> None:
        self._load("Page.navigate", url=page.as_uri() if isinstance(page, Path) else page)

    def reload(self) -> None:
        self._load("Page.reload")

    def _load(self, method: str, **params: Any) -> None:
        self.events.clear()
        self.send(method, **params)
        while not self._loaded():
            self.receive()

    def _loaded(self) -> bool:
        """Whether a document has come and loaded; a load told of before it came is another's."""
        told = [e["method"] for e in self.events]
        came = told.index("Page.frameNavigated") if "Page.frameNavigated" in told else len(told)
        return "Page.loadEventFired" in told[came:]

    def show(
        self, width: int = 1000, scheme: str = "light", media: str = "screen", motion: str = "no-preference"
    ) -> None:
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        wanted = {"prefers-color-scheme": scheme, "prefers-reduced-motion": motion}
        features = [{"name": k, "value": v} for k, v in wanted.items()]
        self.send("Emulation.setEmulatedMedia", media=media, features=features)

    def run(self, code: str) -> Any:
        """The value of an expression; promises are waited for."""
        done = self.send("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def press(self, key: tuple[str, int, str]) -> None:
        name, number, text = key
        same = {"key": name, "code": "Space" if name == " " else name, "windowsVirtualKeyCode": number}
        self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **same)
        self.send("Input.dispatchKeyEvent", type="keyUp", **same)

    def wait(self, condition: str) -> bool:
        """Whether an expression becomes true within seconds."""
        again = "Date.now() - t > 8000 ? r(false) : setTimeout(f, 20)"
        poll = f"const t = Date.now(), f = () => ({condition}) ? r(true) : {again};"
        return bool(self.run(f"new Promise((r) => {{ {poll} f(); }})"))
