// What is seen of the page, and what its buttons do. The engine is another matter: engine.js.

import * as engine from "./engine.js";
import { Camera } from "./camera.js";
import { $, button, duration, element, press, sentence } from "./dom.js";
import { Films } from "./films.js";
import * as keep from "./keep.js";
import { Mask } from "./mask.js";
import { Styles } from "./styles.js";
import { Train } from "./train.js";
import { View } from "./view.js";

const DEBOUNCE = 40; // milliseconds
const WORKING_SHORT_SIDE = 720; // above which the engine reduces by itself
const SMALLEST_SHORT_SIDE = 150; // of what the network is given, for strokes that are still strokes
const MOST_COPIED = 25e6; // pixels

const photographs = []; // { id, name, width, height, film, screen, full, strokes, thumbnails, result, made }
let current = null;
let request = 0;
let view = "photographs";
let saving = null; // what is done with the result once it is there

// ---- What is wanted

function recipe(photograph = current) {
  return {
    styles: [...styles.mixture],
    strength: Number($("strength").value) / 100,
    stroke_scale: strokeScale(photograph),
    preserve_color: $("colours").checked,
  };
}

function automatic(photograph) {
  return photograph ? Math.max(1, Math.min(photograph.width, photograph.height) / WORKING_SHORT_SIDE) : 1;
}

// By how much strokes are larger than those that the engine chooses.
function factor() {
  return 2 ** Number($("strokes").value);
}

function strokeScale(photograph) {
  const scale = factor() * automatic(view === "camera" ? null : photograph);
  return factor() === 1 ? null : Number(Math.min(64, Math.max(0.25, scale)).toFixed(2));
}

let timer;
function changed() {
  clearTimeout(timer);
  if (current) current.result = null; // what it was is not to be saved as what is wanted now
  timer = setTimeout(paint, DEBOUNCE);
  keepSettings();
}

function paint() {
  clearTimeout(timer);
  if (view === "camera") return camera.setRecipe(recipe());
  if (!styles.mixture.size) return;
  if (!current) return engine.prepare?.(recipe());
  request += 1;
  current.result = null;
  say("");
  complain("");
  $("frame").classList.add("changing");
  if (current.film) films.open(current);
  engine.paint(current.id, recipe(), request);
}

function keepSettings() {
  keep.keepSettings({
    styles: [...styles.mixture],
    strength: $("strength").value,
    strokes: $("strokes").value,
    colours: $("colours").checked,
  });
}

// ---- What is said

function say(text) {
  $("status").textContent = text;
}

function complain(text) {
  $("error").textContent = text;
  $("error-row").hidden = !text;
}

function progress(message) {
  $("progress").hidden = message === null;
  const share = message?.total ? Math.min(1, message.done / message.total) : 0;
  $("bar").style.setProperty("--done", share);
  $("bar").setAttribute("aria-valuenow", Math.round(100 * share));
}

$("error-close").addEventListener("click", () => complain(""));

// ---- Photographs

async function add(files, kept) {
  complain("");
  if (view === "train") return train.take(files[0]);
  if (view !== "photographs") show("photographs");
  const faults = [];
  for (const [place, file] of files.entries()) {
    say(`Opening ${file.name}`);
    try {
      const photograph = await engine.addPhotograph(file);
      const key = kept?.[place].id ?? crypto.randomUUID?.() ?? String(Math.random());
      const more = { strokes: [], thumbnails: new Map(), full: photograph.film ? null : URL.createObjectURL(file), key };
      Object.assign(photograph, more);
      if (kept) photograph.strokes = readStrokes(kept[place].strokes);
      else if (file.size < 50e6) await keep.keepPhotograph(key, file);
      if (photograph.strokes.length) await sendMask(photograph);
      photographs.push(photograph);
      faults.push(...photograph.remarks);
      pick(photograph);
    } catch (error) {
      if (kept && error.refused) keep.dropPhotograph(kept[place].id); // else it is tried again
      const named = error.message.includes(file.name);
      faults.push(sentence(named ? error.message : `${file.name}: ${error.message}`));
    }
    if ($("status").textContent.startsWith("Opening ")) say("");
  }
  complain(faults.join("\n"));
}

// Strokes out of the browser's storage, which may be anything.
function readStrokes(strokes) {
  const whole = (one) => typeof one?.fills === "boolean" || (one?.size > 0 && one.points?.length && one.points.every((point) => point.length === 2));
  return Array.isArray(strokes) && strokes.every(whole) ? strokes : [];
}

