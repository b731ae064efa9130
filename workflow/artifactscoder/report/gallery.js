"use strict";
// The gallery: every page that was asked for is a row; rows are filtered, ordered, and drawn where they are seen.
const gallery = {
  settings: JSON.parse(document.getElementById("settings").textContent),
  form: document.getElementById("filters"),
  list: document.getElementById("list"),
  found: document.getElementById("found"),
  order: new Uint32Array(0), // the rows that meet the filters, as they are shown
  scores: null, // by dimension the score of every row, 20 a point; 255: none
  words: [], // the requests, by row, in lower case
  drawn: new Map(), // place in the order -> element

  async start() {
    try {
      Object.assign(this, await report.load("samples"));
    } catch (error) {
      this.found.textContent = error.message;
      throw error;
    }
    this.ids = this.ids ? this.ids.split("\n") : [];
    this.starts = [];
    this.category = new Uint16Array(this.ids.length);
    this.shards.reduce((start, [, rows], n) => {
      this.starts.push(start);
      this.category.fill(n, start, start + rows);
      return start + rows;
    }, 0);
    const option = (value, text) => make("option", { value }, text);
    const count = new Uint32Array(this.verdicts.length);
    for (const verdict of this.verdict) count[verdict]++;
    const { category, kind, verdict, score } = this.form.elements;
    category.append(...this.shards.map(([slug], n) => option(n, this.settings.categories[slug] ?? slug)));
    kind.append(...this.kinds.map((name, n) => option(n, name)));
    verdict.append(...this.verdicts.map((_, n) => option(n, `${this.ended(n)} (${count[n].toLocaleString("en")})`)));
    score.append(...this.settings.dimensions.map(([slug, name]) => option(slug, `${name} [0 to 10]`)));
    for (const button of document.querySelectorAll(".views button"))
      button.addEventListener("click", () => this.set({ ...button.dataset, text: "" }));
    this.form.addEventListener("input", () => this.filter());
    this.form.addEventListener("submit", (event) => event.preventDefault());
    document.getElementById("clear").addEventListener("click", () => this.set({}));
    document.getElementById("lift").addEventListener("click", () =>
      this.set(Object.fromEntries(["text", "order"].map((name) => [name, this.form.elements[name].value]))));
    this.list.addEventListener("scroll", () => this.draw(), { passive: true });
    this.list.addEventListener("keydown", (event) => this.move(event));
    new ResizeObserver(() => this.draw(true)).observe(this.list);
    this.form.elements.verdict.value = "scored";
    await this.filter();
    document.dispatchEvent(new Event("gallery"));
  },

  /** How a verdict reads. */
  ended(verdict) {
    const [step, status, reason] = this.verdicts[verdict];
    if (step === "sft/select" && status === "ok") return "in the set";
    return status === "ok" ? `so far ok at ${step}` : `${step}: ${reason || status}`;
  },

  /** Set some of the filters, the others to none, and apply them. */
  set(values) {
    this.form.reset();
    for (const [name, value] of Object.entries(values)) this.form.elements[name].value = value;
    return this.filter();
  },

  async filter() {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    this.list.setAttribute("aria-busy", "true");
    const value = (name) => this.form.elements[name].value;
    const text = value("text").toLowerCase().split(/\s+/).filter(Boolean);
    const dimension = value("score");
    if (dimension && !this.scores) {
      const packed = await report.load("scores");
      this.scores = Object.fromEntries(Object.entries(packed).map(([slug, bytes]) =>
        [slug, Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0))]));
    }
    if (turn !== this.turn) return;
    this.show(text, dimension, value);
    if (text.length && !this.read) {
      for (const [n, [slug]] of this.shards.entries()) {
        this.words[n] ??= (await report.load(`pages/${slug}/words`)).map((words) => words.toLowerCase());
        if (turn !== this.turn) return;
        if (n % 10 === 9) this.show(text, dimension, value, n + 1);
      }
      this.read = true;
      this.show(text, dimension, value);
    }
    this.list.setAttribute("aria-busy", "false");
  },

  /** Apply the filters to what is known and draw what remains. */
  show(text, dimension, value, read = 0) {
    const score = dimension
      ? (row) => (this.scores[dimension][row] === 255 ? null : this.scores[dimension][row] / 20)
      : (row) => this.percent[row];
    const [category, kind, verdict, order] = ["category", "kind", "verdict", "order"].map(value);
    const least = value("least") === "" ? -Infinity : Number(value("least"));
    const most = value("most") === "" ? Infinity : Number(value("most"));
    const bounded = least !== -Infinity || most !== Infinity;
    const inside = this.verdicts.map(([step, status]) => step === "sft/select" && status === "ok");
    const fits = {
      "": () => true,
      set: (row) => inside[this.verdict[row]],
      outside: (row) => this.percent[row] !== null && !inside[this.verdict[row]],
      scored: (row) => this.percent[row] !== null,
      unscored: (row) => this.percent[row] === null,
    }[verdict] ?? ((row) => this.verdict[row] === Number(verdict));
    const named = (row) => {
      const shard = this.category[row];
      const words = this.words[shard]?.[row - this.starts[shard]] ?? "";
      return text.every((word) => this.ids[row].includes(word) || words.includes(word));
    };
    const rows = [];
    for (let row = 0; row < this.ids.length; row++) {
      if (category !== "" && this.category[row] !== Number(category)) continue;
      if (kind !== "" && this.kind[row] !== Number(kind)) continue;
      if (!fits(row)) continue;
      if (bounded) {
        const found = score(row);
        if (found === null || found < least || found > most) continue;
      }
      if (named(row)) rows.push(row);
    }
    this.order = Uint32Array.from(rows);
    if (order !== "table") {
      const middle = dimension ? 5 : this.settings.threshold;
      const key = { best: (x) => -x, worst: (x) => x, near: (x) => Math.abs(x - middle) }[order];
      const keys = new Float64Array(this.ids.length);
      for (const row of rows) keys[row] = score(row) === null ? Infinity : key(score(row));
      const mixed = (row) => Math.imul(row, 2654435761) >>> 0; // equals come from all categories
      this.order.sort((a, b) => (keys[a] === keys[b] ? mixed(a) - mixed(b) : keys[a] - keys[b]));
    }
    for (const button of document.querySelectorAll(".views button"))
      button.setAttribute("aria-pressed", String(button.dataset.order === order && button.dataset.verdict === verdict));
    const number = (count) => count.toLocaleString("en");
    this.found.textContent = `${number(this.order.length)} of ${number(this.ids.length)} pages` +
      (text.length && !this.read ? `, requests of ${read} of ${this.shards.length} categories searched so far` : "");
    const lift = document.getElementById("lift");
    const set = rows.length || (text.length && !this.read) ? [] : this.active();
    lift.hidden = !set.length;
    if (set.length) {
      const alone = this.ids.reduce((sum, _, row) => sum + named(row), 0);
      this.found.textContent += `. These filters are set: ${set.join(", ")}.` +
        (text.length ? ` The search alone finds ${number(alone)}.` : "");
      lift.textContent = text.length ? "search without them" : "lift them";
    }
    this.list.scrollTop = 0;
    this.draw(true);
  },

  /** The filters that are set besides the search, in words. */
  active() {
    const { category, kind, verdict, score, least, most } = this.form.elements;
    const label = (field) => field.selectedOptions[0].textContent;
    const name = (field) => field.closest("label").firstChild.textContent.trim();
    return [
      ...[category, kind, verdict].filter((field) => field.value !== "").map((field) => `${name(field)} ${label(field)}`),
      ...[least, most].filter((field) => field.value !== "")
        .map((field) => `score ${label(score)} ${name(field)} ${field.value}`),
    ];
  },

  /** Draw the rows that are seen, and a screen before and after. */
  draw(anew = false) {
    const width = this.list.clientWidth;
    const columns = Math.max(2, Math.floor(width / 230));
    const size = Math.floor(width / columns);
    const height = Math.round(size * 0.62) + (width < 600 ? 112 : 96);
    this.columns = columns;
    this.height = height;
    const box = this.list.firstElementChild;
    box.style.height = `${Math.ceil(this.order.length / columns) * height}px`;
    const first = Math.max(0, Math.floor(this.list.scrollTop / height) - 2) * columns;
    const end = Math.ceil((this.list.scrollTop + this.list.clientHeight) / height) + 2;
    const last = Math.min(this.order.length, end * columns);
    for (const [place, element] of this.drawn) {
      if (anew || ((place < first || place >= last) && !element.contains(document.activeElement))) {
        element.remove();
        this.drawn.delete(place);
      }
    }
    for (let place = first; place < last; place++) {
      if (this.drawn.has(place)) continue;
      const element = this.card(place);
      const [left, top] = [(place % columns) * size, Math.floor(place / columns) * height];
      element.style.cssText = `left: ${left}px; top: ${top}px; width: ${size}px; height: ${height}px`;
      this.drawn.set(place, element);
      const next = [...box.children].find((other) => other.value > place);
      element.value = place;
      box.insertBefore(element, next ?? null);
    }
  },

  card(place) {
    const row = this.order[place];
    const percent = this.percent[row];
    const picture = this.picture_of(row);
    const text = make("span", { class: "text" },
      percent === null ? null : make("span", { class: "score" }, `${percent.toFixed(1)} %`),
      make("span", { class: "id" }, this.ids[row]), make("br"),
      make("span", { class: "end" }, this.ended(this.verdict[row])));
    const look = make("span", { class: "look" },
      picture ? make("img", { src: picture, alt: "", loading: "lazy", decoding: "async" }) : "no picture");
    const link = make("a", { href: sample.address(this.ids[row]) }, look, text);
    return make("li", { "aria-setsize": this.order.length, "aria-posinset": place + 1 }, link);
  },

  /** Where a row's picture lies, or nothing. */
  picture_of(row) {
    const ending = this.endings[this.picture[row]];
    const shard = this.category[row];
    return ending && `data/pictures/${this.shards[shard][0]}/${row - this.starts[shard]}.${ending}`;
  },

  /** What the files hold of a row: its entry in data/pages/CATEGORY/N.js. */
  async entry(row) {
    const shard = this.category[row];
    const place = row - this.starts[shard];
    return (await report.load(`pages/${this.shards[shard][0]}/${Math.floor(place / this.pack)}`))[place % this.pack];
  },

  /** Arrow keys go from card to card. */
  move(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns, ArrowUp: -this.columns }[event.key];
    const place = document.activeElement.closest("#list li")?.value;
    if (!step || place === undefined) return;
    event.preventDefault();
    this.focus(place + step);
  },

  focus(place) {
    if (place < 0 || place >= this.order.length) return;
    const top = Math.floor(place / this.columns) * this.height;
    const below = top + this.height - this.list.clientHeight;
    if (top < this.list.scrollTop) this.list.scrollTop = top;
    if (this.list.scrollTop < below) this.list.scrollTop = below;
    this.draw();
    this.drawn.get(place)?.querySelector("a").focus({ preventScroll: true });
  },
};

