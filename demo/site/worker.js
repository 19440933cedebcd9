// The networks, in ONNX Runtime Web: WebGPU where the browser has what that needs, WebAssembly elsewhere.

const ORT = { webgpu: "ort.jspi.min.mjs", wasm: "ort.wasm.min.mjs" };
let runtime = null; // a promise of { ort, provider }
const sessions = new Map(); // file -> a promise of its session; the newest two

onmessage = async ({ data }) => {
  try {
    const picture = await paint(data);
    postMessage({ type: "done", picture }, [picture.data.buffer]);
  } catch (error) {
    const memory = /memory|allocat|bad_alloc/i.test(error.message);
    postMessage({ type: "done", error: memory ? "there is not enough memory: give a smaller photograph" : error.message });
  }
};

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
  const answer = await fetch(file);
  if (!answer.ok) throw new Error("the style cannot be loaded: connect to the network once");
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
async function paint({ whole, small, parts, strength }) {
  const content = small ?? whole;
  const { width, height } = content;
  let result = null; // 3 planes: of one network its colours, of several first a sum in Oklab
  for (const [place, part] of parts.entries()) {
    if (strength === 0) break;
    const plane = await run(part, content);
    if (parts.length === 1) {
      result = plane;
    } else {
      toOklab(plane, width * height);
      result ??= new Float32Array(3 * width * height);
      for (let i = 0; i < plane.length; i++) result[i] += part.weight * plane[i];
    }
    postMessage({ type: "progress", done: place + 1, total: parts.length });
  }
  if (result && parts.length > 1) fromOklab(result, width * height);
  if (result && small) result = enlarged(result, small, whole);
  if (result && strength < 1) mix(result, whole, strength);
  if (result) write(result, whole);
  return whole;
}

async function run(part, picture) {
  const { ort } = await (runtime ??= load());
  const network = await session(part.file);
  const count = picture.width * picture.height;
  const image = new ort.Tensor("float32", planes(picture), [1, 3, picture.height, picture.width]);
  const inputs = { image };
  if (part.rows.length) inputs.style = new ort.Tensor("float32", Float32Array.from(part.rows), [1, part.rows.length]);
  const { stylized } = await network.run(inputs);
  const result = await stylized.getData();
  stylized.dispose();
  return result.length === 3 * count ? result : Float32Array.from(result);
}

function planes({ data, width, height }) {
  const count = width * height;
  const result = new Float32Array(3 * count);
  for (let channel = 0; channel < 3; channel++) {
    for (let i = 0; i < count; i++) result[channel * count + i] = data[4 * i + channel];
  }
  return result;
}

function write(result, { data, width, height }) {
  const count = width * height;
  for (let i = 0; i < count; i++) {
    for (let channel = 0; channel < 3; channel++) data[4 * i + channel] = result[channel * count + i]; // rounds and clamps
  }
}

// The network's small picture at the size of the whole, which gives its fine detail back: the lightness that the small
// picture has lost.
function enlarged(result, small, whole) {
  const { width, height, data } = whole;
  const count = width * height;
  const smallCount = small.width * small.height;
  const lightness = new Float32Array(smallCount);
  for (let i = 0; i < smallCount; i++) lightness[i] = luma(small.data, i);
  const grown = [0, 1, 2].map((channel) => grow(result.subarray(channel * smallCount, (channel + 1) * smallCount), small, whole));
  const detail = smallCount < count ? grow(lightness, small, whole) : null;
  const out = new Float32Array(3 * count);
  for (let i = 0; i < count; i++) {
    const more = detail ? luma(data, i) - detail[i] : 0;
    for (let channel = 0; channel < 3; channel++) {
      out[channel * count + i] = Math.min(255, Math.max(0, grown[channel][i] + more));
    }
  }
  return out;
}

function luma(data, i) {
  return 0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2];
}

// Bicubic (Catmull-Rom), columns and then rows.
function grow(plane, from, to) {
  const across = cubic(plane, from.width, from.height, to.width, 1, from.width);
  return cubic(across, from.height, to.width, to.height, to.width, 1);
}

