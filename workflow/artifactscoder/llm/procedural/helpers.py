"""The small functions that the widgets' scripts share, and the fixed texts and figures they show.

A page carries only the helpers that its script calls, in one of three ways of writing them (`DIALECTS`): what they do
is the same, how they are written differs as it does from author to author. All lines are verbatim in every page that
has them. A line with a leading `~` is left out by a careless author.
"""

from __future__ import annotations

# Helpers that every dialect writes in its own way.
DIALECTS: tuple[dict[str, tuple[str, ...]], ...] = (
    {
        "make": (
            "const make = (tag, text = '') => Object.assign(document.createElement(tag), { textContent: text });",
        ),
        "press": (
            "const press = (box, text, run) => box.appendChild(Object.assign(make('button', text), { onclick: run }));",
        ),
        "mark": ("const mark = (button, on) => button.setAttribute('aria-pressed', on);",),
        "tell": ("const tell = (root, text) => { root.querySelector('output').textContent = text; };",),
        "load": (
            "const load = (root, fallback) => {",
            "  try { return JSON.parse(localStorage[document.title + root.id]); } catch { return fallback; }",
            "};",
        ),
        "save": (
            "const save = (root, value) => {",
            "  try { localStorage[document.title + root.id] = JSON.stringify(value); } catch { console.info('Not saved'); }",
            "};",
        ),
        "start": ("const start = (id, run) => run(document.getElementById(id));",),
    },
    {
        "make": (
            "function make(name, label = '') {",
            "  const node = document.createElement(name);",
            "  node.append(label);",
            "  return node;",
            "}",
        ),
        "press": (
            "function press(parent, label, action) {",
            "  const node = parent.appendChild(make('button', label));",
            "  node.addEventListener('click', action);",
            "  return node;",
            "}",
        ),
        "mark": ("function mark(node, state) { node.ariaPressed = String(state); }",),
        "tell": ("function tell(part, message) { part.querySelector('output').value = message; }",),
        "load": (
            "function load(part, initial) {",
            "  try { return JSON.parse(localStorage.getItem(part.id)) ?? initial; } catch { return initial; }",
            "}",
        ),
        "save": (
            "function save(part, state) {",
            "  try { localStorage.setItem(part.id, JSON.stringify(state)); } catch { part.title = 'Not saved'; }",
            "}",
        ),
        "start": ("function start(name, script) { script(document.querySelector('#' + name)); }",),
    },
    {
        "make": (
            "const make = (kind, content) => { const it = document.createElement(kind); it.append(content ?? ''); return it; };",
        ),
        "press": (
            "const press = (place, caption, handler) => {",
            "  place.append(make('button', caption));",
            "  return Object.assign(place.lastChild, { onclick: handler });",
            "};",
        ),
        "mark": ("const mark = (it, yes) => { it.ariaPressed = yes ? 'true' : 'false'; };",),
        "tell": ("const tell = (section, note) => section.querySelector('output').replaceChildren(note);",),
        "load": (
            "const load = (section, preset) => {",
            "  try { return JSON.parse(localStorage['my-' + section.id]); } catch { return preset; }",
            "};",
        ),
        "save": (
            "const save = (section, data) => {",
            "  try { localStorage['my-' + section.id] = JSON.stringify(data); } catch { section.ariaLabel = 'Not saved'; }",
            "};",
        ),
        "start": ("const start = (name, setUp) => setUp(document.querySelector(`#${name}`));",),
    },
)

