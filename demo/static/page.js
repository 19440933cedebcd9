// What is seen of the page, and what its buttons do. The engine is another matter: engine.js.

import * as engine from "./engine.js";
import { Camera } from "./camera.js";
import { Mask } from "./mask.js";
import { Train } from "./train.js";

const $ = (id) => document.getElementById(id);
const DEBOUNCE = 60; // milliseconds
const MOST_STYLES = 8;

const photographs = []; // { id, name, width, height, screen, shown, result }
let styles = [];
let current = null;
let request = 0;
let view = "photographs";
const mixture = new Map(); // style id -> weight
let masked = false;
let saving = false;

// ---- What is wanted

function recipe() {
  return {
    styles: [...mixture].filter(([, weight]) => weight > 0),
    strength: Number($("strength").value) / 100,
    stroke_scale: $("strokes-auto").checked ? null : strokes(),
    preserve_color: $("colours").checked,
    masked,
  };
}

function strokes() {
  return Number((2 ** Number($("strokes").value)).toFixed(2));
}

let timer;
function changed() {
  clearTimeout(timer);
  timer = setTimeout(paint, DEBOUNCE);
}

function paint() {
  clearTimeout(timer);
  if (view === "camera") return camera.setRecipe(recipe());
  if (!current || !recipe().styles.length) return;
  request += 1;
  current.result = null;
  say("");
  $("frame").classList.add("changing");
  if (current.film) showFilm();
  engine.paint(current.id, recipe(), request);
}

// ---- What is said

function say(text) {
  $("status").textContent = text;
}

function complain(text) {
  $("error").textContent = text;
}

function remaining(seconds) {
  if (seconds === null || seconds < 1) return "";
  return seconds < 90 ? `, ${Math.round(seconds)} s left` : `, ${Math.round(seconds / 60)} min left`;
}

// ---- Photographs

async function add(files) {
  complain("");
  if (view === "train") return train.take(files[0]);
  if (view !== "photographs") show("photographs");
  const faults = [];
  for (const file of files) {
    say(`Opening ${file.name}`);
    try {
      const photograph = await engine.addPhotograph(file);
      photograph.shown = photograph.screen;
      photographs.push(photograph);
      if (photograph.remarks.length) faults.push(...photograph.remarks);
      pick(photograph);
    } catch (error) {
      faults.push(`${file.name}: ${error.message}`);
    }
  }
  if (!current) say("");
  complain(faults.join("\n"));
}

function pick(photograph) {
  current = photograph;
  $("empty").hidden = Boolean(photograph);
  $("picture").hidden = $("caption").hidden = !photograph;
  $("mask").disabled = !photograph;
  drawStrip();
  showBrush(false);
  if (!photograph) return showSampleThumbnails();
  removeMask();
  $("title").textContent = photograph.name;
  $("facts").textContent = `${photograph.width} × ${photograph.height}`;
  $("progress").hidden = true;
  showFilm();
  $("before").src = photograph.screen;
  $("before").alt = `The photograph ${photograph.name}`;
  $("frame").classList.add("waiting");
  fit();
  paint();
  engine.paintThumbnails(photograph.id);
}

// The frame as large as the easel and the window let it be.
function fit() {
  if (!current) return;
  const room = $("easel").clientWidth - 2 * parseFloat(getComputedStyle($("easel")).paddingLeft);
  const most = Math.max(260, window.innerHeight - 330);
  const scale = Math.min(room / current.width, most / current.height, 2);
  $("frame").style.setProperty("width", `${Math.floor(current.width * scale)}px`);
  $("frame").style.setProperty("height", `${Math.floor(current.height * scale)}px`);
}

function remove(photograph) {
  const place = photographs.indexOf(photograph);
  photographs.splice(place, 1);
  engine.removePhotograph(photograph.id);
  if (photograph === current) pick(photographs[Math.min(place, photographs.length - 1)] ?? null);
  else drawStrip();
  const next = $("strip").querySelectorAll(".pick")[Math.max(0, place - 1)];
  (next ?? $("choose")).focus();
}

