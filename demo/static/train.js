// A training: what is wanted of it, and how far it is.

import * as engine from "./engine.js";
import { $, duration, put } from "./dom.js";

const EVERY = 2000; // milliseconds

export class Train {
  constructor({ say, complain, finished }) {
    Object.assign(this, { say, complain, finished });
    this.painting = null;
    this.another = false;
    $("painting-choose").addEventListener("click", () => $("painting-file").click());
    $("painting-file").addEventListener("change", () => {
      this.take($("painting-file").files[0]);
      $("painting-file").value = "";
    });
    $("train-name").addEventListener("input", () => {
      this.named = Boolean($("train-name").value.trim()); // by the visitor, not after the painting
      this.check();
    });
    $("train-steps").addEventListener("change", () => this.estimate());
    $("train-start").addEventListener("click", () => this.start());
    $("train-stop").addEventListener("click", () => this.change("stop", "The training saves where it is, and stops"));
    $("train-resume").addEventListener("click", () => this.change("resume", "The training goes on"));
    $("train-another").addEventListener("click", () => {
      this.another = true;
      this.look();
    });
  }

  // The server looks at a painting as soon as it is chosen.
  async take(file) {
    if (!file) return;
    this.complain("");
    this.painting = null;
    $("painting").hidden = true;
    this.check();
    try {
      const { screen } = await engine.addPainting(file);
      this.painting = file;
      put($("painting"), screen);
      $("painting").hidden = false;
      const name = file.name.replace(/\.\w+$/, "").replace(/[^\p{L}\p{N}_ -]/gu, "_");
      if (!this.named) $("train-name").value = name.replace(/^[^\p{L}\p{N}_]+/u, "").slice(0, 60);
    } catch (error) {
      this.complain(error.message.includes(file.name) ? error.message : `${file.name}: ${error.message}`);
    }
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
    await this.change("start", "The training has begun; it goes on if this page is closed", wanted);
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

  estimate() {
    const seconds = this.pace * Number($("train-steps").value);
    $("train-estimate").textContent = this.pace ? `About ${duration(seconds)} on this machine, with nothing beside it.` : "";
  }

  tell(status) {
    if ($("train-folder").options.length !== status.folders.length) {
      $("train-folder").replaceChildren(...status.folders.map((name, number) => new Option(name, number)));
      this.check();
    }
    this.pace = status.seconds_per_step;
    this.estimate();
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
    const words = { running: "Learning", stopped: "Stopped:", finished: "Learnt:", failed: "Failed:" };
    $("train-title").textContent = `${words[state]} ${status.name}`;
    $("train-stop").hidden = state !== "running";
    $("train-resume").hidden = !(state === "stopped" || (state === "failed" && status.resumable));
    $("train-another").hidden = state === "running";
    this.tellProgress(status);
    const shown = `${status.name} ${status.picture}`;
    if (status.picture && this.shown !== shown) {
      this.shown = shown;
      $("train-picture").src = engine.trainingPicture(encodeURIComponent(shown));
    }
    $("train-picture").hidden = !status.picture;
    $("train-curves").hidden = status.curve.length < 2;
    this.draw(status.curve, status.total);
  }

  tellProgress({ state, step, total, left, picture, losses }) {
    const done = $("train-done");
    done.hidden = state !== "running";
    if (step) done.value = step / total;
    else done.removeAttribute("value"); // nobody knows yet
    if (state === "running" && !step) {
      $("train-losses").textContent = "Getting ready: reading the painting and the photographs. The first steps take about a minute.";
      return;
    }
    const remaining = left === null ? "" : `, about ${duration(left)} left`;
    const first = state === "running" && !picture ? " The first picture comes soon." : "";
    $("train-losses").textContent = `Step ${step} of ${total}${remaining}.${first}`;
    for (const [id, term] of [["content-loss", "content"], ["style-loss", "style"]]) {
      $(id).textContent = term in losses ? `${term} ${losses[term].toPrecision(3)}` : term;
    }
  }

  // Each loss against its own largest value: the two are of different sizes.
  draw(curve, total) {
    for (const [place, name] of [[1, "content"], [2, "style-loss"]]) {
      const most = Math.max(...curve.map((point) => point[place]), 1e-9);
      const points = curve.map((point) => `${((300 * point[0]) / total).toFixed(1)},${(78 - (74 * point[place]) / most).toFixed(1)}`);
      document.querySelector(`#train-curve .${name}`).setAttribute("points", points.join(" "));
    }
  }
}