// A cell of the coverage map shows its pages; a loss, in the funnel or among the reasons, the pages that it took.
// Of what else charts show the gallery has no pages; a pointer tells.
function leads(point) {
  const category = gallery.shards.findIndex(([slug]) => slug === point.y);
  const kind = gallery.kinds.indexOf(point.x);
  if (category >= 0 && kind >= 0) return { category, kind, verdict: "set" };
  const loss = String(point.y ?? (point.target ?? point).customdata).replace(/^(?:sft\/)?(.+?)(?: [\d,]+)?$/, "sft/$1");
  const names = [loss, `${point.data?.name}: ${point.y}`, `${point.data?.name}: not_rendered_${point.y}`];
  const verdict = gallery.verdicts.findIndex((_, n) => names.includes(gallery.ended(n)));
  const unscored = gallery.percent[gallery.verdict.indexOf(verdict)] === null;
  return verdict < 0 ? null : { verdict, order: unscored ? "table" : "best" };
}
addEventListener("drawn", ({ target }) => {
  target.on("plotly_hover", ({ points: [point] }) => target.classList.toggle("leads", leads(point) !== null));
  target.on("plotly_unhover", () => target.classList.remove("leads"));
  target.on("plotly_click", ({ points: [point] }) => {
    const filters = leads(point);
    if (!filters) return;
    gallery.set(filters);
    document.getElementById("gallery").scrollIntoView();
  });
});
gallery.start().then(() => document.querySelectorAll(".plot").forEach((plot) => near.observe(plot)));
