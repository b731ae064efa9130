"""What is asked of a renderer and what it answers: data only, no browser, no network.

In: a page's HTML travels beside `RenderOptions`. Out: a `Render`, that is a `Verdict` and pictures. All three
go through JSON, so that a renderer may run on another machine. Reasons other than "ok" speak of the page;
what went wrong with the machinery is a `RenderUnavailable` and never a verdict.
"""

from __future__ import annotations

import base64
import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from artifactscoder.errors import UserError
from artifactscoder.render.keys import stroke

Reason = Literal["ok", "blank", "noise", "no_content", "crashed", "timeout", "navigation_failed"]
Image = Literal["jpeg", "png", "webp"]
Sandbox = Literal["auto", "require"]
Deed = Literal["click", "double_click", "hover", "type", "key", "drag", "scroll", "wait", "explore"]
Place = str | tuple[float, float]
"""Of a target: a CSS selector, else the visible text of an element, else x and y in px of the viewport."""

MAX_SCREENSHOTS = 20
MAX_ACTIONS = 20
MAX_LISTED = 20
MAX_TEXT = 2000
MAX_VISIBLE = 20_000
CAPACITY_HEADER = "Render-Capacity"
"""In every answer of the service: how many pages it takes at once, queue included."""
CLIENT_HEADER = "Render-Client"
"""Who asks: the service serves its clients in turns."""


class RenderUnavailable(UserError):
    """No renderer could take the page: nothing is known about the page itself."""


