// A training: what is wanted of it, and how far it is.

import * as engine from "./engine.js";

const $ = (id) => document.getElementById(id);
const EVERY = 2000; // milliseconds

export class Train {
  constructor({ say, complain, finished }) {
    Object.assign(this, { say, complain, finished });
    this.painting = null;
    this.another = false;
    $("painting-choose").addEventListener("click", () => $("painting-file").click());
    $("painting-file").addEventListener("change", () => this.take($("painting-file").files[0]));
    $("train-name").addEventListener("input", () => this.check());
    $("train-start").addEventListener("click", () => this.start());
    $("train-stop").addEventListener("click", () => this.change("stop", "The training saves where it is, and stops"));
    $("train-resume").addEventListener("click", () => this.change("resume", "The training goes on"));
    $("train-another").addEventListener("click", () => {
      this.another = true;
      this.look();
    });
  }

  take(file) {
    if (!file) return;
    this.painting = file;
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = URL.createObjectURL(file);
    $("painting").src = this.url;
    $("painting").hidden = false;
    $("train-name").value ||= file.name.replace(/\.\w+$/, "").replace(/[^\p{L}\p{N}_ -]/gu, "_").slice(0, 60);
    this.check();
  }

  check() {
    $("train-start").disabled = !(this.painting && $("train-name").value.trim() && $("train-folder").value);
  }

  async show(visible) {
    clearInterval(this.timer);
    if (!visible) return;
    this.timer = setInterval(() => this.look(), EVERY);
    await this.look();
  }

  async start() {
    const wanted = [$("train-name").value.trim(), Number($("train-folder").value), Number($("train-steps").value)];
    await this.change("start", "The training is begun; it goes on if this page is closed", this.painting, wanted);
  }

  async change(what, text, ...more) {
    this.complain("");
    try {
      this.another = false;
      this.tell(await engine.changeTraining(what, ...more));
      this.say(text);
    } catch (error) {
      this.complain(error.message);
    }
  }

  async look() {
    try {
      this.tell(await engine.training());
    } catch {
      // the server has ended, which the page says elsewhere
    }
  }

  tell(status) {
    if ($("train-folder").options.length !== status.folders.length) {
      $("train-folder").replaceChildren(...status.folders.map((name, number) => new Option(name, number)));
      this.check();
    }
    const { state } = status;
    const form = state === "none" || (this.another && state !== "running");
    $("train-form").hidden = !form;
    $("train-run").hidden = form;
    if (this.state === "running" && state === "finished") {
      this.say(`${status.name} is among the styles`);
      this.finished();
    }
    if (this.state !== state && state === "failed") this.complain(status.error);
    this.state = state;
    if (form) return;
    const words = { running: "is learnt", stopped: "is stopped", finished: "is finished", failed: "has failed" };
    $("train-title").textContent = `${status.name} ${words[state]}`;
    $("train-stop").hidden = state !== "running";
    $("train-resume").hidden = !(state === "stopped" || (state === "failed" && status.resumable));
    $("train-another").hidden = state === "running";
    const losses = Object.entries(status.losses).map(([term, value]) => `${term.replaceAll("_", " ")} ${value.toPrecision(3)}`);
    const left = status.left === null ? "" : `, about ${Math.max(1, Math.round(status.left / 60))} min left`;
    $("train-losses").textContent = [`Step ${status.step} of ${status.total}${left}`, ...losses].join(" · ");
    if (status.picture && this.shown !== `${status.name} ${status.picture}`) {
      this.shown = `${status.name} ${status.picture}`;
      $("train-picture").src = engine.trainingPicture(encodeURIComponent(this.shown));
    }
    $("train-picture").hidden = !status.picture;
    this.draw(status.curve, status.total);
  }

  draw(curve, total) {
    const most = Math.max(...curve.flatMap(([, content, style]) => [content, style]), 1e-9);
    for (const [place, name] of [[1, "content"], [2, "style-loss"]]) {
      const points = curve.map((point) => `${((300 * point[0]) / total).toFixed(1)},${(78 - (76 * point[place]) / most).toFixed(1)}`);
      document.querySelector(`#train-curve .${name}`).setAttribute("points", points.join(" "));
    }
  }
}
