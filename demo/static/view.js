// The picture: before and after with a line between them, enlarged, moved, and the original while it is pressed.

import { $, press, put } from "./dom.js";

const MOST = 8; // how much larger than the window's fit, where 1:1 is no larger than that
const HOLD = 180; // milliseconds until a press shows the original
const STILL = 6; // pixels that a finger may move meanwhile

export class View {
  constructor() {
    this.scale = 1;
    this.offset = [0, 0];
    this.pointers = new Map();
    this.frame = $("frame");
    this.frame.addEventListener("pointerdown", (event) => this.down(event));
    this.frame.addEventListener("pointermove", (event) => this.move(event));
    for (const type of ["pointerup", "pointercancel"]) this.frame.addEventListener(type, (event) => this.up(event));
    this.frame.addEventListener("contextmenu", (event) => this.pointers.size && event.preventDefault());
    this.frame.addEventListener("dblclick", (event) => this.toggleWhole(event));
    this.frame.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.frame.addEventListener("keydown", (event) => this.key(event));
    $("compare").addEventListener("input", () => this.split());
    $("zoom-in").addEventListener("click", () => this.zoom(this.scale * 1.5));
    $("zoom-out").addEventListener("click", () => this.zoom(this.scale / 1.5));
    $("zoom-whole").addEventListener("click", () => this.toggleWhole());
    $("original").addEventListener("click", () => this.showOriginal($("original").getAttribute("aria-pressed") !== "true", true));
    this.split();
  }

  // A photograph, alone until it is painted. "full" is an address of all its pixels, if a browser can show them.
  open(photograph) {
    this.photograph = photograph;
    this.whole = null;
    $("before").src = photograph.screen;
    $("before").alt = `The photograph ${photograph.name}`;
    this.frame.classList.add("waiting");
    this.showOriginal(false, true);
    this.reset();
    this.fit();
  }

  async show(data) {
    const { photograph } = this;
    this.whole = null;
    this.data = data;
    put($("after"), data);
    await $("after").decode().catch(() => {});
    if (photograph !== this.photograph) return;
    $("after").alt = `${photograph.name} in style`;
    this.frame.classList.remove("waiting");
  }

  // The address of the whole result, which is loaded once somebody looks that closely.
  offer(url) {
    this.whole = url;
    this.sharpen();
  }

  sharpen() {
    if (!this.photograph || this.scale * this.frame.clientWidth * devicePixelRatio <= 1600) return;
    for (const [id, url] of [["before", this.photograph.full], ["after", this.whole]]) {
      const image = $(id);
      if (!url || image.src === new URL(url, location.href).href) continue;
      const probe = new Image();
      probe.src = url;
      const { photograph } = this;
      probe.decode().then(() => {
        if (photograph === this.photograph && (id === "before" || url === this.whole)) put(image, url);
      }, () => {}); // a format that the browser does not know: what is shown stays
    }
  }

  // The frame as large as the easel and the window let it be.
  fit() {
    const { photograph } = this;
    if (!photograph) return;
    const narrow = window.innerWidth < 1060;
    const room = $("easel").clientWidth - 2 * parseFloat(getComputedStyle($("easel")).paddingLeft);
    const most = narrow ? Math.max(180, window.innerHeight * 0.42) : Math.max(260, window.innerHeight - 360);
    const scale = Math.min(room / photograph.width, most / photograph.height, 2);
    this.frame.style.setProperty("width", `${Math.max(1, Math.floor(photograph.width * scale))}px`);
    this.frame.style.setProperty("height", `${Math.max(1, Math.floor(photograph.height * scale))}px`);
    this.place();
  }

  // By how much the fitted picture is enlarged where one of its pixels is one of the screen's.
  get actual() {
    return this.photograph.width / (this.frame.clientWidth * devicePixelRatio);
  }

  reset() {
    this.scale = 1;
    this.offset = [0, 0];
    this.place();
  }

  toggleWhole(event) {
    if (event && $("compare").hidden) return;
    if (this.scale > 1) return this.reset();
    this.zoom(this.actual > 1.05 ? this.actual : 2, event && this.at(event));
  }

