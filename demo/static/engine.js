// The engine behind the page: the server that "python -m demo" started. What is shown is no concern of this file.
// The static site has another file of this name, with the functions of what it offers, which computes in the browser.

export const offers = new Set(["strokes", "colours", "mask", "command", "camera", "film", "thumbnails"]);

const listeners = new Map();
const photographs = new Map(); // our id -> { file, remote, mask }
let painting = null; // the file to train on
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
    if (photograph.mask) await uploadMask(photograph);
  }
  if (painting) await upload("paintings", painting, painting.name);
}

function upload(where, body, name = "", headers = {}) {
  return post(where, body, { "X-Name": encodeURIComponent(name), "Content-Type": "application/octet-stream", ...headers });
}

function uploadMask({ mask, remote }) {
  return upload("masks", mask, "", { "X-Photograph": remote });
}

async function post(where, body, headers) {
  let answer, facts;
  try {
    answer = await fetch(where, { method: "POST", body, headers: { "X-Tab": tab, ...headers } });
    facts = await answer.json();
  } catch {
    throw new Error("the server does not answer: start it again with python -m demo");
  }
  if (!answer.ok) throw Object.assign(new Error(facts.error), { refused: answer.status === 422 });
  return facts;
}

// Size of webcam frames, in pixels; "quick" is for small networks.
export function frameWidth(quick) {
  return quick ? 640 : 320;
}

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

// The mask for a photograph: a PNG, white where the style goes; null for none.
export async function setMask(id, blob) {
  const photograph = photographs.get(id);
  if (!photograph) return;
  photograph.mask = blob;
  if (blob) await uploadMask(photograph);
  else send({ type: "remove_mask", photograph: photograph.remote });
}

// A small picture at once ("preview"), then the whole: "progress", "shown", "result".
export function paint(photograph, recipe, request) {
  const remote = photographs.get(photograph)?.remote;
  send({ type: "paint", photograph: remote, recipe, request });
}

export function paintThumbnails(photograph) {
  send({ type: "thumbnails", photograph: photographs.get(photograph)?.remote });
}

// Of [id, recipe].
export function paintAll(wanted, request) {
  const remote = wanted.map(([id, recipe]) => ({ photograph: photographs.get(id)?.remote, recipe }));
  send({ type: "all", photographs: remote, request });
}

// Frames as they are done ("film_progress", "film_frame"), then the file ("film").
export function repaintFilm(id, recipe) {
  send({ type: "film", photograph: photographs.get(id)?.remote, recipe });
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

// What is shown of a painting to train on.
export async function addPainting(file) {
  await ready;
  const facts = await upload("paintings", file, file.name);
  painting = file;
  return facts;
}

// "start" with [name, number of the folder, steps] and the painting; "stop"; "resume".
export async function changeTraining(what, wanted = []) {
  await ready;
  return post(`training/${what}`, "", { "X-Training": encodeURIComponent(JSON.stringify(wanted)) });
}

export function setLive(recipe) {
  send({ type: "live", recipe });
}

export function paintFrame(canvas, number) {
  canvas.toBlob(async (blob) => blob && send({ type: "frame", number }, await blob.arrayBuffer()), "image/jpeg", 0.9);
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
