"""The scripts that run inside a page.

`DETERMINISM` runs before the page's own scripts in every frame; what it replaces, the page can see. `FIGURES`
runs in an isolated world, where nothing that the page has overridden is in force; it still reads through
prototypes, because a form field named "body" shadows `document.body` in every world.
"""

from __future__ import annotations

# The page draws the same random numbers every time, and is called back at the same moments of its clock.
DETERMINISM = r"""
(() => {
  let state = 0x6D2B79F5;
  const next = () => {
    state = (state + 0x6D2B79F5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const replace = (owner, name, value) => {
    const {enumerable} = Object.getOwnPropertyDescriptor(owner, name) || {enumerable: true};
    Object.defineProperty(owner, name, {value, writable: true, enumerable, configurable: true});
  };
  replace(Math, 'random', function random() { return next(); });
  const crypto = globalThis.Crypto && Crypto.prototype;
  if (crypto) {
    const original = crypto.getRandomValues;
    replace(crypto, 'getRandomValues', function getRandomValues(array) {
      original.call(this, array);
      const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
      for (let i = 0; i < bytes.length; i++) bytes[i] = next() * 256;
      return array;
    });
    if (crypto.randomUUID) replace(crypto, 'randomUUID', function randomUUID() {
      const hex = 'xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx';
      return hex.replace(/x/g, () => Math.floor(next() * 16).toString(16));
    });
  }
  // Whole milliseconds: the browser blurs the rest by chance. Tasks begin at whole ones, frames at halves, which
  // must not be rounded now up, now down.
  const whole = (time) => Math.floor(time + 0.25);
  const exact = performance.now.bind(performance), clock = () => whole(exact());
  const sharp = (owner) => {
    for (const [name, {get, set, configurable}] of Object.entries(Object.getOwnPropertyDescriptors(owner))) {
      if (!get || !configurable) continue;
      Object.defineProperty(owner, name, {set, enumerable: true, configurable: true, get() {
        const value = get.call(this);
        return typeof value === 'number' && value % 1 ? whole(value) : value;
      }});
    }
  };
  for (const name of ['Event', 'PerformanceEntry', 'PerformanceNavigationTiming', 'PerformanceResourceTiming',
    'PerformancePaintTiming', 'LargestContentfulPaint', 'PerformanceEventTiming']) {
    if (globalThis[name]) sharp(globalThis[name].prototype);
  }
  // The virtual clock stands while a script runs: one that waits for it to pass would wait for ever. Let it pass
  // with the reads once there are more of them at one moment than a script needs.
  const PATIENCE = 1000, NUDGE = 0.1, RealDate = Date;
  const began = Math.round((RealDate.now() - clock()) / 10) * 10;
  let moment = -1, reads = 0, nudged = 0;
  const read = () => {
    const time = clock();
    if (time !== moment) { moment = time; reads = 0; }
    if (++reads > PATIENCE) nudged += NUDGE;
    return time + nudged;
  };
  const today = () => began + Math.floor(read());
  replace(Performance.prototype, 'now', function now() { return read(); });
  replace(RealDate, 'now', function now() { return today(); });
  const Dated = new Proxy(RealDate, {
    construct: (target, args, made) => Reflect.construct(target, args.length ? args : [today()], made),
    apply: () => new RealDate(today()).toString(),
  });
  replace(RealDate.prototype, 'constructor', Dated);
  replace(globalThis, 'Date', Dated);
  // Sixty calls in the first second of the virtual clock, when pages build themselves up, then thirty a second,
  // whatever number of frames is really drawn: what moves on is seen moving, for half the work.
  // Without a graphics card the processor draws what WebGL shows, 20 to 100 ms a frame: then a call for each frame
  // that is really drawn, ten in the first second and five in those after. So it is after a frame of very many drawing
  // calls, which no screen would show sixty times a second either.
  const FAST_MS = 1000, FAST = 1000 / 60, SLOW = 1000 / 30, HEAVY_FAST = 100, HEAVY_SLOW = 200;
  const MANY_CALLS = 2000;
  let heavy = false, drawn = 0, counted = [];
  for (const kind of [globalThis.CanvasRenderingContext2D, globalThis.OffscreenCanvasRenderingContext2D]) {
    if (!kind) continue;
    for (const name of ['fill', 'fillRect', 'stroke', 'strokeRect', 'clearRect', 'fillText', 'drawImage',
      'putImageData']) {
      const original = kind.prototype[name];
      const counting = {[name](...more) { drawn++; return original.apply(this, more); }}[name];
      replace(kind.prototype, name, counting);
      counted.push([kind.prototype, name, counting, original]);
    }
  }
  // What is known to be heavy is counted no more: that costs as much as the calls.
  const weigh = () => {
    if (drawn <= MANY_CALLS) return;
    heavy = true;
    for (const [owner, name, counting, original] of counted) {
      if (owner[name] === counting) replace(owner, name, original);
    }
    counted = [];
    drawn = 0;
  };
  const later = setTimeout.bind(globalThis);
  if (globalThis.HTMLCanvasElement) {
    const original = HTMLCanvasElement.prototype.getContext;
    replace(HTMLCanvasElement.prototype, 'getContext', function getContext(kind, ...more) {
      const context = original.call(this, kind, ...more);
      if (context && globalThis.WebGL2RenderingContext &&
        (context instanceof WebGL2RenderingContext || context instanceof WebGLRenderingContext)) heavy = true;
      return context;
    });
  }
  let last = 0, waiting = new Map(), due = 0;
  const run = (calls, time) => {
    // Not caught: an error must be seen as uncaught; the calls after it still come.
    try {
      for (const [handle, callback] of calls) { calls.delete(handle); callback.call(globalThis, time); }
    } finally { if (calls.size) later(run, 0, calls, time); }
  };
  let running = new Map();
  const tick = () => {
    running = waiting;
    waiting = new Map();
    drawn = 0;
    try { run(running, due + nudged); } finally { weigh(); }
  };
  replace(globalThis, 'requestAnimationFrame', function requestAnimationFrame(callback) {
    if (typeof callback !== 'function') throw new TypeError('The callback provided is not a function.');
    if (!waiting.size) {
      const early = clock() < FAST_MS;
      const period = heavy ? (early ? HEAVY_FAST : HEAVY_SLOW) : (early ? FAST : SLOW);
      due = (Math.floor(clock() / period + 0.1) + 1) * period;
      later(tick, Math.ceil(due - clock()));
    }
    waiting.set(++last, callback);
    return last;
  });
  replace(globalThis, 'cancelAnimationFrame', function cancelAnimationFrame(handle) {
    waiting.delete(handle);
    running.delete(handle);
  });
})()
"""

