"""What a page offers to a visitor, as actions: fields to fill, things to click, keys to strike, things to drag.

In: an open tab. Out: at most so many `Action`s, of each kind in turn, so that few of them show much of the page. Looked
for are fields, buttons, links within the page, whatever shows a pointer, tabs and switches (in an isolated world, where
nothing that the page has overridden is in force), sliders and what is draggable, and keys where the page listens for
some: listeners are asked of the browser itself, in two commands. Disabled, hidden, covered and far too small things are
left out, and links that lead away. The same page offers the same. About 10 ms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from artifactscoder.render.cdp import ProtocolError
from artifactscoder.render.page import Action

if TYPE_CHECKING:
    from artifactscoder.render.tab import Tab

KINDS = ("type", "click", "key", "drag", "choose")
"""The order in which the kinds take turns: a form is filled before its button is clicked, a game started before its
keys are struck."""
KEYS = (("ArrowRight", 3), ("Space", 1), ("ArrowUp", 2), ("Enter", 1))
EACH = 12  # found of each kind at most

# Finds what can be used: fields, things to click, sliders, draggable things, lists, canvases. Targets are an
# id or a text where it is the only one of that, else a path from the root. %s: how many of each kind.
OFFERS = r"""
((most) => {
  const flat = (text) => (text || '').replace(/\s+/g, ' ').trim();
  const every = [...document.querySelectorAll('*')].slice(0, 20000);
  const hits = (element) => {
    const box = element.getBoundingClientRect();
    if (box.width < 6 || box.height < 6 || !element.checkVisibility({visibilityProperty: true, opacityProperty: true}))
      return null;
    const x = box.left + box.width / 2, y = box.top + box.height / 2;
    if (x < 0 || x >= innerWidth || y + scrollY < 0) return null;
    if (x >= 0 && y >= 0 && x < innerWidth && y < innerHeight) {
      const top = document.elementFromPoint(x, y);
      const labels = element.labels ? [...element.labels] : [];
      if (top && !element.contains(top) && !top.contains(element) && !labels.some((label) => label.contains(top)))
        return null;
    }
    return box;
  };
  const texts = new Map(), ids = new Map();
  for (const element of every) ids.set(element.id, (ids.get(element.id) || 0) + 1);
  const path = (element) => {
    const steps = [];
    for (let at = element; at && at.parentElement; at = at.parentElement)
      steps.unshift(`:nth-child(${[...at.parentElement.children].indexOf(at) + 1})`);
    return [':root', ...steps].join('>');
  };
  const said = (element) => flat(['INPUT', 'BUTTON'].includes(element.tagName) && element.value || element.innerText);
  const target = (element) => {
    if (/^[A-Za-z][\w-]{0,30}$/.test(element.id) && ids.get(element.id) === 1) return '#' + element.id;
    const text = element.hasAttribute('aria-label') ? '' : said(element);
    let selects = false;
    try { selects = !!text && !!document.querySelector(text); } catch { /* a text, no selector */ }
    const alone = text && text.length <= 30 && texts.get(text.toLowerCase()) === 1;
    return alone && !selects ? text : path(element);
  };
  const TYPED = ['text', 'search', 'email', 'url', 'tel', 'number', 'password', 'date', 'time'];
  const found = {type: [], click: [], slide: [], drag: [], choose: [], canvas: []};
  const clickable = [];
  for (const element of every) {
    const tag = element.tagName, role = element.getAttribute('role') || '';
    if (element.disabled || element.getAttribute('aria-disabled') === 'true') continue;
    if (tag === 'CANVAS') { const box = hits(element); if (box) found.canvas.push(box); continue; }
    if ((tag === 'INPUT' && TYPED.includes(element.type)) || tag === 'TEXTAREA') {
      if (!element.readOnly && hits(element)) found.type.push([element, tag === 'INPUT' ? element.type : 'text']);
    } else if (tag === 'INPUT' && element.type === 'range') {
      const box = hits(element);
      if (box && box.top >= 0 && box.bottom < innerHeight) found.slide.push([element, box]);
    } else if (tag === 'SELECT') {
      if (hits(element)) found.choose.push(element);
    } else if (element.draggable && tag !== 'IMG' && tag !== 'A') {
      const next = element.parentElement && (element.parentElement.nextElementSibling ||
        element.parentElement.previousElementSibling);
      const to = next && hits(next) ? next : [...element.parentElement.children].filter(
        (other) => other !== element && other.draggable).pop();
      const end = to && hits(to), box = hits(element);
      if (end && box && box.top >= 0 && box.bottom < innerHeight && end.top < innerHeight && end.bottom > 0)
        found.drag.push([element, end]);
    } else {
      const away = tag === 'A' && !/^(#|javascript:|$)/.test(element.getAttribute('href') || '');
      const plain = tag === 'BUTTON' || tag === 'SUMMARY' || tag === 'A' || element.hasAttribute('onclick') ||
        /^(button|tab|switch|checkbox|radio|menuitem|option|link)$/.test(role) ||
        (tag === 'INPUT' && ['button', 'submit', 'checkbox', 'radio', 'reset', 'color'].includes(element.type));
      const pointed = !plain && getComputedStyle(element).cursor === 'pointer' && tag !== 'LABEL' &&
        !(element.parentElement && getComputedStyle(element.parentElement).cursor === 'pointer');
      if ((plain || pointed) && !away && element.type !== 'color' && hits(element)) clickable.push(element);
    }
  }
  const apart = clickable.filter((element) => !clickable.some((other) => other !== element && other.contains(element)));
  for (const element of every) {
    if (element.childElementCount && !clickable.includes(element)) continue;
    const text = said(element).toLowerCase();
    if (text && text.length <= 30) texts.set(text, (texts.get(text) || 0) + 1);
  }
  const seen = (element) => { const box = element.getBoundingClientRect(); return box.top < innerHeight ? 0 : 1; };
  found.click = apart.map((element, place) => [seen(element), place, element]).sort(
    (a, b) => a[0] - b[0] || a[1] - b[1]).map((each) => each[2]);
  const inside = (value, limit) => Math.max(1, Math.min(limit - 2, value));
  return {
    type: found.type.slice(0, most).map(([element, kind]) => [target(element), kind]),
    click: found.click.slice(0, most).map(target),
    choose: found.choose.slice(0, most).map(target),
    slide: found.slide.slice(0, most).map(([element, box]) => [target(element),
      [inside(box.left + .8 * box.width, innerWidth), box.top + box.height / 2]]),
    drag: found.drag.slice(0, most).map(([element, box]) => [target(element),
      [inside(box.left + box.width / 2, innerWidth), inside(box.top + box.height / 2, innerHeight)]]),
    canvas: found.canvas.slice(0, most).map((box) => [inside(box.left, innerWidth), inside(box.top, innerHeight),
      inside(box.right, innerWidth), inside(box.bottom, innerHeight)]),
  };
})(%d)
"""

SAMPLES = {"email": "ana@example.org", "url": "https://example.org", "tel": "5550123", "number": "42",
           "date": "01152025", "time": "1030AM", "password": "Secret-42"}  # fmt: skip


async def found(tab: Tab, most: int) -> list[Action]:
    """At most so many things that can be done on the tab's page."""
    offers = await tab.evaluate(OFFERS % EACH)
    listened = await _listened(tab)
    queues = {kind: getattr(_Offers(offers, listened), kind)() for kind in KINDS}
    actions: list[Action] = []
    while len(actions) < most and any(queues.values()):
        for kind in KINDS:
            if queues[kind] and len(actions) < most:
                actions.append(queues[kind].pop(0))
    return actions


class _Offers:
    """What the page offers, by kind, as actions."""

    def __init__(self, offers: dict[str, Any], listened: set[str]) -> None:
        self.offers, self.listened = offers, listened

    def type(self) -> list[Action]:
        return [Action("type", target, text=SAMPLES.get(kind, "Sample")) for target, kind in self.offers["type"]]

    def click(self) -> list[Action]:
        clicks = [Action("click", target) for target in self.offers["click"]]
        if self.listened & {"click", "mousedown", "pointerdown"}:
            clicks += [Action("click", ((x + right) / 2, (y + bottom) / 2)) for x, y, right, bottom in self._canvases()]
        return clicks

    def key(self) -> list[Action]:
        if not self.listened & {"keydown", "keyup", "keypress"}:
            return []
        return [Action("key", key=key, times=times) for key, times in KEYS]

    def drag(self) -> list[Action]:
        drags = [Action("drag", target, to=tuple(to)) for target, to in self.offers["slide"]]
        if self.listened & {"mousemove", "pointermove"} and self.listened & {"mousedown", "pointerdown"}:
            drags += [
                Action("drag", (x + 0.3 * (right - x), (y + bottom) / 2), to=(x + 0.7 * (right - x), (y + bottom) / 2))
                for x, y, right, bottom in self._canvases()
            ]
        return drags + [Action("drag", target, to=tuple(to)) for target, to in self.offers["drag"]]

    def choose(self) -> list[Action]:
        return [Action("key", target, key="ArrowDown") for target in self.offers["choose"]]

    def _canvases(self) -> list[list[float]]:
        return [box for box in self.offers["canvas"] if box[2] - box[0] > 20 and box[3] - box[1] > 20]


async def _listened(tab: Tab) -> set[str]:
    """The kinds of events that window, document and all elements listen for."""
    kinds: set[str] = set()
    for owner, depth in (("window", 1), ("document", -1)):
        try:
            # Both names are the browser's own and cannot be overridden; no code of the page runs.
            held = (await tab.post("Runtime.evaluate", {"expression": owner}))["result"]
            asked = {"objectId": held["objectId"], "depth": depth}
            listeners = (await tab.post("DOMDebugger.getEventListeners", asked))["listeners"]
        except (ProtocolError, KeyError):
            continue
        kinds |= {str(listener["type"]) for listener in listeners[:5000]}
    return kinds
