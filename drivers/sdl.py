"""SDL (by pygame-ce) in one thread of its own: started with a video driver that we name, its monitors, its events.

SDL wants all calls in one thread, so all windows of the process share one; it sleeps in its queue and looks after events.
"""

from __future__ import annotations

import ctypes
import os
import queue
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from drivers.slm_edid import Edid
from labonn.errors import ConnectError, LinkClosedError, MissingPackageError

Result = TypeVar("Result")
PUMP_S = 0.02
PLATFORM_DRIVERS = {"win32": "windows", "darwin": "cocoa"}
SETTINGS = {
    "SDL_FRAMEBUFFER_ACCELERATION": "0",  # the GL path is slower and may convert colours
    "SDL_WINDOWS_DPI_AWARENESS": "permonitorv2",  # or Windows scales the picture
    "SDL_NO_SIGNAL_HANDLERS": "1",  # or SIGTERM becomes an event in a queue and ends nothing
}


@dataclass(frozen=True)
class Monitor:
    """A monitor as SDL numbers it; size in pixels (rows, columns), position (x, y) of its corner on the desktop.

    Attributes:
        connector, edid: what it hangs on and says of itself, where that is known.
    """

    index: int
    name: str
    size: tuple[int, int]
    position: tuple[int, int]
    connector: str = ""
    edid: Edid | None = None

    def __str__(self) -> str:
        on = f" on {self.connector}" if self.connector not in ("", self.name) else ""
        edid = f", EDID {self.edid}" if self.edid else ""
        return f'{self.index}: "{self.name}"{on} {self.size[0]} x {self.size[1]} at {self.position}{edid}'


class SdlThread:
    """The thread that talks to SDL, from the first window to the last.

    Attributes:
        users: by number of the monitor, who has it. windows: those that are up, by SDL's number.
    """

    def __init__(self) -> None:
        self.users: dict[int, Any] = {}
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = queue.SimpleQueue()
        self.windows: dict[int, Any] = {}
        self._thread = threading.Thread(target=self._run, name="SDL windows", daemon=True)
        self._thread.start()

    def call(self, job: Callable[[], Result]) -> Result:
        """Run `job` in the thread and return what it does."""
        if not self._thread.is_alive():
            raise LinkClosedError("the window was closed")
        future: Future[Result] = Future()
        self._jobs.put((job, future))
        return future.result()

    def stop(self) -> None:
        """End SDL and the thread."""
        self.call(load_pygame().display.quit)
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                item = self._jobs.get(timeout=PUMP_S)
            except queue.Empty:
                self.look_after_events()
                continue
            if item is None:
                return
            job, future = item
            try:
                future.set_result(job())
            except BaseException as problem:
                future.set_exception(problem)

    def look_after_events(self) -> None:
        """Answer the window system, and hand the picture over again where something had covered it."""
        pygame = load_pygame()
        for event in pygame.event.get() if self.windows else ():
            window = getattr(event, "window", None)
            if window is None or window.id not in self.windows:
                continue
            if event.type == pygame.WINDOWEXPOSED:
                window.flip()
            elif event.type == pygame.WINDOWMINIMIZED:  # "show the desktop" must not take the picture away
                window.restore()


def load_pygame() -> Any:
    """The package pygame-ce."""
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        import pygame
    except ImportError as problem:
        raise MissingPackageError(f'an SLM on a monitor needs pygame-ce ({problem}): pip install "labonn[slm]"') from None
    if not hasattr(pygame, "Window"):
        raise MissingPackageError(f'the pygame in {pygame.__file__} is not pygame-ce 2.5: pip uninstall pygame; pip install "labonn[slm]"')
    return pygame


def start_video() -> None:
    """Start SDL's video with a driver that we name: left alone it draws into nowhere when there is no display."""
    pygame = load_pygame()
    if pygame.display.get_init():
        return
    driver, display = os.environ.get("SDL_VIDEODRIVER") or PLATFORM_DRIVERS.get(sys.platform, "x11"), os.environ.get("DISPLAY")
    if driver == "x11" and not display:
        raise ConnectError("no window without a display: the environment variable DISPLAY is not set (SDL_VIDEODRIVER names other systems)")
    before = os.environ.get("SDL_VIDEODRIVER")
    os.environ.update(SETTINGS, SDL_VIDEODRIVER=driver)  # SDL reads the settings when a window is made, so they stay
    try:
        pygame.display.init()
    except pygame.error as problem:
        raise ConnectError(f"no window: SDL's video driver {driver!r} does not start ({problem}); DISPLAY is {display!r}") from None
    finally:
        if before is None:
            del os.environ["SDL_VIDEODRIVER"]
    pygame.display.set_allow_screensaver(False)


def video_driver() -> str:
    """The name of SDL's running video driver."""
    return str(load_pygame().display.get_driver())


def monitors() -> list[Monitor]:
    """All monitors; pygame tells only their sizes, so names and positions are asked of the SDL library that it has loaded."""
    display = load_pygame().display
    library = ctypes.CDLL("SDL2" if sys.platform == "win32" else display.__file__)
    library.SDL_GetDisplayName.restype = ctypes.c_char_p
    found = []
    for index, (width, height) in enumerate(display.get_desktop_sizes()):
        x_y_w_h = (ctypes.c_int * 4)()
        if library.SDL_GetDisplayBounds(index, x_y_w_h) or tuple(x_y_w_h[2:]) != (width, height):
            scaled = f"{x_y_w_h[3]} x {x_y_w_h[2]} for {height} x {width} pixels"
            raise ConnectError(f"monitor {index} is scaled by the system ({scaled}): set its scale to 100 %")
        name = (library.SDL_GetDisplayName(index) or b"").decode(errors="replace")
        found.append(Monitor(index, name, (height, width), (x_y_w_h[0], x_y_w_h[1])))
    return found
