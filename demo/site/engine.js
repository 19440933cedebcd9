// The engine behind the page where there is no server: ONNX Runtime Web in a worker of the visitor's browser.

export const offers = new Set(["strokes", "colours", "mask", "camera"]);

const listeners = new Map();
const photographs = new Map(); // id -> { bitmap, name }
const worker = new Worker("worker.js", { type: "module" });
const MOST_PIXELS = 40e6; // of a photograph; a browser's canvas holds little more
const WORKING_SHORT_SIDE = 720; // as the engine in Python
const QUICK = 160 * 120; // pixels of a first small picture
const WANTED = 1000 / 15; // milliseconds that a frame of the camera may take
const STEPS = [1, 1.15, 1.3, 1.5, 1.75]; // by which strokes are enlarged while frames are late

let busy = false; // whether the worker is at work
let running = null;
let waiting = null; // what it does next: the newest
let live = null;
let enlarged = 1;
let times = []; // of frames, as if strokes had their own size
let about;

export function on(type, listener) {
  listeners.set(type, listener);
}

function tell(type, message, data) {
  listeners.get(type)?.(message, data);
}

export async function styles() {
  await isolate();
  about ??= await (await fetch("site.json")).json();
  return { ...about, where: "In this browser alone: nothing is uploaded" };
}

// Threads need a page that is isolated from others, which the service worker's headers make it: from the first visit
// on, for the page is loaded once more as soon as that worker is there.
async function isolate() {
  if (!("serviceWorker" in navigator)) return;
  const registered = navigator.serviceWorker.register("service_worker.js").catch(() => {});
  if (globalThis.crossOriginIsolated || sessionStorage.getItem("isolated")) return;
  if (!(await registered)) return;
  await Promise.race([navigator.serviceWorker.ready, new Promise((resolve) => setTimeout(resolve, 5000))]);
  sessionStorage.setItem("isolated", "tried");
  location.reload();
  await new Promise(() => {});
}

worker.onmessage = ({ data }) => {
  if (data.type === "progress") return running?.progress?.(data);
  const { resolve, reject } = running;
  running = null;
  if (data.error) reject(new Error(data.error));
  else resolve(data);
};

// One thing after another: the worker computes without looking up.
function compute(message, transfer, progress) {
  return new Promise((resolve, reject) => {
    running = { resolve, reject, progress };
    worker.postMessage(message, transfer);
  });
}

async function give(work) {
  waiting = work;
  if (busy) return;
  busy = true;
  while (waiting) {
    const next = waiting;
    waiting = null;
    try {
      await next(() => waiting !== null);
    } catch (error) {
      tell("error", { of: next.of, request: next.request, error: error.message });
    }
  }
  busy = false;
}

let numbers = 0;

export async function addPhotograph(file) {
  const remarks = [];
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" }).catch(() => damaged(file, remarks));
  const { width, height } = bitmap;
  if (width * height > MOST_PIXELS) {
    const millions = (width * height) / 1e6;
    throw new Error(`it has ${millions.toFixed(0)} million pixels, and ${MOST_PIXELS / 1e6} is the most here: reduce it`);
  }
  const id = `p${++numbers}`;
  photographs.set(id, { bitmap, name: file.name });
  const screen = URL.createObjectURL(await (await reduced(bitmap, 1600)).convertToBlob({ type: typeOf(file.name) }));
  if (await isAnimated(file)) remarks.push(`${file.name} is animated: its first frame alone is taken`);
  return { id, name: file.name, width, height, remarks, screen };
}

// What can be read of a JPEG that ends too early: with the marker of its end, browsers fill the rest with grey.
async function damaged(file, remarks) {
  const ended = new Blob([file, new Uint8Array([0xff, 0xd9])], { type: file.type });
  const bitmap = await createImageBitmap(ended, { imageOrientation: "from-image" }).catch(() => {
    throw new Error("this browser cannot read it as a picture: give another file");
  });
  remarks.push(`${file.name} is damaged: what can be read of it is taken`);
  return bitmap;
}

// As far as the browser can tell.
async function isAnimated(file) {
  try {
    const decoder = new ImageDecoder({ data: file.stream(), type: file.type });
    await decoder.tracks.ready;
    return decoder.tracks.selectedTrack.animated;
  } catch {
    return false;
  }
}

export function removePhotograph(id) {
  worker.postMessage({ mask: null, of: id });
  photographs.get(id)?.bitmap.close();
  photographs.delete(id);
}

// The mask for a photograph: a PNG, white where the style goes; null for none.
export async function setMask(id, blob) {
  worker.postMessage({ mask: blob && pixels(drawn(await createImageBitmap(blob))), of: id });
}

function typeOf(name) {
  return /\.jpe?g$/i.test(name) ? "image/jpeg" : "image/png";
}

