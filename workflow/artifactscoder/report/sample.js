"use strict";
// One page: picture beside code beside scores beside its life. The address #sample=ID opens it.
const sample = {
  dialog: document.getElementById("sample"),

  /** What the address names, or nothing. */
  named() {
    const [, id] = location.hash.match(/^#sample=(.+)$/) ?? [];
    try {
      return id && decodeURIComponent(id);
    } catch {
      return undefined;
    }
  },

  address(id) {
    return `#sample=${encodeURIComponent(id)}`;
  },

  async follow() {
    const id = this.named();
    if (!id) return this.dialog.close();
    const row = gallery.ids.indexOf(id);
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const entry = row < 0 ? null : await gallery.entry(row);
    if (turn !== this.turn) return;
    this.dialog.replaceChildren(this.head(id, row), entry ? this.parts(id, row, entry) : this.none(id));
    if (!this.dialog.open) this.dialog.showModal();
    this.dialog.scrollTop = 0;
    this.dialog.querySelector("h2").focus();
  },

  /** What is said of an id that is no page's. */
  none(id) {
    const task = [id, id.slice(0, id.lastIndexOf("/"))].find((one) => Object.hasOwn(gallery.dropped, one));
    const said = (...words) =>
      make("p", { class: "none" }, make("span", {}, "This run asked for no page of that id", ...words));
    if (!task) return said(".");
    const [step, reason, detail] = gallery.dropped[task];
    const [, alike, twin] = detail.match(/^(.*? like )(\S+)$/) ?? [];
    return said(`: ${task} left at ${step} (${reason}`, detail && ": ", alike ?? detail, twin ? this.pages(twin) : "", ").");
  },

  head(id, row) {
    const place = gallery.order.indexOf(row);
    const to = (name, next) => {
      const button = make("button", { type: "button" }, name);
      button.disabled = place < 0 || next < 0 || next >= gallery.order.length;
      button.addEventListener("click", () => location.replace(this.address(gallery.ids[gallery.order[next]])));
      return button;
    };
    const close = make("button", { type: "button" }, "close");
    close.addEventListener("click", () => this.dialog.close());
    const percent = row < 0 ? null : gallery.percent[row];
    return make("div", { class: "head" },
      make("h2", { id: "sample-id", tabindex: "-1" }, id),
      percent === null ? null : make("b", {}, `${percent.toFixed(1)} %`),
      row < 0 ? null : this.mark(gallery.ended(gallery.verdict[row])),
      to("previous", place - 1), to("next", place + 1), close);
  },

  mark(text) {
    const good = text === "in the set" || text === "ok";
    return make("span", { class: good ? "mark good" : "mark" }, text);
  },

  parts(id, row, entry) {
    const picture = gallery.picture_of(row);
    const muted = (text) => make("p", { class: "muted" }, text);
    const some = (what) => `Its ${what} is not beside this report, which holds some only (report.pages).`;
    const came = entry.life.some(({ step }) => step === "sft/dedup");
    const no = {
      picture: () => muted(entry.scores ? some("picture") : "It was never scored, so no picture of it was kept."),
      code: () => muted(came ? some("code") : "No page came of it."),
    };
    const look = make("div", { class: "look" }, make("h3", {}, "Picture"),
      picture ? make("img", { src: picture, alt: `The page ${id}, as the browser showed it` }) : no.picture(),
      make("h3", {}, "Request"), make("p", {}, entry.prompt || "The request was never written."),
      this.evidence(entry.evidence));
    const code = make("div", {}, make("h3", {}, "Code"),
      entry.html ? make("pre", { tabindex: "0", role: "group", "aria-label": "Code of the page" }, entry.html) : no.code());
    return make("div", { class: "parts" }, look, code, this.scores(entry), this.life(id, entry.life));
  },

  evidence(found) {
    if (!found) return null;
    const errors = [...(found.script_errors ?? []), ...(found.console_errors ?? [])];
    const said = errors.length ? `errors: ${errors.join("; ")}` : "no errors";
    return make("p", { class: "muted" },
      `${found.visible_elements} elements and ${found.text_chars} letters seen, ${said}`);
  },

  scores(entry) {
    if (!entry.scores)
      return make("div", {}, make("h3", {}, "Scores"), make("p", { class: "muted" }, "It was never scored."));
    const rows = gallery.settings.dimensions.map(([slug, name], n) => {
      const bar = make("span", { class: "bar" });
      bar.style.setProperty("--part", `${10 * entry.scores[n]}%`);
      return make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, String(entry.scores[n])),
        make("td", {}, bar), make("td", { class: "left reason" }, entry.reasons[slug] ?? ""));
    });
    const head = make("tr", {}, make("th", { scope: "col" }, "dimension"), make("th", { scope: "col" }, "of 10"),
      make("td", {}), make("th", { scope: "col", class: "left reason" }, "the judge's reason"));
    return make("div", {}, make("h3", {}, `Scores, ${entry.percent.toFixed(1)} % weighted`),
      make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
  },

  /** The stages from seed to set; each id leads on: to the pages of a seed or task, or to the page that was kept. */
  life(id, stages) {
    const items = stages.map((stage) => {
      const [, alike, twin] = stage.detail.match(/^(.*? like )(\S+)$/) ?? [];
      const facts = [
        stage.title, stage.maker && `by ${stage.maker}`, stage.judge && `judged by ${stage.judge}`,
        stage.request && `request ${stage.request}`,
        stage.attempts && `${stage.attempts} attempt${stage.attempts > 1 ? "s" : ""}`,
        stage.tokens_in && `${stage.tokens_in.toLocaleString("en")} tokens in`,
        stage.tokens_out &&
          `${stage.tokens_out.toLocaleString("en")} tokens ${stage.step === "sft/select" ? "long" : "out"}`,
      ].filter(Boolean).join(", ");
      return make("li", { class: stage.status },
        make("p", {}, make("b", {}, stage.step), " ", this.mark(stage.reason || stage.status), " ",
          stage.id === id ? "" : this.pages(stage.id)),
        stage.detail
          ? make("p", {}, alike ?? stage.detail, twin ? make("a", { href: this.address(twin) }, twin) : "")
          : null,
        facts ? make("p", { class: "muted" }, facts) : null);
    });
    const last = stages.at(-1);
    if (last.step === "sft/select" && last.status === "ok")
      items.push(make("li", { class: "ok" },
        make("p", {}, make("b", {}, "sft_train.parquet"), " a row of the set that SFT trains on")));
    return make("div", {}, make("h3", {}, "Life"), make("ol", { class: "life" }, ...items));
  },

  /** A link to all pages below a seed or a task. */
  pages(id) {
    const link = make("a", { href: "#gallery" }, id);
    link.addEventListener("click", () => {
      this.dialog.close();
      gallery.set({ text: `${id}/`, order: "table" });
    });
    return link;
  },
};

sample.dialog.addEventListener("close", () => {
  const place = gallery.order.indexOf(gallery.ids.indexOf(sample.named()));
  if (sample.named()) history.replaceState(null, "", "#gallery");
  gallery.focus(place);
});
addEventListener("hashchange", () => sample.follow());
document.addEventListener("gallery", () => sample.named() && sample.follow());