function drawStrip() {
  $("strip").hidden = !photographs.length;
  $("save-all").hidden = photographs.length < 2 || !engine.offers.has("command");
  const items = photographs.map((photograph) => {
    const image = element("img", { src: photograph.shown, alt: photograph.name, loading: "lazy" });
    const shown = button({ className: "pick", title: photograph.name }, image);
    press(shown, photograph === current);
    shown.onclick = () => photograph !== current && pick(photograph);
    const cross = button({ className: "remove", textContent: "×", onclick: () => remove(photograph) });
    cross.setAttribute("aria-label", `Remove ${photograph.name}`);
    return element("li", {}, shown, cross);
  });
  const more = button({ className: "add", textContent: "+", onclick: () => $("files").click() });
  more.setAttribute("aria-label", "Add photographs");
  $("strip").replaceChildren(...items, element("li", {}, more));
}

// ---- Elements

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function button(properties, ...children) {
  return element("button", { type: "button", ...properties }, ...children);
}

function press(toggle, pressed) {
  toggle.setAttribute("aria-pressed", String(pressed));
}

// ---- Styles

// Those of one network of many together, then the networks of one style.
function drawStyles() {
  const groups = new Map();
  for (const style of styles) {
    const heading = style.model === style.id ? "Networks of one style" : title(style.model.split(/[\\/]/).pop());
    groups.set(heading, [...(groups.get(heading) ?? []), style]);
  }
  const parts = [...groups].flatMap(([heading, members]) => {
    const caption = element("h3", { textContent: heading });
    return [...(groups.size > 1 ? [caption] : []), ...members.map(styleButton)];
  });
  $("styles").replaceChildren(...parts);
}

function styleButton(style) {
  const parts = [element("img", { src: style.thumbnail, alt: "" }), element("span", { textContent: style.label })];
  const made = button({ className: "style", title: style.id, onclick: () => choose(style) }, ...parts);
  made.dataset.style = style.id;
  return made;
}

function styleButtons() {
  return [...$("styles").querySelectorAll(".style")];
}

function choose(style) {
  if (!$("mix").checked) mixture.clear();
  if (mixture.has(style.id) && mixture.size > 1) mixture.delete(style.id);
  else if (mixture.size < MOST_STYLES) mixture.set(style.id, 50);
  drawMixture();
  changed();
}

function drawMixture() {
  for (const one of styleButtons()) press(one, mixture.has(one.dataset.style));
  $("mixture").hidden = !$("mix").checked;
  const total = () => [...mixture.values()].reduce((sum, weight) => sum + weight, 0);
  const rows = [...mixture.keys()].map((id) => {
    const slider = element("input", { type: "range", min: 1, max: 100, value: mixture.get(id), id: `weight-${id}` });
    slider.oninput = () => {
      mixture.set(id, Number(slider.value));
      tellShares();
      changed();
    };
    const { label } = styles.find((style) => style.id === id);
    const shown = element("output", {});
    const caption = element("label", { textContent: label, htmlFor: slider.id });
    const row = element("div", { className: "control" }, caption, shown, slider);
    row.tell = () => (shown.textContent = `${Math.round((100 * mixture.get(id)) / total())} %`);
    return row;
  });
  const tellShares = () => rows.forEach((row) => row.tell());
  tellShares();
  $("mixture").replaceChildren(...rows);
}

// Each style on the sample, where there is no photograph.
function showSampleThumbnails() {
  for (const one of styleButtons()) {
    one.firstChild.src = styles.find((style) => style.id === one.dataset.style).thumbnail;
  }
}