function cubic(plane, length, lines, target, step, lineStep) {
  const out = new Float32Array(target * lines);
  const outStep = step === 1 ? 1 : step;
  const outLine = step === 1 ? target : 1;
  for (let place = 0; place < target; place++) {
    const x = ((place + 0.5) * length) / target - 0.5;
    const first = Math.floor(x);
    const t = x - first;
    const weights = [
      ((-0.5 * t + 1) * t - 0.5) * t, (1.5 * t - 2.5) * t * t + 1, ((-1.5 * t + 2) * t + 0.5) * t, (0.5 * t - 0.5) * t * t,
    ];
    const sources = [-1, 0, 1, 2].map((offset) => Math.min(length - 1, Math.max(0, first + offset)) * step);
    for (let line = 0; line < lines; line++) {
      let sum = 0;
      for (let k = 0; k < 4; k++) sum += weights[k] * plane[sources[k] + line * lineStep];
      out[place * outStep + line * outLine] = sum;
    }
  }
  return out;
}

// ---- Oklab, as imaging/oklab.py has it

const LMS = normalised([
  [0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
  [0.0883024619, 0.2817188376, 0.6299787005],
]);
const LAB = [
  normalised([[0.2104542553, 0.793617785, -0.0040720468]])[0], centred([1.9779984951, -2.428592205, 0.4505937099]),
  centred([0.0259040371, 0.7827717662, -0.8086757660]),
];
const RGB = inverse(LMS);
const CUBES = inverse(LAB);

function normalised(rows) {
  return rows.map((row) => row.map((value) => value / (row[0] + row[1] + row[2])));
}

function centred(row) {
  return row.map((value) => value - (row[0] + row[1] + row[2]) / 3);
}

function inverse([[a, b, c], [d, e, f], [g, h, i]]) {
  const determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  const adjugate = [
    [e * i - f * h, c * h - b * i, b * f - c * e], [f * g - d * i, a * i - c * g, c * d - a * f],
    [d * h - e * g, b * g - a * h, a * e - b * d],
  ];
  return adjugate.map((row) => row.map((value) => value / determinant));
}

function eachPixel(result, count, change) {
  const pixel = [0, 0, 0];
  for (let i = 0; i < count; i++) {
    for (let channel = 0; channel < 3; channel++) pixel[channel] = result[channel * count + i];
    const [x, y, z] = change(pixel);
    result[i] = x;
    result[count + i] = y;
    result[2 * count + i] = z;
  }
}

function times(matrix, [x, y, z]) {
  return matrix.map((row) => row[0] * x + row[1] * y + row[2] * z);
}

function linear(value) {
  const encoded = Math.min(255, Math.max(0, value)) / 255;
  return encoded <= 0.04045 ? encoded / 12.92 : ((encoded + 0.055) / 1.055) ** 2.4;
}

function encode(value) {
  const kept = Math.min(1, Math.max(0, value));
  return 255 * (kept <= 0.0031308 ? 12.92 * kept : 1.055 * kept ** (1 / 2.4) - 0.055);
}

function labOf(pixel) {
  return times(LAB, times(LMS, pixel.map(linear)).map((value) => Math.cbrt(Math.max(0, value))));
}

function rgbOf(lab) {
  return times(RGB, times(CUBES, lab).map((value) => value ** 3)).map(encode);
}

function toOklab(result, count) {
  eachPixel(result, count, labOf);
}

function fromOklab(result, count) {
  eachPixel(result, count, rgbOf);
}

function mix(result, { data }, strength) {
  let i = 0;
  eachPixel(result, data.length / 4, (pixel) => {
    const before = labOf([data[4 * i], data[4 * i + 1], data[4 * i + 2]]);
    i += 1;
    return rgbOf(labOf(pixel).map((value, channel) => before[channel] + strength * (value - before[channel])));
  });
}