# Helpers for whole families of widgets, in two ways. Order is the order in a page, after those of the dialect.
FAMILIES: tuple[dict[str, tuple[str, ...]], ...] = (
    {
        "fill": (
            "const fill = (root, texts) => root.querySelector('ul').replaceChildren(...texts.map((text) => make('li', text)));",
        ),
        "keys": (
            "function keys(root, texts, run) {",
            "  return [...texts].map((text) => press(root.querySelector('.board'), text, (event) => run(text, event.target)));",
            "}",
        ),
        "choice": (
            "function choice(root, show) {",
            "  const buttons = TOPICS.map((name, at) => press(root.querySelector('.board'), name, () => {",
            "    buttons.forEach((button, i) => mark(button, i === at));",
            "    show(at);",
            "  }));",
            "  return buttons[0];",
            "}",
        ),
        "slider": (
            "function slider(root, show) {",
            "  const input = root.querySelector('input');",
            "  input.oninput = () => show(Number(input.value));",
            "  input.oninput();",
            "}",
        ),
        "arrows": (
            "function arrows(root, move) {",
            "  root.onkeydown = (event) => move({ ArrowRight: 1, ArrowLeft: -1 }[event.key] ?? 0);",
            "}",
        ),
        "curve": (
            "function curve(points) {",
            "  const path = points.map((value, at) => at * 600 / (points.length - 1) + ' ' + (250 - value * 2.4)).join('L');",
            '  return `<path d="M${path}" fill="none" stroke="var(--accent)" stroke-width="5"/>`;',
            "}",
        ),
        "film": (
            "function film(root, frame) {",
            "  const pen = root.querySelector('canvas').getContext('2d');",
            "  pen.clearRect(0, 0, 600, 260);",
            "  frame(pen);",
            "  requestAnimationFrame(() => film(root, frame));",
            "}",
        ),
        "dot": (
            "function dot(pen, x, y, size, colour) {",
            "  pen.fillStyle = getComputedStyle(document.body).getPropertyValue(colour);",
            "  pen.beginPath();",
            "  pen.arc(x, y, size, 0, 7);",
            "  pen.fill();",
            "}",
        ),
        "rows": (
            "function rows(root, items, row, sum) {",
            "  const draw = () => {",
            "    fill(root, items.map((item) => item.name));",
            "    items.forEach((item, at) => row(item, root.querySelectorAll('li')[at], draw));",
            "    tell(root, items.length ? sum() : 'Nothing here yet.');",
            "  };",
            "  draw();",
            "  return draw;",
            "}",
        ),
        "ask": (
            "function ask(root, run) {",
            "  const form = root.querySelector('form');",
            "  form.onsubmit = (event) => {",
            "    event.preventDefault();",
            "    const text = form[0].value.trim();",
            "~    if (!text) return tell(root, 'Please type something first.');",
            "    form.reset();",
            "    run(text);",
            "  };",
            "}",
        ),
    },
    {
        "fill": (
            "const fill = (section, lines) => {",
            "  section.querySelector('ul').textContent = '';",
            "  section.querySelector('ul').append(...lines.map((line) => make('li', line)));",
            "};",
        ),
        "keys": (
            "const keys = (section, labels, use) => Array.from(labels, (label) =>",
            "  press(section.querySelector('.board'), label, ({ target }) => use(label, target)));",
        ),
        "choice": (
            "const choice = (section, use) => {",
            "  const picks = keys(section, TOPICS, (name, picked) => {",
            "    for (const one of picks) mark(one, one === picked);",
            "    use(TOPICS.indexOf(name));",
            "  });",
            "  return picks[0];",
            "};",
        ),
        "slider": (
            "const slider = (section, use) => {",
            "  const range = section.querySelector('input');",
            "  range.addEventListener('input', () => use(+range.value));",
            "  use(+range.value);",
            "};",
        ),
        "arrows": (
            "const arrows = (section, go) => section.addEventListener('keydown', ({ key }) => {",
            "  if (key === 'ArrowLeft' || key === 'ArrowRight') go(key === 'ArrowLeft' ? -1 : 1);",
            "});",
        ),
        "curve": (
            "const curve = (points) => {",
            "  const corners = points.map((value, i) => `${i * 600 / (points.length - 1)},${250 - value * 2.4}`);",
            '  return `<polyline points="${corners}" style="fill: none; stroke: var(--pop); stroke-width: 6"/>`;',
            "};",
        ),
        "film": (
            "const film = (section, paint) => {",
            "  const canvas = section.querySelector('canvas');",
            "  canvas.width = 600;",
            "  paint(canvas.getContext('2d'));",
            "  requestAnimationFrame(() => film(section, paint));",
            "};",
        ),
        "dot": (
            "const dot = (pen, x, y, radius, name) => {",
            "  const disc = new Path2D();",
            "  disc.ellipse(x, y, radius, radius, 0, 0, 2 * Math.PI);",
            "  pen.fillStyle = getComputedStyle(pen.canvas).getPropertyValue(name);",
            "  pen.fill(disc);",
            "};",
        ),
        "rows": (
            "const rows = (section, data, dress, count) => {",
            "  const paint = () => {",
            "    fill(section, data.map(({ name }) => name));",
            "    section.querySelectorAll('li').forEach((line, i) => dress(data[i], line, paint));",
            "    tell(section, data.length ? count() : 'The list is empty.');",
            "  };",
            "  paint();",
            "  return paint;",
            "};",
        ),
        "ask": (
            "const ask = (section, use) => section.querySelector('form').addEventListener('submit', (event) => {",
            "  event.preventDefault();",
            "  const [field] = event.target.elements;",
            "~  if (!field.value.trim()) return tell(section, 'Please enter a text.');",
            "  use(field.value.trim());",
            "  field.value = '';",
            "});",
        ),
    },
)