async function loadStyles() {
  const about = await engine.styles();
  styles = about.styles.map((style) => ({ ...style, label: title(style.name) }));
  $("where").textContent = about.where;
  drawStyles();
  if (mixture.size) return drawMixture(); // a style was added
  const first = styles.find((style) => style.name === "starry_night") ?? styles[0];
  if (first) mixture.set(first.id, 50);
  drawMixture();
  if (!styles.length) complain("There is no model in checkpoints/: train one, or give a folder with --models");
  else if (about.unreadable?.length) complain(about.unreadable.join("\n"));
  $("samples").replaceChildren(
    ...about.samples.map(({ name, url }) => {
      const image = element("img", { src: url, alt: title(name.replace(/\.\w+$/, "")) });
      const onclick = async () => {
        const blob = await (await fetch(url)).blob();
        await add([new File([blob], name, { type: blob.type })]);
        $("stage").focus();
      };
      return button({ onclick }, image);
    }),
  );
}

// "portrait_of_metzinger" as "Portrait of Metzinger".
function title(name) {
  const words = name.replace(/[_-]+/g, " ").trim().split(/\s+/);
  const small = /^(a|an|and|at|by|in|of|on|the|with)$/;
  const written = words.map((word, place) => {
    if (/^[ivx]+$/.test(word)) return word.toUpperCase();
    return place && small.test(word) ? word : word.charAt(0).toUpperCase() + word.slice(1);
  });
  return written.join(" ") || name;
}

// ---- What the engine answers

const urls = new Map(); // what shows it -> the address of a picture that is to be forgotten
function picture(data) {
  const png = data[0] === 0x89;
  return URL.createObjectURL(new Blob([data], { type: png ? "image/png" : "image/jpeg" }));
}

function put(image, url) {
  const old = urls.get(image);
  urls.set(image, url);
  image.src = url;
  if (old) URL.revokeObjectURL(old);
}

function progress({ done, total }) {
  const share = total ? Math.min(1, done / total) : 0;
  $("progress").hidden = false;
  $("bar").style.setProperty("--done", share);
  $("bar").setAttribute("aria-valuenow", Math.round(100 * share));
}

// What is answered to the newest wish; an older answer is outdated.
function onNew(type, listener) {
  engine.on(type, (message, data) => {
    if (message.request === request && current?.id === message.photograph) listener(message, data);
  });
}

async function showAfter(data) {
  const url = picture(data);
  const image = $("after");
  put(image, url);
  await image.decode().catch(() => {});
  image.alt = `${current?.name ?? "Photograph"} in style`;
  $("frame").classList.remove("waiting");
}

onNew("command", (message) => {
  $("command-section").hidden = false;
  $("command").textContent = message.command;
});
onNew("preview", (message, data) => {
  showAfter(data);
  if (current.film) {
    $("frame").classList.remove("changing");
    return say("The first picture of the film");
  }
  say("A small picture; the full size follows");
});
onNew("progress", (message) => {
  progress(message);
  if (message.total > 1) say(`Full size: tile ${message.done} of ${message.total}${remaining(message.left)}`);
});
onNew("shown", (message, data) => {
  showAfter(data);
  $("facts").textContent = `${current.width} × ${current.height}, painted in ${message.seconds.toFixed(1)} s`;
});
onNew("result", (message) => {
  $("frame").classList.remove("changing");
  $("progress").hidden = true;
  current.result = message;
  say("The full size is ready");
  if (saving) save();
});
engine.on("thumbnail", (message, data) => {
  if (message.photograph !== current?.id) return;
  const shown = styleButtons().find((one) => one.dataset.style === message.style);
  if (shown) put(shown.firstChild, picture(data));
});
engine.on("all_progress", (message) => say(`Painting photograph ${message.done + 1} of ${message.total}`));
engine.on("all", (message) => {
  $("save-all").disabled = false;
  download(message.url, message.name);
  say("All photographs are saved, in one archive");
  if (message.failed.length) complain(message.failed.join("\n"));
});
engine.on("error", (message) => {
  if (message.request && message.of === "paint" && message.request !== request) return;
  $("frame").classList.remove("changing");
  $("save-all").disabled = false;
  if (message.of === "film") filmEnds();
  else $("progress").hidden = repainted === null;
  saving = false;
  say("");
  complain(sentence(message.error));
});
engine.on("lost", () => {
  if (repainted) filmEnds();
  complain("The server has ended. Start it again with python -m demo; your photographs are kept here.");
});
engine.on("back", () => {
  complain("");
  paint();
});

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

