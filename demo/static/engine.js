// The engine behind the page: the server that "python -m demo" started. What is shown is no concern of this file.
// The static site has another file of this name, with the functions of what it offers, which computes in the browser.

export const offers = new Set(["strokes", "colours", "mask", "command", "camera", "film"]);

const listeners = new Map();
const photographs = new Map(); // our id -> { file, remote }
let mask = null; // { blob, id, remote }
let socket, tab, ready, retries = 0;

export function on(type, listener) {
  listeners.set(type, listener);
}

function tell(type, message, data) {
  listeners.get(type)?.(message, data);
}

// What there is to choose from. The first time, the connection is opened; it is opened again when it breaks, and the
// server is given everything anew.
export async function styles() {
  const answer = await fetch("styles");
  const about = await answer.json();
  if (!ready) await connect();
  if (about.trains) offers.add("train");
  return {
    ...about,
    where: `On this machine: ${about.device}`,
    samples: about.samples.map((name) => ({ name, url: `samples/${name}` })),
    styles: about.styles.map((style) => ({ ...style, thumbnail: `thumbnail?style=${encodeURIComponent(style.id)}` })),
  };
}

function connect() {
  ready = new Promise((resolve, reject) => {
    socket = new WebSocket(`ws://${location.host}/tab`);
    socket.binaryType = "arraybuffer";
    socket.onmessage = async (event) => {
      const { message, data } = unpack(event.data);
      if (message.type === "tab") {
        tab = message.tab;
        await sendAgain();
        if (retries) tell("back", message);
        retries = 0;
        resolve();
      } else if (message.type === "refused") {
        retries = -1;
        reject(new Error(message.error));
      } else {
        receive(message, data);
      }
    };
    socket.onclose = () => {
      reject(new Error("the server has ended: start it again with python -m demo"));
      if (retries < 0) return;
      if (!retries) tell("lost", {});
      retries += 1;
      setTimeout(() => connect().catch(() => {}), Math.min(5000, 500 * retries));
    };
  });
  ready.catch(() => {});
  return ready;
}

function receive(message, data) {
  if (message.photograph) {
    const ours = [...photographs].find(([, photograph]) => photograph.remote === message.photograph);
    if (!ours) return;
    message.photograph = ours[0];
  }
  tell(message.type, message, data);
}

async function sendAgain() {
  for (const photograph of photographs.values()) {
    photograph.remote = (await upload("photographs", photograph.file, photograph.file.name)).photograph;
  }
  if (mask) mask.remote = (await upload("masks", mask.blob)).mask;
}

function upload(where, body, name = "") {
  return post(where, body, { "X-Name": encodeURIComponent(name), "Content-Type": "application/octet-stream" });
}

async function post(where, body, headers) {
  const answer = await fetch(where, { method: "POST", body, headers: { "X-Tab": tab, ...headers } });
  const facts = await answer.json();
  if (!answer.ok) throw new Error(facts.error);
  return facts;
}

export const frameWidth = 320; // of a webcam, pixels

let numbers = 0;

export async function addPhotograph(file) {
  await ready;
  const { photograph, ...facts } = await upload("photographs", file, file.name);
  const id = `p${++numbers}`;
  photographs.set(id, { file, remote: photograph });
  return { id, ...facts };
}

export function removePhotograph(id) {
  send({ type: "remove", photograph: photographs.get(id)?.remote });
  photographs.delete(id);
}

// The mask for what is painted from now on: a PNG, white where the style goes; null for none.
export async function setMask(blob) {
  mask = null;
  if (!blob) return;
  const { mask: remote } = await upload("masks", blob);
  mask = { blob, remote };
}

function remoteRecipe(recipe) {
  return { ...recipe, mask: recipe.masked && mask ? mask.remote : null };
}

// A small picture at once ("preview"), then the whole: "progress", "shown", "result".
export function paint(photograph, recipe, request) {
  const remote = photographs.get(photograph)?.remote;
  send({ type: "paint", photograph: remote, recipe: remoteRecipe(recipe), request });
}

export function paintThumbnails(photograph) {
  send({ type: "thumbnails", photograph: photographs.get(photograph)?.remote });
}

export function paintAll(ids, recipe, request) {
  const remotes = ids.map((id) => photographs.get(id)?.remote);
  send({ type: "all", photographs: remotes, recipe: remoteRecipe(recipe), request });
}

// Frames as they are done ("film_progress"), then the file ("film").
export function repaintFilm(id, recipe) {
  send({ type: "film", photograph: photographs.get(id)?.remote, recipe: remoteRecipe(recipe) });
}

export function cancelFilm() {
  send({ type: "cancel" });
}

export async function training() {
  return (await fetch("training")).json();
}

export function trainingPicture(name) {
  return `training/picture?${name}`;
}

// "start" with a painting and [name, number of the folder, steps]; "stop"; "resume".
export async function changeTraining(what, painting = "", wanted = []) {
  await ready;
  return post(`training/${what}`, painting, { "X-Training": encodeURIComponent(JSON.stringify(wanted)) });
}

export function setLive(recipe) {
  send({ type: "live", recipe: remoteRecipe({ ...recipe, masked: false }) });
}

export function paintFrame(canvas) {
  canvas.toBlob(async (blob) => blob && send({ type: "frame" }, await blob.arrayBuffer()), "image/jpeg", 0.9);
}

export function stop() {
  send({ type: "stop" });
}

function send(message, data = new ArrayBuffer(0)) {
  if (socket.readyState !== WebSocket.OPEN) return;
  const text = new TextEncoder().encode(JSON.stringify(message));
  const packed = new Uint8Array(4 + text.length + data.byteLength);
  new DataView(packed.buffer).setUint32(0, text.length);
  packed.set(text, 4);
  packed.set(new Uint8Array(data), 4 + text.length);
  socket.send(packed);
}

function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0);
  const message = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  return { message, data: new Uint8Array(buffer, 4 + length) };
}