  at(event) {
    const box = this.frame.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  // About a point of the frame, which stays where it is.
  zoom(scale, [x, y] = [this.frame.clientWidth / 2, this.frame.clientHeight / 2]) {
    const next = Math.min(Math.max(MOST, 2 * this.actual), Math.max(1, scale));
    this.offset = this.offset.map((value, axis) => [x, y][axis] - (([x, y][axis] - value) * next) / this.scale);
    this.scale = next;
    this.place();
    this.sharpen();
  }

  place() {
    const sides = [this.frame.clientWidth, this.frame.clientHeight];
    this.offset = this.offset.map((value, axis) => Math.min(0, Math.max(sides[axis] * (1 - this.scale), value)));
    this.frame.style.setProperty("--zoom", `translate(${this.offset[0]}px, ${this.offset[1]}px) scale(${this.scale})`);
    this.frame.classList.toggle("zoomed", this.scale > 1);
    const shown = this.photograph && this.frame.clientWidth ? Math.round((100 * this.scale) / this.actual) : 100;
    $("zoom-whole").textContent = this.scale > 1 ? "Fit" : "1:1";
    $("zoom-whole").setAttribute("aria-label", this.scale > 1 ? `${shown} %: fit the window` : "1:1, actual size");
    $("zoom-out").disabled = this.scale <= 1;
  }

  down(event) {
    if (event.button > 0 || $("compare").hidden) return;
    const divides = event.target.closest(".divider");
    event.preventDefault();
    this.frame.focus({ preventScroll: true });
    this.frame.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { now: this.at(event), begin: this.at(event), divides });
    clearTimeout(this.hold);
    if (!divides && this.pointers.size === 1) this.hold = setTimeout(() => this.showOriginal(true), HOLD);
    else this.showOriginal(false);
  }

  move(event) {
    const pointer = this.pointers.get(event.pointerId);
    if (!pointer) return;
    const before = pointer.now;
    pointer.now = this.at(event);
    const [x, y] = pointer.now;
    if (pointer.divides) {
      $("compare").value = Math.round((100 * x) / this.frame.clientWidth);
      return this.split();
    }
    if (Math.hypot(x - pointer.begin[0], y - pointer.begin[1]) > STILL) clearTimeout(this.hold);
    const others = [...this.pointers.values()].filter((one) => one !== pointer);
    if (others.length) {
      const [u, v] = others[0].now;
      const apart = (point) => Math.max(1, Math.hypot(point[0] - u, point[1] - v));
      this.offset = [this.offset[0] + (x - before[0]) / 2, this.offset[1] + (y - before[1]) / 2]; // with their middle
      this.zoom((this.scale * apart(pointer.now)) / apart(before), [(x + u) / 2, (y + v) / 2]);
    } else if (this.scale > 1 && !this.frame.classList.contains("original")) {
      this.offset = [this.offset[0] + x - before[0], this.offset[1] + y - before[1]];
      this.place();
    }
  }

  up(event) {
    this.pointers.delete(event.pointerId);
    clearTimeout(this.hold);
    if (this.frame.classList.contains("original") && $("original").getAttribute("aria-pressed") !== "true") this.showOriginal(false);
  }

  wheel(event) {
    if (!event.ctrlKey) return; // a page is scrolled; a pinch on a touchpad comes with this key
    event.preventDefault();
    this.zoom(this.scale * Math.exp(-event.deltaY / 150), this.at(event));
  }

  key(event) {
    const by = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] }[event.key];
    if (event.target !== this.frame) return;
    if (event.key === "+" || event.key === "-") this.zoom(this.scale * (event.key === "+" ? 1.5 : 1 / 1.5));
    else if (by && this.scale > 1) this.offset = this.offset.map((value, axis) => value + by[axis]);
    else return;
    event.preventDefault();
    this.place();
  }

  showOriginal(shown, stays = false) {
    this.frame.classList.toggle("original", shown);
    if (stays) press($("original"), shown);
  }

  split() {
    const share = Number($("compare").value);
    this.frame.style.setProperty("--split", `${share}%`);
    this.frame.classList.toggle("untouched", share === 0);
    $("compare").setAttribute("aria-valuetext", `${share} % photograph`);
  }
}