function pick(photograph) {
  current = photograph;
  $("empty").hidden = Boolean(photograph);
  $("picture").hidden = $("caption").hidden = !photograph;
  $("mask").disabled = !photograph;
  document.body.classList.toggle("has-picture", Boolean(photograph));
  drawStrip();
  showBrush(false);
  progress(null);
  showOnTiles();
  films.open(photograph);
  fitStrokes();
  if (!photograph) return;
  $("title").textContent = photograph.name;
  tellFacts();
  mask.open(photograph.width, photograph.height, photograph.strokes);
  drawMask();
  sight.open(photograph);
  paint();
  if (photograph.thumbnails.size < styles.all.length) engine.paintThumbnails(photograph.id);
}

function showOnTiles() {
  styles.show(engine.offers.has("thumbnails") ? current : null);
}

function tellFacts(seconds) {
  const length = current.seconds ? `, ${duration(current.seconds)}` : "";
  const took = seconds ? `, painted in ${seconds.toFixed(1)} s` : "";
  $("facts").textContent = `${current.width} × ${current.height}${length}${took}`;
}

function remove(photograph) {
  const place = photographs.indexOf(photograph);
  photographs.splice(place, 1);
  engine.removePhotograph(photograph.id);
  keep.dropPhotograph(photograph.key);
  if (photograph.full) URL.revokeObjectURL(photograph.full);
  if (photograph === current) pick(photographs[Math.min(place, photographs.length - 1)] ?? null);
  else drawStrip();
  const next = $("strip").querySelectorAll(".pick")[Math.max(0, place - 1)];
  (next ?? $("choose")).focus();
}

