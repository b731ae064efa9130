"""What a visitor does on a page: clicks, keys, drags, scrolling, each followed by a picture.

In: an open tab and the `Action`s asked for; an `explore` becomes what the page offers (render/explore.py). Out: for
each whether it was done, why not, and a picture of what the page shows `interval_ms` of its clock later. Mouse and
keys are real input, sent through the DevTools protocol, which pages cannot tell from a hand's; they reach the page
while its clock stands, and a moving mouse needs a frame drawn for it to be told. Scrolling goes through the DOM,
after a wheel event that a page may prevent: with frames drawn on command Chromium repeats a real turn of the wheel at
every frame. A click costs about 15 ms, most of it the picture.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from artifactscoder.render import explore
from artifactscoder.render.keys import Stroke, stroke
from artifactscoder.render.page import Action, Place

if TYPE_CHECKING:
    from artifactscoder.render.tab import Tab

DRAG_STEPS = 8
MOVE_MS = 16

# Finds an element by selector or, failing that, by its visible text, brings it into view and says where it can be
# hit. %s: the target as JSON.
FIND = r"""
((wanted) => {
  const flat = (text) => (text || '').replace(/\s+/g, ' ').trim();
  const shown = (element) => element.checkVisibility({visibilityProperty: true}) &&
    element.getBoundingClientRect().width > 0 && element.getBoundingClientRect().height > 0;
  const every = (root) => [...root.querySelectorAll('*')].flatMap(
    (element) => element.shadowRoot ? [element, ...every(element.shadowRoot)] : [element]);
  const all = every(document);
  let found = [];
  try { found = all.filter((element) => element.matches(wanted)); } catch { /* no selector, so a text */ }
  if (!found.length) {
    const text = flat(wanted).toLowerCase();
    const words = (element) => flat(['INPUT', 'BUTTON'].includes(element.tagName) && element.value ||
      element.getAttribute('aria-label') || element.innerText || element.placeholder).toLowerCase();
    const matching = (test) => all.filter((element) => shown(element) && test(words(element)));
    found = matching((said) => said === text);
    if (!found.length) found = matching((said) => said.includes(text));
    found = found.filter((element) => !found.some((other) => other !== element && element.contains(other)));
  }
  if (!found.length) return {why: 'no such element'};
  const element = found.find(shown);
  if (!element) return {why: 'not visible'};
  const inside = (x, y) => x >= 0 && y >= 0 && x < innerWidth && y < innerHeight;
  const points = () => [...element.getClientRects()].filter((box) => box.width && box.height).slice(0, 3).flatMap(
    (box) => [[.5, .5], [.25, .25], [.75, .75], [.25, .75], [.75, .25]].map(
      ([across, down]) => [box.left + across * box.width, box.top + down * box.height]));
  if (!points().length) return {why: 'not visible'};
  if (!inside(...points()[0])) element.scrollIntoView({block: 'center', inline: 'center', behavior: 'instant'});
  const seen = points().filter((point) => inside(...point));
  if (!seen.length) return {why: 'cannot be scrolled into view'};
  const hit = (x, y) => {
    let top = document.elementFromPoint(x, y);
    while (top && top.shadowRoot && top.shadowRoot.elementFromPoint(x, y) !== top) {
      const within = top.shadowRoot.elementFromPoint(x, y);
      if (!within || within === top) break;
      top = within;
    }
    return top;
  };
  const holds = (outer, inner) => {
    for (let at = inner; at; at = at.parentNode || at.host) if (at === outer) return true;
    return false;
  };
  for (const [x, y] of seen) {
    const top = hit(x, y);
    if (top && (holds(element, top) || (element.labels && [...element.labels].some((label) => holds(label, top)))))
      return {x, y};
  }
  const above = hit(...seen[0]);
  const name = above ? '<' + above.tagName.toLowerCase() + (above.id ? '#' + above.id : '') + '>' : 'nothing';
  return {why: 'covered by ' + name};
})(%s)
"""

# Scrolls what lies at a place by so many pixels, unless the page takes the wheel for itself.
SCROLL = r"""
(({x, y, dx, dy}) => {
  const start = document.elementFromPoint(x, y) || document.documentElement;
  const wheel = new WheelEvent('wheel', {clientX: x, clientY: y, deltaX: dx, deltaY: dy, bubbles: true,
    cancelable: true, composed: true});
  if (!start.dispatchEvent(wheel)) return {};
  const page = document.scrollingElement || document.documentElement;
  for (let at = start; at; at = at.parentElement) {
    const style = getComputedStyle(at);
    const own = at !== page && at !== document.body;
    if (own && !/auto|scroll/.test(style.overflowX + style.overflowY)) continue;
    const box = own ? at : page, before = [box.scrollLeft, box.scrollTop];
    box.scrollBy({left: dx, top: dy, behavior: 'instant'});
    if (box.scrollLeft !== before[0] || box.scrollTop !== before[1]) return {};
  }
  return {why: 'nothing scrolls'};
})(%s)
"""


class Undone(Exception):
    """An action that cannot be done on this page, and why."""


@dataclass
class Done:
    """One action as it went; `picture` is empty if the page no longer answered."""

    action: Action
    why: str = ""
    """Why it was not done, empty if it was."""
    picture: bytes = b""
    place: int = 0
    """Of the action that asked for it among those of the options."""


@dataclass
class Hand:
    """Does actions on one tab; `done` holds those so far, also when the page hangs in the middle."""

    tab: Tab
    done: list[Done] = field(default_factory=list)
    _dragged: dict[str, Any] | None = None
    _until: float = 0.0

    async def play(self, until: float) -> None:
        """Do the tab's actions one after another; `until` as in `Tab.look`."""
        self._until = until
        for place, action in enumerate(self.tab.options.actions):
            if action.do != "explore":
                await self._one(action, place)
                continue
            for offered in await explore.found(self.tab, action.times):
                await self._one(offered, place)

    async def _one(self, action: Action, place: int) -> None:
        entry = Done(action, "the page did not answer in time", place=place)
        self.done.append(entry)
        why = ""
        try:
            await self._do(action)
        except Undone as error:
            why = str(error)
        await self.tab.live(self.tab.options.interval_ms + (action.ms if action.do == "wait" else 0), self._until)
        entry.picture = await self.tab.picture()
        entry.why = why

    async def _do(self, action: Action) -> None:
        if action.do == "wait":
            return
        if action.do == "key":
            if action.target != "":
                await self._focus(action.target)
            await self._strike([stroke(action.key)] * action.times)
            return
        if action.do == "scroll":
            x, y = await self._at(action.target) if action.target != "" else self._middle()
            where = {"x": x, "y": y, "dx": action.dx, "dy": action.dy}
            await self._told(SCROLL, where)
            return
        place = await self._at(action.target)
        await self._move(*place)
        if action.do in ("click", "double_click", "type"):
            for count in (1, 2) if action.do == "double_click" else (1,):
                for _ in range(action.times):
                    await self._press(*place, count)
        if action.do == "type":
            await self._strike([stroke(letter) for letter in action.text])
        elif action.do == "drag":
            await self._drag(place, action)

    def _middle(self) -> tuple[float, float]:
        return self.tab.options.width / 2, self.tab.options.height / 2

    async def _told(self, script: str, argument: Any) -> dict[str, Any]:
        """What a script of this module says about the page; Undone if it says why not."""
        found = await self.tab.evaluate(script % json.dumps(argument))
        if found.get("why"):
            raise Undone(found["why"])
        return found

    async def _at(self, target: Place) -> tuple[float, float]:
        """Where to hit the target, in px of the viewport."""
        if not isinstance(target, str):
            x, y = target
            if not (0 <= x < self.tab.options.width and 0 <= y < self.tab.options.height):
                raise Undone("outside the viewport")
            return x, y
        found = await self._told(FIND, target)
        return found["x"], found["y"]

    async def _focus(self, target: Place) -> None:
        """Give an element the focus as the keyboard would, without a click."""
        x, y = await self._at(target)
        script = "((p) => { const e = document.elementFromPoint(p[0], p[1]); e && e.focus(); return {}; })(%s)"
        await self._told(script, [x, y])

    async def _mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """Send one event of the mouse. A move takes `MOVE_MS` of the page's time, and a frame after these."""
        sent = self.tab.post("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, **more})
        if kind == "mouseMoved":
            await self.tab.live(MOVE_MS, self._until)
            while self._dragged is None and not sent.done():
                await self.tab.beat()
        # What is dragged takes the mouse's place: the move that begins it is answered when all is over.
        if self._dragged is None:
            await sent

    async def _move(self, x: float, y: float, **more: Any) -> None:
        await self._mouse("mouseMoved", x, y, **more)

    async def _press(self, x: float, y: float, count: int) -> None:
        click = {"button": "left", "clickCount": count}
        await self._mouse("mousePressed", x, y, buttons=1, **click)
        await self._mouse("mouseReleased", x, y, buttons=0, **click)

    async def _drag(self, start: tuple[float, float], action: Action) -> None:
        """Press, move in steps, let go. What a page declares draggable is carried by events of its own."""
        end = await self._at(action.to)
        start = await self._at(action.target)  # the end may have had to be scrolled into view
        self._dragged, entered = None, False
        intercept = self.tab.post("Input.setInterceptDrags", {"enabled": True})
        self.tab.on_drag = self._begin_drag
        try:
            await intercept
            await self._mouse("mousePressed", *start, button="left", buttons=1, clickCount=1)
            for step in range(1, DRAG_STEPS + 1):
                x, y = (a + (b - a) * step / DRAG_STEPS for a, b in zip(start, end, strict=True))
                if self._dragged is None:
                    await self._move(x, y, button="left", buttons=1)
                if self._dragged is not None:
                    if not entered:  # on a busy machine not at the first step
                        await self._carry("dragEnter", x, y)
                    entered = True
                    await self._carry("dragOver", x, y)
            if self._dragged is not None:
                await self._carry("drop", *end)
            await self._mouse("mouseReleased", *end, button="left", clickCount=1)
        finally:
            self.tab.on_drag = None
            self._dragged = None
            self.tab.post("Input.setInterceptDrags", {"enabled": False})

    def _begin_drag(self, data: dict[str, Any]) -> None:
        self._dragged = data

    async def _carry(self, kind: str, x: float, y: float) -> None:
        await self.tab.post("Input.dispatchDragEvent", {"type": kind, "x": x, "y": y, "data": self._dragged})

    async def _strike(self, strokes: list[Stroke]) -> None:
        """Press and let go keys one after another."""
        for sent in [self.tab.post(method, params) for one in strokes for method, params in one]:
            await sent