# Ends when a worker has done what it was sent before.
ABREAST = (
    "new Promise(done => { const {port1, port2} = new MessageChannel(); port1.onmessage = done; "
    "port2.postMessage(0); })"
)

# %d: the longest text to return. Rectangles are of the viewport; those of `ink` show where the picture ought to
# show something. The walk is cut at 10,000 elements, its cost at that size is about 0.2 s.
FIGURES = r"""
((longest) => {
  const of = (prototype, name) => Object.getOwnPropertyDescriptor(prototype, name).get;
  const root = of(Document.prototype, 'documentElement').call(document);
  const body = of(Document.prototype, 'body').call(document);
  const shadow = of(Element.prototype, 'shadowRoot'), tagName = of(Element.prototype, 'tagName');
  const rect = Element.prototype.getBoundingClientRect, visible = Element.prototype.checkVisibility;
  const attribute = Element.prototype.getAttribute, firstChild = of(Node.prototype, 'firstChild');
  const nextSibling = of(Node.prototype, 'nextSibling');
  const nodeType = of(Node.prototype, 'nodeType'), data = of(CharacterData.prototype, 'data');
  const hidden = new Set(['HEAD', 'SCRIPT', 'STYLE', 'META', 'LINK', 'TITLE', 'TEMPLATE', 'NOSCRIPT', 'BASE']);
  const drawn = new Set(['CANVAS', 'SVG', 'IMG', 'VIDEO', 'IFRAME', 'OBJECT', 'EMBED', 'INPUT', 'SELECT',
    'TEXTAREA', 'BUTTON', 'PROGRESS', 'METER', 'HR']);
  // What shows by its own border, where a canvas or frame shows by what it holds.
  const controls = new Set(['INPUT', 'SELECT', 'TEXTAREA', 'BUTTON', 'PROGRESS', 'METER', 'HR']);
  const pressed = new Set(['button', 'submit', 'reset', 'image']);
  const out = {elements: 0, visible_elements: 0, text_chars: 0, visible_text: '', buttons: 0, inputs: 0, links: 0,
    canvases: 0, svgs: 0, images: 0, broken_images: 0, seen: {}, ink: []};
  const texts = [];
  let kept = 0;
  const ink = (box, solid) => {
    if (box.width < 1 || box.height < 1 || out.ink.length >= 300) return;
    const edge = solid ? Math.min(4, box.width / 4, box.height / 4) : 0;
    out.ink.push([box.left + edge, box.top + edge, box.right - edge, box.bottom - edge]);
  };
  const wholly = {opacityProperty: true, visibilityProperty: true, contentVisibilityAuto: false};
  const range = Document.prototype.createRange.call(document);
  // What follows from a tag's name alone, once a name: the walk is what a page of thousands of elements costs.
  const named = new Map();
  const nameOf = (element) => {
    const name = tagName.call(element);
    let known = named.get(name);
    if (!known) {
      const tag = name.toUpperCase();
      known = {tag, low: tag.toLowerCase(), hidden: hidden.has(tag), drawn: drawn.has(tag), solid: !controls.has(tag)};
      named.set(name, known);
    }
    return known;
  };
  const count = (element, tag, role) => {
    if (tag === 'BUTTON' || role === 'button') out.buttons++;
    else if (tag === 'INPUT') {
      if (pressed.has((attribute.call(element, 'type') || '').toLowerCase())) out.buttons++;
      else if ((attribute.call(element, 'type') || '').toLowerCase() !== 'hidden') out.inputs++;
    } else if (tag === 'SELECT' || tag === 'TEXTAREA') out.inputs++;
    else if (tag === 'A' && attribute.call(element, 'href') !== null) out.links++;
    else if (tag === 'CANVAS') out.canvases++;
    else if (tag === 'SVG') out.svgs++;
    else if (tag === 'IMG') {
      out.images++;
      if (element.complete && element.naturalWidth === 0) out.broken_images++;
    }
  };
  // What kinds of elements are visible: tag, type of an input, role where one is given.
  const kinds = new Map();
  const tally = (element, kind, role) => {
    if (kind === 'input') kind += ':' + (attribute.call(element, 'type') || 'text').toLowerCase().slice(0, 20);
    if (role && (role = role.trim().split(/\s+/)[0].slice(0, 30))) kind = 'role=' + role;
    const before = kinds.get(kind);
    if (before || kinds.size < 100) kinds.set(kind, (before || 0) + 1);
  };
  // Text as good as of the colour behind it. Colours that are not rgb, gradients and pictures count as different.
  const parent = of(Node.prototype, 'parentElement'), point = Document.prototype.elementsFromPoint;
  const read = new Map();
  const parts = (colour) => {
    let numbers = read.get(colour);
    if (numbers === undefined) {
      const found = /^rgba?\(([\d.]+), ([\d.]+), ([\d.]+)(?:, ([\d.]+))?\)$/.exec(colour);
      numbers = found && found.slice(1).map((part, i) => part === undefined ? 1 : Number(part));
      read.set(colour, numbers);
    }
    return numbers;
  };
  // The colour that an element itself puts behind its text; null: not one colour; undefined: none, look further.
  const painted = new Map();
  const paint = (element, style) => {
    let own = painted.get(element);
    if (own === undefined && !painted.has(element)) {
      style = style || getComputedStyle(element);
      const colour = parts(style.backgroundColor);
      const odd = style.backgroundImage !== 'none' || !colour || colour[3] < 0.5 && nameOf(element).drawn;
      own = odd ? null : colour[3] > 0.5 ? colour : undefined;
      painted.set(element, own);
    }
    return own;
  };
  const white = [255, 255, 255, 1], found = new Map();
  const backdrop = (element, style) => {
    const above = [];
    let colour;
    for (let one = element; one && colour === undefined; one = parent.call(one), style = null) {
      colour = found.get(one);  // of one that was looked at never undefined
      if (colour === undefined) { above.push(one); colour = paint(one, style); }
    }
    if (colour === undefined) colour = white;
    for (const one of above) found.set(one, colour);
    return colour;
  };
  const topmost = (elements) => {
    for (const element of elements) { const colour = paint(element); if (colour !== undefined) return colour; }
    return white;
  };
  const same = (colour, behind) => colour && behind &&
    (colour[3] < 0.1 || [0, 1, 2].every((i) => Math.abs(colour[i] - behind[i]) < 24));
  const [scrolledX, scrolledY] = [scrollX, scrollY];
  const faint = (element, box) => {
    const style = getComputedStyle(element), colour = parts(style.color);
    if (parseFloat(style.fontSize) < 4 || box.left + scrolledX > 5000) return true;
    if (/inset\((?:[5-9]\d|100)%%|circle\(0/.test(style.clipPath)) return true;
    if (!(element instanceof HTMLElement) || !same(colour, backdrop(element, style))) return false;
    if (style.backgroundClip.includes('text')) return false;
    const at = point.call(document, (box.left + box.right) / 2, (box.top + box.bottom) / 2);
    return !at.length || same(colour, topmost(at));
  };
  const write = (node, clipped) => {
    const words = data.call(node).replace(/\s+/g, ' ').trim();
    if (!words) return;
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    if (box.width < 1 || box.height < 1) return;
    if (box.right + scrolledX <= 0 || box.bottom + scrolledY <= 0) return;
    ink(box, false);
    const element = parent.call(node);
    if (clipped || (element && faint(element, box))) return;
    out.text_chars += words.length;
    if (kept < longest) { texts.push(words); kept += words.length + 1; }
  };
  // No recursion: pages nest deeper than the stack allows.
  const enter = (element) => {
    out.elements++;
    const name = nameOf(element), role = attribute.call(element, 'role');
    count(element, name.tag, role);
    if (name.hidden) return null;
    const sight = visible.call(element, wholly), box = rect.call(element), {width, height} = box;
    if (sight && width > 1 && height > 1) {
      if (element !== root && element !== body) { out.visible_elements++; tally(element, name.low, role); }
      if (name.drawn) ink(box, name.solid);
    }
    return [sight, (width < 2 || height < 2) && cuts(element, width + height)];
  };
  // An element of next to no size that cuts off what it holds shows none of it.
  const cuts = (element, size) => {
    const {overflowX, overflowY, clip} = getComputedStyle(element);
    return size > 0 && (overflowX !== 'visible' || overflowY !== 'visible' || clip !== 'auto');
  };
  const walk = root ? [[root, false, false]] : [];  // a page can remove its root
  while (walk.length && out.elements < 10000) {
    let [here, sight, clipped] = walk.pop();
    const type = nodeType.call(here);
    if (type === 3) { if (sight) write(here, clipped); continue; }
    let inside = sight;
    if (type === 1) {
      const entered = enter(here);
      if (entered === null) continue;
      inside = entered[0];
      clipped = clipped || entered[1];
    }
    else if (type !== 11) continue;
    const below = [];
    const tree = type === 1 ? shadow.call(here) : null;
    for (let child = firstChild.call(tree || here); child; child = nextSibling.call(child)) below.push(child);
    for (let i = below.length - 1; i >= 0; i--) walk.push([below[i], inside, clipped]);
  }
  out.seen = Object.fromEntries(kinds);
  out.visible_text = texts.join(' ').slice(0, longest);
  const size = (element) => element ? [element.scrollWidth, element.scrollHeight] : [0, 0];
  out.width = Math.max(0, size(root)[0], size(body)[0]);
  out.height = Math.max(0, size(root)[1], size(body)[1]);
  out.scroll = [scrolledX, scrolledY];
  return out;
})(%d)
"""