// On a canvas, with no side longer than that.
async function reduced(bitmap, longest) {
  const scale = longest / Math.max(bitmap.width, bitmap.height);
  if (scale >= 1) return drawn(bitmap);
  const [resizeWidth, resizeHeight] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
  return drawn(await createImageBitmap(bitmap, { resizeWidth, resizeHeight, resizeQuality: "high" }));
}

function drawn(bitmap) {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  return canvas;
}

function pixels(canvas) {
  return canvas.getContext("2d", { willReadFrequently: true }).getImageData(0, 0, canvas.width, canvas.height);
}

// The styles by the files and the rows of the networks that paint them; "which" is "file", or "live" for the camera.
function parts(recipe, which) {
  const total = recipe.styles.reduce((sum, [, weight]) => sum + weight, 0);
  const networks = new Map();
  for (const [id, weight] of recipe.styles) {
    const style = about.styles.find((one) => one.id === id);
    const network = networks.get(style[which]) ?? { file: style[which], weight: 0, rows: new Array(style.rows).fill(0) };
    network.weight += weight / total;
    if (style.rows) network.rows[style.row] += weight;
    networks.set(style[which], network);
  }
  return [...networks.values()].map((network) => ({ ...network, rows: network.rows.map((row) => row / network.weight / total) }));
}

// Sides of the picture that the network is given; halves go to the even number, as in Python.
function workingSize({ width, height }, recipe) {
  const scale = recipe.stroke_scale ?? Math.max(1, Math.min(width, height) / WORKING_SHORT_SIDE);
  const rounded = (side) => (side % 1 === 0.5 ? 2 * Math.round(side / 2) : Math.round(side));
  const side = (whole) => Math.max(1, rounded(whole / scale));
  return { width: side(width), height: side(height) };
}

async function stylized(whole, working, recipe, which, photograph, progress) {
  const message = { whole, working, recipe, photograph, parts: parts(recipe, which) };
  return (await compute(message, [whole.data.buffer], progress)).picture;
}

async function file(picture, type) {
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return canvas.convertToBlob({ type, quality: 0.95 });
}

export function paint(id, recipe, request) {
  const photograph = photographs.get(id);
  const about = { photograph: id, request };
  const work = async (outdated) => {
    const { bitmap, name } = photograph;
    const working = workingSize(bitmap, recipe);
    const factor = Math.sqrt(QUICK / (working.width * working.height));
    if (factor < 1) {
      const quick = { width: Math.ceil(working.width * factor), height: Math.ceil(working.height * factor) };
      const picture = await stylized(pixels(await reduced(bitmap, 640)), quick, recipe, "file", id);
      if (outdated()) return;
      tell("preview", about, new Uint8Array(await (await file(picture, "image/jpeg")).arrayBuffer()));
      await new Promise((resolve) => setTimeout(resolve, 100));
      if (outdated()) return;
    }
    const since = performance.now();
    const picture = await stylized(pixels(drawn(bitmap)), working, recipe, "file", id, ({ done, total }) =>
      tell("progress", { ...about, done, total, left: null }),
    );
    if (outdated()) return;
    const type = typeOf(name);
    const blob = await file(picture, type);
    const url = URL.createObjectURL(blob);
    tell("shown", { ...about, seconds: (performance.now() - since) / 1000 }, new Uint8Array(await blob.arrayBuffer()));
    const styles = recipe.styles.map(([style]) => style.split("/").pop()).join("+");
    const ending = type === "image/jpeg" ? "jpg" : "png";
    tell("result", { ...about, url, name: `${name.replace(/\.\w+$/, "")}_${styles}.${ending}` });
  };
  give(Object.assign(work, { of: "paint", request }));
}

export function paintThumbnails() {}

// Loads the networks of a recipe before there is a photograph.
export function prepare(recipe) {
  worker.postMessage({ prepare: parts(recipe, "file") });
}

export function setLive(recipe) {
  live = recipe;
}

// As demo/pace.py.
function keepPace(milliseconds) {
  times.push(milliseconds * enlarged ** 2);
  if (times.length < 9) return;
  const middle = times.sort((a, b) => a - b)[4];
  enlarged = STEPS.find((step) => middle <= WANTED * step ** 2 * (step >= enlarged ? 1 : 0.9)) ?? STEPS.at(-1);
  times = [];
}

// Size of webcam frames, in pixels; "quick" is for small networks.
export function frameWidth(quick) {
  return quick ? 320 : 160;
}

export function paintFrame(canvas, number) {
  const recipe = live;
  const whole = pixels(canvas);
  const work = async () => {
    const since = performance.now();
    const working = workingSize(whole, { stroke_scale: enlarged * (recipe.stroke_scale ?? 1) });
    const picture = await stylized(whole, working, recipe, "live");
    setTimeout(tell, 0, "frame", { number, enlarged }, picture); // once the next frame is under way
    keepPace(performance.now() - since);
  };
  give(Object.assign(work, { of: "frame" }));
}

export function stop() {
  waiting = null;
}
