"""Firefox, driven by Marionette, the protocol it speaks itself: JSON with its length before it, over TCP.

Playwright wants a Firefox of its own making, and Debian has no geckodriver.
https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html
"""

import base64
import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

PREFERENCES = {
    "marionette.port": 0,  # any; it writes down which
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.disabledForTesting": True,
    "browser.startup.page": 0,
    "browser.topsites.contile.enabled": False,
    "browser.newtabpage.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,",  # nothing is fetched from elsewhere
    "ui.prefersReducedMotion": 1,
}
KEYS = {"Enter": "\ue007", "Tab": "\ue004", "Escape": "\ue00c"}  # WebDriver 17.4.2
PATIENCE_S = 60.0


class Firefox:
    """A Firefox without a window, with a profile of its own in `folder`."""

    def __init__(self, folder: Path) -> None:
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items()]
        (folder / "user.js").write_text("\n".join(lines))
        program = shutil.which("firefox-esr") or shutil.which("firefox") or "firefox"
        self._process = subprocess.Popen(
            [program, "--headless", "--marionette", "--no-remote", "--profile", str(folder)],
            env={**os.environ, "HOME": str(folder), "MOZ_CRASHREPORTER_DISABLE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            self._stream = self._connect(folder / "MarionetteActivePort")
            self._number = 0
            self._read()  # who it is
            self.ask("NewSession")
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise

    def _connect(self, port: Path) -> Any:
        end = time.monotonic() + PATIENCE_S
        while not (port.exists() and port.read_text()):
            assert self._process.poll() is None, "Firefox ended"
            assert time.monotonic() < end, "Firefox does not start"
            time.sleep(0.05)
        self._socket = socket.create_connection(("127.0.0.1", int(port.read_text())), PATIENCE_S)
        return self._socket.makefile("rb")

    def _read(self) -> Any:
        length = b""
        while (byte := self._stream.read(1)) != b":":
            assert byte.isdigit(), "Firefox ended"
            length += byte
        return json.loads(self._stream.read(int(length)))

    def ask(self, command: str, **values: Any) -> Any:
        """A command of WebDriver and its answer."""
        self._number += 1
        said = json.dumps([0, self._number, f"WebDriver:{command}", values]).encode()
        self._socket.sendall(b"%d:%s" % (len(said), said))
        _, _, error, answer = self._read()
        assert not error, f"{command}: {error}"
        return answer.get("value", answer) if isinstance(answer, dict) else answer

    def go(self, address: str) -> None:
        """Load a page to its end."""
        self.ask("Navigate", url=address)

    def size(self, width: int, height: int) -> None:
        """Make the page so large, in CSS pixels."""
        for _ in range(2):
            frame = self.run("return [outerWidth - innerWidth, outerHeight - innerHeight]")
            self.ask("SetWindowRect", width=width + frame[0], height=height + frame[1])

    def run(self, script: str) -> Any:
        """What a script returns; the page's policy does not stop it."""
        return self.ask("ExecuteScript", script=script, args=[])

    def until(self, true: str) -> None:
        """Wait for something to be true."""
        end = time.monotonic() + 15
        while not self.run(f"return Boolean({true})"):
            assert time.monotonic() < end, true
            time.sleep(0.05)

    def press(self, *keys: str) -> None:
        """Press keys one after the other."""
        for key in keys:
            value = KEYS.get(key, key)
            some = [{"type": "keyDown", "value": value}, {"type": "keyUp", "value": value}]
            self.ask("PerformActions", actions=[{"type": "key", "id": "keyboard", "actions": some}])

    def picture(self, path: Path) -> None:
        """What is to be seen, as a PNG."""
        path.write_bytes(base64.b64decode(self.ask("TakeScreenshot", full=False)))

    def close(self) -> None:
        """End it."""
        self._stream.close()
        self._socket.close()
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
