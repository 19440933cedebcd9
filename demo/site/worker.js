// The networks, in ONNX Runtime Web: WebGPU where the browser has what that needs, WebAssembly elsewhere.

import { apply, changeEach, enlarged, labOf, planes, rgbOf, softened } from "./pixels.js";

const ORT = { webgpu: "ort.jspi.min.mjs", wasm: "ort.wasm.min.mjs" };
let runtime = null; // a promise of { ort, provider }
const sessions = new Map(); // file -> a promise of its session; the newest two
const masks = new Map(); // photograph -> its mask, with soft edges

let last = Promise.resolve(); // a session runs once at a time
onmessage = ({ data }) => (last = last.then(() => answer(data)));

async function answer(data) {
  if (data.prepare) return warm(data.prepare).catch(() => {}); // painting tries again, and says why
  if ("mask" in data) return void (data.mask ? masks.set(data.of, softened(data.mask)) : masks.delete(data.of));
  try {
    const picture = await paint(data);
    postMessage({ type: "done", picture }, [picture.data.buffer]);
  } catch (error) {
    const memory = /memory|allocat|bad_alloc/i.test(error.message);
    postMessage({ type: "done", error: memory ? "there is not enough memory: give a smaller photograph" : error.message });
  }
}

async function load() {
  const gpu = "gpu" in navigator && "Suspending" in WebAssembly && (await navigator.gpu.requestAdapter().catch(() => null));
  const provider = gpu ? "webgpu" : "wasm";
  const ort = await import(`./${ORT[provider]}`);
  ort.env.wasm.wasmPaths = new URL("./", import.meta.url).href;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(8, navigator.hardwareConcurrency || 1) : 1;
  return { ort, provider };
}

async function open(file) {
  runtime ??= load();
  const { ort, provider } = await runtime;
  const answer = await fetch(file).catch(() => null);
  if (!answer?.ok) throw new Error("this style is not here yet, and there is no network: connect once, and it stays");
  const model = new Uint8Array(await answer.arrayBuffer());
  return ort.InferenceSession.create(model, { executionProviders: [...new Set([provider, "wasm"])] });
}

function session(file) {
  const known = sessions.get(file) ?? open(file);
  sessions.delete(file);
  sessions.set(file, known);
  known.catch(() => sessions.delete(file));
  if (sessions.size > 2) {
    const [oldest, old] = sessions.entries().next().value;
    sessions.delete(oldest);
    old.then((one) => one.release());
  }
  return known;
}

// A picture in style, of the same size: see inference/stylizer.py, which this follows.
async function paint({ whole, working, parts, recipe, photograph }) {
  if (recipe.strength === 0) return whole;
  const content = planes(whole, working);
  let result = null; // of one network its colours, of several first a sum in Oklab
  for (const [place, part] of parts.entries()) {
    const painted = await run(part, content, working);
    if (parts.length === 1) {
      result = painted;
    } else {
      changeEach(painted, labOf);
      result ??= new Float32Array(painted.length);
      for (let i = 0; i < painted.length; i++) result[i] += part.weight * painted[i];
    }
    postMessage({ type: "progress", done: place + 1, total: parts.length });
  }
  if (parts.length > 1) changeEach(result, rgbOf);
  if (working.width !== whole.width || working.height !== whole.height) result = enlarged(result, content, working, whole);
  apply(result, whole, recipe, masks.get(photograph) ?? null);
  return whole;
}

// Load the networks, and have the browser compile what runs them.
async function warm(parts) {
  for (const part of parts) await run(part, new Float32Array(3 * 64 * 64), { width: 64, height: 64 });
}

async function run(part, content, { width, height }) {
  const { ort } = await (runtime ??= load());
  const network = await session(part.file);
  const inputs = { image: new ort.Tensor("float32", content, [1, 3, height, width]) };
  if (part.rows.length) inputs.style = new ort.Tensor("float32", Float32Array.from(part.rows), [1, part.rows.length]);
  const { stylized } = await network.run(inputs);
  const result = await stylized.getData();
  stylized.dispose();
  return result;
}