// ---- Films

let repainted = null; // the film that is being repainted

// The buttons of a film, or of a photograph.
function showFilm() {
  const film = Boolean(current?.film);
  $("film").hidden = !film || repainted !== null;
  $("film-cancel").hidden = !film || repainted !== current;
  $("save").hidden = film && !current.result;
  $("save").textContent = film ? "Save film" : "Save picture";
}

function filmEnds() {
  repainted = null;
  $("progress").hidden = true;
  showFilm();
}

$("film").addEventListener("click", () => {
  repainted = current;
  complain("");
  say("The film is begun");
  showFilm();
  engine.repaintFilm(current.id, recipe());
  $("film-cancel").focus();
});
$("film-cancel").addEventListener("click", () => {
  engine.cancelFilm();
  filmEnds();
  say("The film is cancelled");
  $("film").focus();
});
engine.on("film_progress", (message) => {
  if (repainted?.id !== message.photograph || repainted !== current) return;
  progress(message);
  const all = message.total ? ` of ${message.total}` : "";
  say(`Frame ${message.done}${all}${remaining(message.left)}`);
});
engine.on("film", (message) => {
  const film = photographs.find((one) => one.id === message.photograph);
  if (film) film.result = message;
  filmEnds();
  say("The film is ready");
  complain(message.remarks.join("\n"));
});

// ---- Saving

function download(url, name) {
  const link = element("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}

function save() {
  if (!current) return;
  saving = !current.result && !current.film;
  if (saving) return say("The picture is saved as soon as the full size is there");
  download(current.result.url, current.result.name);
  say(`Saved ${current.result.name}`);
}

$("save").addEventListener("click", save);
$("save-all").addEventListener("click", () => {
  $("save-all").disabled = true;
  engine.paintAll(photographs.map((photograph) => photograph.id), recipe(), request);
});
$("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText($("command").textContent);
  say("The command is copied");
});

// ---- The mask

const mask = new Mask($("brushed"), () => {
  masked = !mask.empty;
  $("mask-remove").hidden = $("mask-save").hidden = mask.empty;
  sendMask();
});

let maskUrl;
async function sendMask() {
  if (mask.empty) {
    await engine.setMask(null);
  } else {
    const blob = await mask.png();
    if (maskUrl) URL.revokeObjectURL(maskUrl);
    $("mask-save").href = maskUrl = URL.createObjectURL(blob);
    try {
      await engine.setMask(blob);
    } catch (error) {
      return complain(sentence(error.message));
    }
  }
  changed();
}

function startBrush() {
  if (mask.empty) mask.prepare(current.width, current.height);
  showBrush(true);
  $("brush-keep").focus();
}

function showBrush(shown) {
  $("brushed").hidden = $("brush-tools").hidden = !shown;
  $("compare").hidden = shown;
  press($("mask"), shown);
}

function removeMask() {
  masked = false;
  mask.empty = true;
  $("mask-remove").hidden = $("mask-save").hidden = true;
  engine.setMask(null);
}

$("mask").addEventListener("click", () => ($("brushed").hidden ? startBrush() : showBrush(false)));
$("brush-done").addEventListener("click", () => {
  showBrush(false);
  $("mask").focus();
});
$("brush-clear").addEventListener("click", () => mask.clear());
$("brush-fill").addEventListener("click", () => mask.fill());
$("brush-size").addEventListener("input", () => (mask.size = Number($("brush-size").value) / 100));
for (const [id, keeps] of [["brush-keep", true], ["brush-paint", false]]) {
  $(id).addEventListener("click", () => {
    mask.keeps = keeps;
    press($("brush-keep"), keeps);
    press($("brush-paint"), !keeps);
  });
}
$("mask-remove").addEventListener("click", () => {
  mask.clear();
  showBrush(false);
  $("mask").focus();
});

// ---- To taste

$("strength").addEventListener("input", () => {
  $("strength-shown").textContent = `${$("strength").value} %`;
  changed();
});
function strokesChanged() {
  $("strokes-shown").textContent = $("strokes-auto").checked ? "Automatic" : `${strokes()} ×`;
  changed();
}
$("strokes").addEventListener("input", () => {
  $("strokes-auto").checked = false;
  strokesChanged();
});
$("strokes-auto").addEventListener("change", strokesChanged);
$("colours").addEventListener("change", changed);
$("mix").addEventListener("change", () => {
  if (!$("mix").checked && mixture.size > 1) {
    const [first] = [...mixture].sort((one, other) => other[1] - one[1]);
    mixture.clear();
    mixture.set(...first);
  }
  drawMixture();
  changed();
});

// ---- Before and after

function split() {
  const share = Number($("compare").value);
  $("frame").style.setProperty("--split", `${share}%`);
  $("frame").classList.toggle("whole", share === 0);
  $("compare").setAttribute("aria-valuetext", `${share} % photograph`);
}
$("compare").addEventListener("input", split);
split();

// ---- Ways in

$("choose").addEventListener("click", () => $("files").click());
$("files").addEventListener("change", async () => {
  const files = [...$("files").files];
  $("files").value = "";
  await add(files);
});
document.addEventListener("paste", (event) => {
  const files = [...(event.clipboardData?.files ?? [])];
  if (files.length) add(files);
});
let depth = 0;
for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(type, (event) => {
    if (![...(event.dataTransfer?.types ?? [])].includes("Files")) return;
    event.preventDefault();
    if (type === "dragenter") depth += 1;
    if (type === "dragleave") depth -= 1;
    if (type === "drop") {
      depth = 0;
      add([...event.dataTransfer.files]);
    }
    $("veil").hidden = depth === 0;
  });
}
window.addEventListener("resize", fit);