function drawStrip() {
  $("strip-row").hidden = !photographs.length;
  $("save-all").hidden = photographs.length < 2 || !engine.offers.has("command");
  const items = photographs.map((photograph) => {
    const image = element("img", { src: photograph.screen, alt: photograph.name, loading: "lazy" });
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

$("forget").addEventListener("click", async () => {
  await keep.forget();
  for (const photograph of [...photographs]) remove(photograph);
  say("Forgotten: this browser keeps none of it");
});

// ---- Styles

const styles = new Styles({ changed, complain });
const sight = new View();

async function loadStyles() {
  const about = await engine.styles();
  const kept = keep.keptSettings();
  const first = !styles.all.length;
  if (first) takeSettings(kept);
  styles.load(about.styles, kept.styles);
  if (styles.mixture.size && !current) engine.prepare?.(recipe());
  showOnTiles();
  $("where").textContent = about.where;
  if (!styles.all.length) complain("There is no style here yet: train one, or give a folder of models with --models");
  else if (about.unreadable?.length) complain(about.unreadable.map(sentence).join("\n"));
  if (first) $("examples").replaceChildren(...about.examples.map(example));
}

function takeSettings({ strength, strokes, colours }) {
  for (const [id, value] of [["strength", strength], ["strokes", strokes]]) {
    if (typeof value === "string" && value.trim() && Number.isFinite(Number(value))) $(id).value = value;
  }
  $("colours").checked = colours === true;
  tellTaste();
}

function example({ url, title: name, by }) {
  const image = element("img", { src: url, alt: name });
  const onclick = async () => {
    const blob = await (await fetch(url)).blob();
    await add([new File([blob], url.split("/").pop(), { type: blob.type })]);
    $("easel").focus({ preventScroll: true });
  };
  return element("figure", {}, button({ onclick }, image), element("figcaption", { textContent: by }));
}

// ---- What the engine answers

// What is answered to the newest wish; an older answer is outdated.
function onNew(type, listener) {
  engine.on(type, (message, data) => {
    if (message.request === request && current?.id === message.photograph) listener(message, data);
  });
}

onNew("command", (message) => {
  $("command-section").hidden = false;
  $("command").textContent = message.command;
});
onNew("preview", (message, data) => {
  sight.show(data);
  if (current.film) {
    $("frame").classList.remove("changing");
    if (!films.painted) say("The first picture of the film");
  } else {
    say("A small picture; the full size follows");
  }
});
onNew("progress", (message) => {
  progress(message);
  const left = message.left === null || message.left < 1 ? "" : `, ${duration(message.left)} left`;
  if (message.total > 1) say(`Full size: tile ${message.done} of ${message.total}${left}`);
});
onNew("shown", (message, data) => {
  sight.show(data);
  tellFacts(message.seconds);
});
onNew("result", (message) => {
  $("frame").classList.remove("changing");
  progress(null);
  current.result = message;
  say("The full size is ready");
  if (/\.(jpe?g|png|webp)$/i.test(message.name)) sight.offer(message.url);
  const wanted = saving;
  saving = null;
  wanted?.();
});
engine.on("thumbnail", (message, data) => {
  const photograph = photographs.find(({ id }) => id === message.photograph);
  photograph?.thumbnails.set(message.style, data);
  if (photograph && photograph === current) styles.showThumbnail(message.style, data);
});
engine.on("all_progress", (message) => say(`Painting photograph ${message.done + 1} of ${message.total}`));
engine.on("all", (message) => {
  $("save-all").disabled = false;
  download(message.url, message.name);
  say("All photographs are saved, in one archive");
  if (message.failed.length) complain(message.failed.map(sentence).join("\n"));
});
engine.on("error", (message) => {
  if (message.request && message.of === "paint" && message.request !== request) return;
  stopWaiting();
  if (message.of === "film") films.end();
  say("");
  complain(sentence(message.error));
});
engine.on("lost", () => {
  stopWaiting();
  if (films.painted) films.end();
  progress(null);
  say("");
  complain("The server has ended. Start it again with python -m demo; your photographs are kept here.");
});
engine.on("back", () => {
  complain("");
  paint();
  if (current && current.thumbnails.size < styles.all.length) engine.paintThumbnails(current.id);
});

function stopWaiting() {
  $("frame").classList.remove("changing");
  $("save-all").disabled = false;
  if (!films.painted) progress(null);
  saving = null;
}

const films = new Films({ say, complain, progress, view: sight, wanted: () => ({ recipe: recipe(), label: styles.label }) });

// ---- Saving and sharing

function download(url, name) {
  const link = element("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}

// Now, or as soon as the full size is there.
function withResult(act, words) {
  if (!current) return;
  if (current.film ? current.made : current.result) return act();
  saving = act;
  say(`${words} as soon as the full size is there`);
}

function save() {
  const { url, name } = current.film ? current.made : current.result;
  download(url, name);
  say(`Saved ${name}`);
}

// Without what the file says of camera and place: what is passed on is the picture.
async function picture(type) {
  const image = new Image();
  image.src = current.result.url;
  await image.decode();
  const scale = Math.min(1, Math.sqrt(MOST_COPIED / (image.naturalWidth * image.naturalHeight)));
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: Math.round(image.naturalWidth * scale), height: Math.round(image.naturalHeight * scale) });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, type, 0.92));
}

const sharesFiles = Boolean(navigator.canShare?.({ files: [new File([], "picture.jpg", { type: "image/jpeg" })] }));

async function share() {
  try {
    if (sharesFiles) {
      const name = current.result.name.replace(/\.\w+$/, ".jpg");
      const file = new File([await picture("image/jpeg")], name, { type: "image/jpeg" });
      await navigator.share({ files: [file] });
    } else {
      await navigator.clipboard.write([new ClipboardItem({ "image/png": picture("image/png") })]);
      say("The picture is copied");
    }
  } catch (error) {
    if (error.name !== "AbortError") complain(`The picture could not be ${sharesFiles ? "shared" : "copied"} here: save it instead`);
  }
}

$("share").textContent = sharesFiles ? "Share" : "Copy picture";
$("share").disabled = !(sharesFiles || (navigator.clipboard?.write && globalThis.ClipboardItem));
$("share").addEventListener("click", () => withResult(share, "It is passed on"));
$("save").addEventListener("click", () => withResult(save, "The picture is saved"));
$("save-all").addEventListener("click", () => {
  $("save-all").disabled = true;
  engine.paintAll(photographs.map((photograph) => [photograph.id, recipe(photograph)]), request);
});
$("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText($("command").textContent);
  say("The command is copied");
});

// ---- The mask

const mask = new Mask($("brushed"), () => {
  current.strokes = mask.strokes;
  keep.keepStrokes(current.key, mask.strokes);
  drawMask();
  sendMask(current).then(changed, (error) => complain(sentence(error.message)));
});

function drawMask() {
  $("mask-remove").hidden = $("mask-save").hidden = mask.empty;
  $("brush-undo").disabled = !mask.strokes.length;
  $("brush-redo").disabled = !mask.undone.length;
}

async function sendMask(photograph) {
  if (photograph !== current) mask.open(photograph.width, photograph.height, photograph.strokes);
  await engine.setMask(photograph.id, mask.empty ? null : await mask.png());
}

let maskUrl;
$("mask-save").addEventListener("click", async () => {
  if (maskUrl) URL.revokeObjectURL(maskUrl);
  maskUrl = URL.createObjectURL(await mask.png());
  download(maskUrl, "mask.png");
});

