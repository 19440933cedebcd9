// The styles to choose from, each on the photograph; mixtures; and the paintings that they learnt from.

import { $, button, element, press, put, title } from "./dom.js";

const MOST = 8; // in a mixture

export class Styles {
  constructor({ changed, complain }) {
    Object.assign(this, { changed, complain });
    this.all = [];
    this.mixture = new Map(); // style id -> weight
    $("mix").addEventListener("change", () => {
      if (!$("mix").checked && this.mixture.size > 1) {
        const [first] = [...this.mixture].sort((one, other) => other[1] - one[1]);
        this.mixture = new Map([first]);
      }
      this.draw();
      this.changed();
    });
    $("painting-dialog").addEventListener("click", () => $("painting-dialog").close());
  }

  // "kept" is a mixture of an earlier visit.
  load(styles, kept) {
    this.all = styles.map((style) => ({ ...style, label: title(style.name) }));
    const there = (Array.isArray(kept) ? kept : []).filter(([id, weight]) => this.find(id) && weight >= 1 && weight <= 100);
    const first = this.all.find((style) => style.name === "starry_night") ?? this.all[0];
    if (!this.mixture.size && there.length) this.mixture = new Map(there.slice(0, MOST));
    else if (!this.mixture.size && first) this.mixture.set(first.id, 50);
    if (this.mixture.size > 1) $("mix").checked = true;
    this.drawTiles();
    this.draw();
  }

  find(id) {
    return this.all.find((style) => style.id === id);
  }

  get chosen() {
    return [...this.mixture.keys()].map((id) => this.find(id));
  }

  // In words, for people.
  get label() {
    return this.chosen.map(({ label }) => label).join(" + ");
  }

  // Those of one network of many together, then the networks of one style.
  drawTiles() {
    const groups = new Map();
    for (const style of this.all) {
      const heading = style.model === style.id ? "One network each" : title(style.model.split(/[\\/]/).pop());
      groups.set(heading, [...(groups.get(heading) ?? []), style]);
    }
    const parts = [...groups].map(([heading, members], place) => {
      const caption = element("h3", { id: `group-${place}`, textContent: heading });
      const tiles = element("div", { className: "tiles", role: "group" }, ...members.map((style) => this.tile(style)));
      tiles.setAttribute("aria-labelledby", caption.id);
      return element("div", {}, ...(groups.size > 1 ? [caption] : []), tiles);
    });
    $("styles").replaceChildren(...parts);
  }

  tile(style) {
    const parts = [element("img", { src: style.thumbnail, alt: "" }), element("span", { textContent: style.label })];
    const made = button({ className: "style", title: style.id, onclick: () => this.choose(style) }, ...parts);
    made.dataset.style = style.id;
    return made;
  }

  get tiles() {
    return [...$("styles").querySelectorAll(".style")];
  }

  choose(style) {
    if (!$("mix").checked) this.mixture.clear();
    if (this.mixture.has(style.id)) {
      if (this.mixture.size > 1) this.mixture.delete(style.id);
    } else if (this.mixture.size < MOST) {
      this.mixture.set(style.id, 50);
    } else {
      return this.complain(`A mixture has ${MOST} styles at most: press one of them to take it out`);
    }
    this.draw();
    this.changed();
  }

  draw() {
    for (const one of this.tiles) {
      press(one, this.mixture.has(one.dataset.style));
      if (this.mixture.has(one.dataset.style)) {
        const strip = one.parentElement; // which scrolls sideways on a narrow page
        const out = Math.max(0, one.offsetLeft + one.offsetWidth - strip.clientWidth - strip.scrollLeft);
        if (out) strip.scrollLeft += out + 8;
        if (one.offsetLeft < strip.scrollLeft) strip.scrollLeft = one.offsetLeft - 8;
      }
    }
    $("mixture").hidden = $("mix-hint").hidden = !$("mix").checked;
    const rows = [...this.mixture.keys()].map((id) => this.row(id));
    this.tellShares = () => shares([...this.mixture.values()]).forEach((share, place) => (rows[place].shown.textContent = `${share} %`));
    this.tellShares();
    $("mixture").replaceChildren(...rows.map(({ row }) => row));
    $("paintings").replaceChildren(...this.chosen.filter(({ painting }) => painting).map((style) => this.painting(style)));
  }

  row(id) {
    const slider = element("input", { type: "range", min: 1, max: 100, value: this.mixture.get(id), id: `weight-${id}` });
    slider.oninput = () => {
      this.mixture.set(id, Number(slider.value));
      this.tellShares();
      this.changed();
    };
    const shown = element("output", {});
    const label = element("label", { textContent: this.find(id).label, htmlFor: slider.id });
    return { row: element("div", { className: "share" }, label, slider, shown), shown };
  }

  painting(style) {
    const { credit } = style;
    const name = credit?.title ?? style.label;
    const by = credit ? `${credit.artist}, ${credit.year}` : "what this style learnt from";
    const image = element("img", { src: style.painting, alt: "" });
    const words = element("span", {}, element("b", { textContent: name }), element("br", {}), by);
    const made = button({ className: "painting", onclick: () => this.enlarge(style, name, by) }, image, words);
    made.setAttribute("aria-label", `Enlarge the painting: ${name}, ${by}`);
    return element("li", {}, made);
  }

  enlarge(style, name, by) {
    $("painting-large").src = style.painting;
    $("painting-large").alt = name;
    $("painting-words").textContent = `${name}, ${by}`;
    $("painting-dialog").showModal();
  }

  // The photograph on every tile until it is there in style; each style on an example where there is none.
  show(photograph) {
    for (const one of this.tiles) {
      const known = photograph?.thumbnails.get(one.dataset.style);
      one.classList.toggle("plain", Boolean(photograph) && !known);
      put(one.firstChild, known ?? photograph?.screen ?? this.find(one.dataset.style).thumbnail);
    }
  }

  showThumbnail(id, data) {
    const shown = this.tiles.find((one) => one.dataset.style === id);
    if (!shown) return;
    put(shown.firstChild, data);
    shown.classList.remove("plain");
  }
}

// Whole parts of a hundred that are a hundred together: what rounding down leaves goes to the largest remainders.
function shares(weights) {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const exact = weights.map((weight) => (100 * weight) / total);
  const result = exact.map(Math.floor);
  const order = exact.map((_, place) => place).sort((one, other) => (exact[other] % 1) - (exact[one] % 1));
  const rest = 100 - result.reduce((sum, share) => sum + share, 0);
  for (const place of order.slice(0, rest)) result[place] += 1;
  return result;
}
