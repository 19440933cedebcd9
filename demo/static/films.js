// A film: repainted as a whole, watched while it is, played when it is done.

import * as engine from "./engine.js";
import { $, duration } from "./dom.js";

export class Films {
  constructor({ say, complain, progress, wanted, view }) {
    Object.assign(this, { say, complain, progress, wanted, view });
    this.painted = null; // { film, recipe, label } of the one that is being repainted
    $("film").addEventListener("click", () => this.begin());
    $("film-cancel").addEventListener("click", () => this.cancel());
    $("film-play").addEventListener("click", () => this.play($("player").hidden && $("moving").hidden));
    $("player").addEventListener("error", () => {
      if ($("player").hidden) return;
      this.play(false);
      this.complain("This browser does not play this kind of film; the file itself is sound: save it");
    });
    engine.on("film_progress", (message) => this.tell(message));
    engine.on("film_frame", (message, data) => {
      const { film, recipe } = this.painted ?? {};
      if (film?.id === message.photograph && film === this.current && recipe === JSON.stringify(this.wanted().recipe)) {
        this.view.show(data);
      }
    });
    engine.on("film", (message) => this.finish(message));
  }

  // Another photograph, or film, is looked at; or another style.
  open(current) {
    this.current = current;
    this.play(false);
  }

  begin() {
    const { recipe, label } = this.wanted();
    this.painted = { film: this.current, recipe: JSON.stringify(recipe), label };
    this.complain("");
    this.say(`Repainting the film in ${label}`);
    this.play(false);
    engine.repaintFilm(this.current.id, recipe);
    $("film-cancel").focus();
  }

  cancel() {
    engine.cancelFilm();
    this.end();
    this.say("The film is cancelled");
    $("film").focus();
  }

  tell(message) {
    if (this.painted?.film.id !== message.photograph || this.painted.film !== this.current) return;
    this.progress(message);
    const all = message.total ? ` of ${message.total}` : "";
    const left = message.left === null || message.left < 1 ? "" : `, ${duration(message.left)} left`;
    this.say(`Frame ${message.done}${all} in ${this.painted.label}${left}`);
  }

  finish(message) {
    const { film, label, recipe } = this.painted ?? {};
    if (film?.id !== message.photograph) return;
    if (film.made) URL.revokeObjectURL(film.made.poster);
    film.made = { ...message, label, recipe, poster: URL.createObjectURL(new Blob([this.view.data])) };
    this.end();
    this.say(`The film in ${label} is ready`);
    this.complain(message.remarks.join("\n"));
    if (film === this.current) this.play(true);
  }

  end() {
    this.painted = null;
    this.progress(null);
    this.draw();
  }

  play(shown) {
    const made = this.current?.made;
    shown = Boolean(shown && made);
    const moves = made && /\.(gif|png|webp|avif)$/.test(made.name);
    for (const [id, mine] of [["player", !moves], ["moving", moves]]) {
      const player = $(id);
      player.hidden = !(shown && mine);
      if (!player.hidden) {
        player.poster = made.poster;
        player.src = made.url;
      } else if (player.src) {
        player.removeAttribute("src");
        player.load?.();
      }
    }
    $("frame").hidden = shown;
    $("view-tools").hidden = shown || !$("brushed").hidden;
    this.draw();
  }

  // The buttons, and what was painted in which style.
  draw() {
    const { current } = this;
    const film = Boolean(current?.film);
    const [made, busy] = [current?.made, this.painted !== null];
    const shown = !$("player").hidden || !$("moving").hidden;
    const same = made?.recipe === JSON.stringify(this.wanted().recipe);
    $("film").hidden = !film || busy || same;
    $("film").textContent = made ? `Repaint in ${this.wanted().label}` : "Repaint the film";
    $("film").classList.toggle("primary", !made);
    $("film-cancel").hidden = !film || this.painted?.film !== current;
    $("film-play").hidden = !film || !made;
    $("film-play").textContent = shown ? "Back to the picture" : "Play";
    $("save").hidden = film && !made;
    $("save").textContent = film ? `Save film in ${made?.label}` : "Save picture";
    $("share").hidden = film;
  }
}