@dataclass(frozen=True)
class Action:
    """One thing that a visitor does. Elements out of sight are scrolled into it first."""

    do: Deed
    target: Place = ""
    """What is clicked, hovered, typed into or dragged; for a key what gets the focus first and for scrolling what
    scrolls, both optional."""
    to: Place = ""
    """Where a drag ends."""
    text: str = ""
    """What is typed."""
    key: str = ""
    """Such as "a", "Enter", "ArrowLeft", "Control+z"."""
    times: int = 1
    """How often it is clicked or the key struck; of an `explore`, how many of the page's offers are taken."""
    dx: int = 0
    dy: int = 0
    """How far is scrolled, in px."""
    ms: int = 0
    """Virtual time that a wait takes besides that between any two pictures."""

    def __post_init__(self) -> None:
        if self.do not in get_args(Deed):
            raise UserError(f"An action does {self.do!r}: use one of {', '.join(get_args(Deed))}")
        for name in ("target", "to"):
            object.__setattr__(self, name, _place(self.do, name, getattr(self, name)))
        for name, most in (("times", 100), ("dx", 100_000), ("dy", 100_000), ("ms", 600_000)):
            value: Any = getattr(self, name)
            least = {"times": 1, "ms": 0}.get(name, -most)
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                raise UserError(f"{name} of a {self.do} is {value!r}: use a whole number from {least} to {most}")
        for name in ("text", "key"):
            if not isinstance(getattr(self, name), str) or len(getattr(self, name)) > MAX_TEXT:
                raise UserError(f"{name} of a {self.do} must be a text of at most {MAX_TEXT} characters")
        for name in _NEEDS.get(self.do, ()):
            if getattr(self, name) == "":
                raise UserError(f"A {self.do} needs {name}")
        if self.do == "scroll" and not (self.dx or self.dy):
            raise UserError("A scroll needs dx or dy")
        if self.do == "key":
            stroke(self.key)
        if self.do == "explore" and self.times > MAX_ACTIONS:
            raise UserError(f"times of an explore is {self.times}: use at most {MAX_ACTIONS}")

    @classmethod
    def from_dict(cls, values: Any) -> Action:
        """The action of this mapping. Raises UserError at an unknown or bad entry."""
        if not isinstance(values, dict) or "do" not in values:
            raise UserError(f'An action is {values!r:.80}: use an object such as {{"do": "click", "target": "#start"}}')
        known = [entry.name for entry in dataclasses.fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise UserError(f"Unknown entry {unknown[0]} of an action: known are {', '.join(known)}")
        return cls(**values)


_NEEDS = {
    "click": ("target",),
    "double_click": ("target",),
    "hover": ("target",),
    "type": ("target", "text"),
    "key": ("key",),
    "drag": ("target", "to"),
}


def _place(do: str, name: str, value: Any) -> Place:
    """A target as it is kept; UserError if it is none."""
    if isinstance(value, str) and len(value) <= MAX_TEXT:
        return value
    if isinstance(value, (list, tuple)) and len(value) == 2:
        x, y = value
        if all(isinstance(one, (int, float)) and not isinstance(one, bool) and abs(one) < 1e6 for one in value):
            return (x, y)
    raise UserError(f"{name} of a {do} is {value!r:.80}: use a CSS selector, a visible text or [x, y]")


@dataclass(frozen=True)
class RenderOptions:
    """How a page is looked at. Times in ms are of the page's own, virtual, clock."""

    width: int = 1280
    height: int = 720
    screenshots: int = 1
    first_ms: int = 3000
    """Virtual time before the first picture."""
    interval_ms: int = 1000
    """Virtual time between two pictures."""
    timeout_s: float = 10.0
    """Hard limit on the real time of one page, counted from its navigation; it holds anew for each picture of a
    whole page, since each of these needs a tab of its own."""
    image: Image = "jpeg"
    quality: int = 80
    """Of JPEG and WebP pictures, 1 to 100."""
    actions: tuple[Action, ...] = ()
    """What is done on the page after these pictures, each action followed by `interval_ms` and a picture more."""
    full_page: bool = False
    """The whole height of the page, at most `max_height`, instead of the first screen."""
    max_height: int = 4000
    memory_mb: int = 1500
    """Data segment of each browser process, and half of what all processes of one browser may hold."""
    sandbox: Sandbox = "auto"
    """Of the pool: the strongest containment that the machine grants, or none but Chromium's own sandbox."""
    mirror: bool = True
    """Whether common libraries are served from the local mirror of the CDNs."""
    blank_colours: int = 2
    """A picture of so few colours (4 bits a channel) is flat."""
    blank_share: float = 0.999
    """A picture whose commonest colour covers so much is flat."""
    noise_edges: float = 0.3
    """A picture in which more neighbours than this share differ clearly is restless."""
    noise_order: float = 0.15
    """A restless picture whose averages keep less than this part of its contrast is noise."""

    def __post_init__(self) -> None:
        _check(self, "width", 1, 7680)
        _check(self, "height", 1, 7680)
        _check(self, "screenshots", 1, MAX_SCREENSHOTS)
        _check(self, "first_ms", 1, 600_000)
        _check(self, "interval_ms", 1, 600_000)
        _check(self, "timeout_s", 0.1, 600)
        _check(self, "quality", 1, 100)
        _check(self, "max_height", 1, 20_000)
        _check(self, "memory_mb", 256, 1_000_000)
        _check(self, "blank_colours", 0, 4096)
        _check(self, "blank_share", 0, 1)
        _check(self, "noise_edges", 0, 1)
        _check(self, "noise_order", 0, 1)
        if self.image not in get_args(Image):
            raise UserError(f"Render option image is {self.image!r}: use one of {', '.join(get_args(Image))}")
        if self.sandbox not in get_args(Sandbox):
            raise UserError(f"Render option sandbox is {self.sandbox!r}: use one of {', '.join(get_args(Sandbox))}")
        for name in ("full_page", "mirror"):
            if not isinstance(getattr(self, name), bool):
                raise UserError(f"Render option {name} is {getattr(self, name)!r}: use true or false")
        if not isinstance(self.actions, (list, tuple)) or len(self.actions) > MAX_ACTIONS:
            raise UserError(f"Render option actions must be a list of at most {MAX_ACTIONS}")
        actions = (one if isinstance(one, Action) else Action.from_dict(one) for one in self.actions)
        object.__setattr__(self, "actions", tuple(actions))
        if self.actions and self.full_page:
            raise UserError("Render option actions needs pictures of the viewport: set full_page to false")

    def to_dict(self) -> dict[str, Any]:
        """Every option by its name, fit for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RenderOptions:
        """The options of this mapping, the rest by default. Raises UserError at an unknown or bad one."""
        known = {option.name for option in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise UserError(f"Unknown render option {unknown[0]}: known are {', '.join(sorted(known))}")
        return cls(**values)


def _check(options: RenderOptions, name: str, lowest: float, highest: float) -> None:
    value: Any = getattr(options, name)
    whole = name not in ("timeout_s", "blank_share", "noise_edges", "noise_order")
    fits = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if not fits or not lowest <= value <= highest:
        number = "a whole number" if whole else "a number"
        raise UserError(f"Render option {name} is {value!r}: use {number} from {lowest} to {highest}")


@dataclass
class Verdict:
    """What was seen of one page. Lists hold at most 20 entries."""

    rendered: bool
    """True exactly if the reason is "ok"."""
    reason: Reason
    script_errors: list[str] = field(default_factory=list)
    """Uncaught exceptions, one line each, without repeats."""
    console_errors: list[str] = field(default_factory=list)
    elements: int = 0
    visible_elements: int = 0
    text_chars: int = 0
    """Characters of visible text in the whole document, runs of white space counted once. Text of the colour behind
    it, or cut off by an element of no size, is not visible."""
    visible_text: str = ""
    """The first 20,000 of them."""
    seen: dict[str, int] = field(default_factory=dict)
    """Visible elements by what they are: `h1`, `input:range`, `role=tab`."""
    colours: int = 0
    """Distinct colours of the picture at 4 bits a channel, at most 4096."""
    dominant_share: float = 0.0
    """Share of the picture that its commonest colour covers."""
    edges: float = 0.0
    """Share of neighbouring pixels that differ clearly."""
    order: float = 1.0
    """Part of the contrast that averages over rows, columns or squares keep; 1 where there are few edges."""
    width: int = 0
    """Of the document, in CSS pixels, uncut."""
    height: int = 0
    buttons: int = 0
    inputs: int = 0
    links: int = 0
    canvases: int = 0
    svgs: int = 0
    images: int = 0
    broken_images: int = 0
    requests_refused: list[str] = field(default_factory=list)
    """URLs; those of a CDN with the reason why the mirror does not serve them, in brackets."""
    requests_refused_count: int = 0
    requests_mirrored: list[str] = field(default_factory=list)
    """URL -> NAME@VERSION/PATH: what was served from the mirror."""
    requests_mirrored_count: int = 0
    dialogs: int = 0
    """At most 100: then the script that opens them is stopped."""
    downloads: int = 0
    navigations: int = 0
    """How often the page tried to leave or reload itself."""
    popups: int = 0
    actions: list[dict[str, Any]] = field(default_factory=list)
    """Of each action what it was, whether it was `done`, `why` not, and the share of pixels that `changed`."""
    budget_expired: bool = False
    """Whether the page's virtual time ran out before the real time given to it."""
    seconds: float = 0.0
    """Real time of the render."""

    def to_dict(self) -> dict[str, Any]:
        """Every figure by its name, fit for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Verdict:
        """The verdict of this mapping; a missing `rendered` or `reason` or an unknown name is a TypeError."""
        return cls(**values)

    def evidence(self) -> dict[str, Any]:
        """The figures without those that depend on how busy the machine was; of the text the first 2000 characters."""
        loose = ("seconds", "budget_expired", "seen")
        told = {name: value for name, value in self.to_dict().items() if name not in loose}
        return {**told, "visible_text": self.visible_text[:MAX_TEXT]}


@dataclass
class Route:
    """How a page came to its render through a service."""

    replica: str
    """Address of the service that rendered it."""
    attempts: int
    """Requests made for it, the last one among them."""
    seconds: float
    """From the call to the answer: all waiting, the render itself and the way."""


@dataclass
class Render:
    """One page seen: the verdict and its pictures, encoded, none if the page gave none."""

    verdict: Verdict
    screenshots: list[bytes] = field(default_factory=list)
    route: Route | None = field(default=None, compare=False)
    """None where no service was asked; not part of its JSON."""

    def to_dict(self) -> dict[str, Any]:
        """Fit for JSON: pictures in base64."""
        pictures = [base64.b64encode(picture).decode("ascii") for picture in self.screenshots]
        return {"verdict": self.verdict.to_dict(), "screenshots": pictures}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Render:
        """The inverse of `to_dict`; anything else is a KeyError, TypeError or ValueError."""
        pictures = [base64.b64decode(picture, validate=True) for picture in values["screenshots"]]
        return cls(Verdict.from_dict(values["verdict"]), pictures)