function showBrush(shown) {
  $("brushed").hidden = $("brush-tools").hidden = !shown;
  $("compare").hidden = $("view-tools").hidden = shown;
  press($("mask"), shown);
}

$("mask").addEventListener("click", () => {
  if (!$("brushed").hidden) return showBrush(false);
  films.play(false);
  showBrush(true);
  $("brush-keep").focus({ preventScroll: true });
  $("easel").scrollIntoView({ block: "nearest" });
});
$("brush-done").addEventListener("click", () => {
  showBrush(false);
  $("mask").focus({ preventScroll: true });
});
$("brush-undo").addEventListener("click", () => mask.undo());
$("brush-redo").addEventListener("click", () => mask.redo());
$("brush-clear").addEventListener("click", () => mask.add({ fills: false }));
$("brush-fill").addEventListener("click", () => mask.add({ fills: true }));
$("brush-size").addEventListener("input", () => (mask.size = Number($("brush-size").value) / 100));
for (const [id, keeps] of [["brush-keep", true], ["brush-paint", false]]) {
  $(id).addEventListener("click", () => {
    mask.keeps = keeps;
    press($("brush-keep"), keeps);
    press($("brush-paint"), !keeps);
  });
}
$("mask-remove").addEventListener("click", () => {
  mask.open(current.width, current.height, []);
  mask.changed();
  showBrush(false);
  $("mask").focus();
});
document.addEventListener("keydown", (event) => {
  if ($("brushed").hidden || !(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z") return;
  event.preventDefault();
  if (event.shiftKey) mask.redo();
  else mask.undo();
});

// ---- To taste

// The slider ends where a network would be given so little that it paints a blur.
function fitStrokes() {
  const side = current ? Math.min(current.width, current.height) / automatic(current) : WORKING_SHORT_SIDE;
  $("strokes").max = Math.log2(Math.min(4, Math.max(2, side / SMALLEST_SHORT_SIDE))).toFixed(2);
  tellTaste();
}

function tellTaste() {
  $("strength-shown").textContent = `${$("strength").value} %`;
  const plain = factor() === 1;
  $("strokes-shown").textContent = plain ? "Automatic" : `${factor().toFixed(2)} ×`;
  $("strokes-auto").hidden = plain;
}

for (const id of ["strength", "strokes", "colours"]) {
  $(id).addEventListener("input", () => {
    tellTaste();
    changed();
  });
}
$("strokes-auto").addEventListener("click", () => {
  $("strokes").value = 0;
  tellTaste();
  changed();
  $("strokes").focus();
});

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
window.addEventListener("resize", () => sight.fit());

// ---- The camera

const camera = new Camera($("video"), $("live"), (text) => ($("camera-rate").textContent = text));

function show(name) {
  view = document.body.dataset.view = name;
  request += 1; // what was asked for on another view is not answered on this one
  for (const tab of $("views").children) press(tab, tab.dataset.view === name);
  showBrush(false);
  complain("");
  if (name !== "camera" && camera.running) stopCamera();
  $("camera").hidden = name !== "camera";
  $("train").hidden = name !== "train";
  train.show(name === "train");
  $("empty").hidden = name !== "photographs" || Boolean(current);
  $("picture").hidden = $("caption").hidden = name !== "photographs" || !current;
  $("strip-row").hidden = name !== "photographs" || !photographs.length;
  document.body.classList.toggle("has-picture", name === "camera" || (name === "photographs" && Boolean(current)));
  progress(null);
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
    await camera.start(recipe(), () => styles.chosen.every(({ quick }) => quick));
    $("camera-start").textContent = "Stop the camera";
    $("camera-snap").disabled = false;
  } catch (error) {
    const why = error.name === "NotAllowedError" ? "allow it in the browser’s settings of this page" : error.message;
    complain(`The camera cannot be used: ${why}.`);
  }
}

for (const tab of $("views").children) {
  tab.addEventListener("click", () => {
    show(tab.dataset.view);
    if (tab.dataset.view === "photographs" && current) {
      sight.fit();
      paint();
    }
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
    const { needs } = part.dataset;
    if (part.id !== "command-section") part.hidden = needs.startsWith("no-") === engine.offers.has(needs.replace("no-", ""));
  }
}

async function begin() {
  await loadStyles();
  hideWhatIsNotOffered();
  const kept = await keep.keptPhotographs();
  if (kept.length) await add(kept.map(({ file }) => file), kept);
}

hideWhatIsNotOffered();
begin().catch((error) => complain(sentence(error.message)));