# Helpers that all pages write alike.
HELPERS: dict[str, tuple[str, ...]] = {
    "chart": ("const chart = (root, shapes) => { root.querySelector('svg').innerHTML = shapes.join(''); };",),
    "pick": ("const pick = (list) => list[Math.floor(Math.random() * list.length)];",),
    "money": ("const money = (sum) => sum.toFixed(2) + ' EUR';",),
    "goods": ("const goods = () => TOPICS.map((name, at) => ({ name, value: VALUES[at] }));",),
}
STORAGE_COMMENT = "// Storage may be empty or blocked."
DATA_COMMENT = "// The content of the page."

NAV = (
    "document.querySelectorAll('.main h2').forEach((head) => {",
    "  press(document.querySelector('nav'), head.textContent, () => head.scrollIntoView());",
    "});",
)

VALUES = (
    "const VALUES = [42, 68, 35, 57];",
    "const VALUES = [18, 64, 49, 81];",
    "const VALUES = [73, 28, 61, 45];",
    "const VALUES = [55, 31, 79, 24];",
    "const VALUES = [27, 83, 52, 66];",
    "const VALUES = [64, 45, 87, 30];",
)

NOTES = (
    "const NOTES = ['Ready to go.', 'Needs a second look.', 'Asked for most.', 'New this week.'];",
    "const NOTES = ['A good start.', 'The busiest part.', 'Slowly growing.', 'Done for today.'];",
    "const NOTES = ['On time.', 'A little late.', 'Checked twice.', 'Planned for autumn.'];",
    "const NOTES = ['Well liked.', 'Hard to find.', 'Open to everyone.', 'Only a few left.'];",
    "const NOTES = ['Begin here.', 'Then compare.', 'Mind the limits.', 'Finish with a check.'];",
    "const NOTES = ['Small but useful.', 'The heart of it.', 'Often forgotten.', 'Easy to learn.'];",
)

TIPS = (
    "<p>Nothing is sent anywhere.</p>",
    "<p>Use Tab and Enter if you like.</p>",
    "<p>The figures are examples.</p>",
    "<p>Start with the first part.</p>",
    "<p>It works on a phone, too.</p>",
    "<p>Hover shows what can be clicked.</p>",
    "<p>Try unusual values: limits hold.</p>",
    "<p>Reload to begin afresh.</p>",
)

FOOTERS = (
    '<footer class="foot">Entries stay on this device.</footer>',
    '<footer class="foot">Plain HTML, CSS and JavaScript.</footer>',
    '<footer class="foot">Click, type, change: try it out.</footer>',
    '<footer class="foot">Works offline, asks for nothing.</footer>',
    '<footer class="foot">Numbers shown here are invented.</footer>',
    '<footer class="foot">Everything here can be changed.</footer>',
    '<footer class="foot">Good for a quick look and a long one.</footer>',
    '<footer class="foot">Print it, share it, change it.</footer>',
    '<footer class="foot">No account, no cookies, no wait.</footer>',
    '<footer class="foot">Written to be read and reused.</footer>',
    '<footer class="foot">Small enough to fit in a mail.</footer>',
    '<footer class="foot">Checked by hand, kept simple.</footer>',
)

INTROS = (
    "A clear place for @first@.",
    "See @first@ at a glance.",
    "From @first@ to @second@.",
    "Keep track of @first@.",
    "@First@ made simple.",
    "Everything about @first@.",
    "Work with @first@ step by step.",
    "All about @first@ and @second@.",
    "Your daily look at @first@.",
    "@First@ first, then @second@.",
)

# What a page of one part says beside it.
SUMMARIES = (
    "It brings together @first@, @second@ and @third@.",
    "Mind @first@, then @second@, and in the end @third@.",
    "@First@ and @second@ come first; @third@ can wait.",
    "In few words: @first@, @second@, @third@.",
    "Made with @first@ in mind, but also for @second@ and @third@.",
    "Look for @first@ on weekdays, for @second@ and @third@ at leisure.",
)
