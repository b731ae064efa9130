"use strict";
// The data beside the page: each file of data/ is a script that hands over one compressed value (report/packs.py).
const report = {
  given: new Map(),
  asked: new Map(),

  take(name, text) {
    this.given.set(name, text);
  },

  /** The value of data/NAME.js; asked for once. */
  load(name) {
    if (!this.asked.has(name)) this.asked.set(name, this.script(`data/${name}.js`).then(() => this.unpack(name)));
    return this.asked.get(name);
  },

  script(address) {
    return new Promise((done, failed) => {
      const element = document.createElement("script");
      element.src = address;
      element.onload = () => { element.remove(); done(); };
      element.onerror = () => failed(new Error(`${address} cannot be read: keep the folder data beside this page`));
      document.head.append(element);
    });
  },

  async unpack(name) {
    const text = atob(this.given.get(name));
    this.given.delete(name);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  },
};

/** An element with attributes and children; text of models comes in as children only, which are never markup. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null));
  return element;
}

// Dark or light: the system's, until the button says otherwise. A browser may refuse to keep that.
const chosen = {
  get name() {
    try { return localStorage.getItem("theme"); } catch { return null; }
  },
  set name(name) {
    try { localStorage.setItem("theme", name); } catch { /* It holds until the page is left. */ }
  },
};
const dark = matchMedia("(prefers-color-scheme: dark)");
function theme(name) {
  document.documentElement.dataset.theme = name;
  document.getElementById("theme").textContent = name === "dark" ? "light" : "dark";
  for (const plot of document.querySelectorAll(".plot.js-plotly-plot")) draw(plot);
}
const preferred = () => theme(chosen.name ?? (dark.matches ? "dark" : "light"));
dark.addEventListener("change", preferred);
document.getElementById("theme").addEventListener("click", () => {
  chosen.name = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  preferred();
});

// Charts are drawn when they come near to what is seen.
const SCALES = {
  amount: (css) => [[0, css("--ground")], [1, css("--strong")]], // ink is read on all of them
  signed: (css) => [[0, "#cc4b4b"], [0.5, css("--ground")], [1, css("--accent")]],
};

async function draw(plot) {
  await (report.plotly ??= report.script("data/plotly.min.js"));
  const style = getComputedStyle(document.documentElement);
  const css = (name) => style.getPropertyValue(name).trim();
  plot.figure ??= plot.querySelector("script").textContent;
  const { data, layout } = JSON.parse(plot.figure);
  const narrow = plot.clientWidth < 560;
  // There the entries of its legend stand one below another.
  if (narrow && layout.legend && data.length > 2) layout.height += 17 * data.length;
  plot.style.height = `${layout.height}px`;
  layout.paper_bgcolor = "rgba(0,0,0,0)";
  layout.plot_bgcolor = "rgba(0,0,0,0)";
  layout.font = { color: css("--ink"), size: narrow ? 10 : 12, family: getComputedStyle(document.body).fontFamily };
  layout.hoverlabel = { font: { family: layout.font.family } };
  for (const axis of [layout.xaxis, layout.yaxis].filter(Boolean)) {
    Object.assign(axis, { gridcolor: css("--line"), linecolor: css("--line"), zerolinecolor: css("--line") });
    if (narrow && axis.categoryarray) {
      axis.tickvals = axis.categoryarray;
      axis.ticktext = axis.categoryarray.map((name) => (name.length > 25 ? `${name.slice(0, 24)}…` : name));
    }
  }
  for (const trace of data) {
    if (SCALES[trace.meta]) trace.colorscale = SCALES[trace.meta](css);
    if (trace.meta === "amount") trace.textfont = { color: css("--ink") };
    if (trace.type === "sankey") trace.textfont = { color: css("--ink"), size: 11 };
  }
  const known = plot.classList.contains("js-plotly-plot");
  if (!known) plot.replaceChildren();
  await Plotly.react(plot, data, layout, { displayModeBar: false, responsive: true });
  if (!known) plot.dispatchEvent(new Event("drawn", { bubbles: true }));
}

preferred();
const near = new IntersectionObserver((entries) => {
  for (const entry of entries.filter((one) => one.isIntersecting)) {
    near.unobserve(entry.target);
    draw(entry.target);
  }
}, { rootMargin: "600px" });

// On paper all of them are seen. What is printed is taken when this returns: in time for it once Plotly is there.
addEventListener("beforeprint", () => {
  for (const plot of document.querySelectorAll(".plot:not(.js-plotly-plot)")) {
    near.unobserve(plot);
    draw(plot);
  }
});

// The code of near-duplicates, when one of their clusters is opened: in a dropped page the lines are marked that the
// kept one lacks.
for (const cluster of document.querySelectorAll("details.cluster")) {
  cluster.addEventListener("toggle", async () => {
    const codes = (await report.load("duplicates"))[cluster.dataset.cluster].map((code) => code.split("\n"));
    const kept = new Set(codes[0]);
    cluster.querySelectorAll("pre").forEach((place, n) => {
      place.append(...codes[n].flatMap((line, m) => [m ? "\n" : "", kept.has(line) ? line : make("mark", {}, line)]));
    });
  }, { once: true });
}