// ---- The camera

const camera = new Camera($("video"), $("live"), (text) => ($("camera-rate").textContent = text));

function show(name) {
  view = name;
  for (const tab of $("views").children) press(tab, tab.dataset.view === name);
  showBrush(false);
  if (name !== "camera" && camera.running) stopCamera();
  $("camera").hidden = name !== "camera";
  $("train").hidden = name !== "train";
  train.show(name === "train");
  $("empty").hidden = name !== "photographs" || Boolean(current);
  $("picture").hidden = $("caption").hidden = name !== "photographs" || !current;
  $("strip").hidden = name !== "photographs" || !photographs.length;
  $("progress").hidden = true;
  say("");
}

function stopCamera() {
  camera.stop();
  $("camera-start").textContent = "Start the camera";
  $("camera-snap").disabled = true;
  $("camera-rate").textContent = "";
}

async function startCamera() {
  complain("");
  try {
    await camera.start(recipe());
    $("camera-start").textContent = "Stop the camera";
    $("camera-snap").disabled = false;
  } catch (error) {
    complain(`The camera cannot be used (${error.message}).`);
  }
}

for (const tab of $("views").children) {
  tab.addEventListener("click", () => {
    show(tab.dataset.view);
    if (tab.dataset.view === "photographs" && current) paint();
  });
}
$("take").addEventListener("click", () => {
  show("camera");
  startCamera();
  $("camera-start").focus();
});
$("camera-start").addEventListener("click", () => (camera.running ? stopCamera() : startCamera()));
$("camera-snap").addEventListener("click", async () => {
  const file = await camera.snap();
  stopCamera();
  await add([file]);
});

const train = new Train({ say, complain: (text) => complain(text && sentence(text)), finished: loadStyles });

function hideWhatIsNotOffered() {
  for (const part of document.querySelectorAll("[data-needs]")) {
    if (part.id !== "command-section") part.hidden = !engine.offers.has(part.dataset.needs);
  }
}
hideWhatIsNotOffered();
loadStyles().then(hideWhatIsNotOffered).catch((error) => complain(sentence(error.message)));
