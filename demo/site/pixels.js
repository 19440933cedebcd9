// What happens to pixels around the networks: inference/options.py, inference/canvas.py and imaging/ in JavaScript.
// A picture is an ImageData; planes are a channel after the other, row by row, in [0, 255].

// ---- Sizes, as imaging/resampling.py has it

const BICUBIC = { reach: 2, weigh: (x) => (x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0) };
const LANCZOS = { reach: 3, weigh: (x) => (x < 3 ? sinc(x) * sinc(x / 3) : 0) };

function sinc(x) {
  return x ? Math.sin(Math.PI * x) / (Math.PI * x) : 1;
}

// Rows of some length to rows of another, transposed.
function resampledRows(plane, length, target, { reach, weigh }, Kind) {
  const lines = plane.length / length;
  const scale = length / target;
  const stretch = Math.max(1, scale);
  const out = new Kind(target * lines);
  for (let place = 0; place < target; place++) {
    const centre = (place + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - reach * stretch));
    const last = Math.min(length, Math.ceil(centre + reach * stretch));
    const weights = Float64Array.from({ length: last - first }, (_, k) => weigh(Math.abs(first + k + 0.5 - centre) / stretch));
    const total = weights.reduce((sum, weight) => sum + weight);
    for (let line = 0; line < lines; line++) {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k] * plane[line * length + first + k];
      out[place * lines + line] = sum / total;
    }
  }
  return out;
}

function resampled(plane, from, to, filter, Kind) {
  const across = resampledRows(plane, from.width, to.width, filter, Kind);
  return resampledRows(across, from.height, to.height, filter, Kind);
}

function channelOf({ data, width, height }, channel) {
  const plane = new Uint8ClampedArray(width * height);
  for (let i = 0; i < plane.length; i++) plane[i] = data[4 * i + channel];
  return plane;
}

// The planes of a picture, reduced or enlarged to a size.
export function planes(picture, size) {
  const same = size.width === picture.width && size.height === picture.height;
  const count = size.width * size.height;
  const result = new Float32Array(3 * count);
  for (let channel = 0; channel < 3; channel++) {
    const plane = channelOf(picture, channel);
    result.set(same ? plane : resampled(plane, picture, size, LANCZOS, Uint8ClampedArray), channel * count);
  }
  return result;
}

// What a network made of the planes of a small picture, at the size of the whole, which gives its fine detail back: the
// lightness that the small picture has lost.
export function enlarged(result, content, size, whole) {
  const smallCount = size.width * size.height;
  const count = whole.width * whole.height;
  const painted = Uint8ClampedArray.from(result); // rounded, as the engine in Python keeps it
  const out = new Float32Array(3 * count);
  for (let channel = 0; channel < 3; channel++) {
    const plane = Float32Array.from(painted.subarray(channel * smallCount, (channel + 1) * smallCount));
    if (smallCount < count) {
      for (let i = 0; i < smallCount; i++) plane[i] -= grey(content[i], content[smallCount + i], content[2 * smallCount + i]);
    }
    out.set(resampled(plane, size, whole, BICUBIC, Float32Array), channel * count);
  }
  for (let i = 0; smallCount < count && i < count; i++) {
    const [red, green, blue] = colourAt(whole, i);
    const lightness = 0.299 * red + 0.587 * green + 0.114 * blue;
    for (let channel = 0; channel < 3; channel++) out[channel * count + i] += lightness;
  }
  return out;
}

// Pillow's mode L, which is whole.
function grey(red, green, blue) {
  return (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16;
}

function colourAt({ data }, i) {
  return [data[4 * i], data[4 * i + 1], data[4 * i + 2]];
}

// ---- The mask

// A grey picture with soft edges: Pillow's GaussianBlur with 1/200 of the short side, which is three box filters each
// way, of a length that is not whole (Gwosdek, Grewenig, Bruhn, Weickert, 2011).
export function softened(picture) {
  const { width, height } = picture;
  const variance = (Math.min(width, height) / 200) ** 2 / 3;
  const whole = Math.floor((Math.sqrt(12 * variance + 1) - 1) / 2);
  const part = ((2 * whole + 1) * (whole * (whole + 1) - 3 * variance)) / (6 * (variance - (whole + 1) ** 2));
  let plane = channelOf(picture, 0);
  for (const length of [width, height]) {
    for (let pass = 0; pass < 3; pass++) plane = boxFiltered(plane, length, whole, part);
    plane = transposed(plane, length);
  }
  return { plane, width, height };
}

// The mean of each row's neighbours up to "whole" places away, and of a part of the next; the last goes on outside.
function boxFiltered(plane, length, whole, part) {
  const out = new Uint8ClampedArray(plane.length);
  for (let start = 0; start < plane.length; start += length) {
    const at = (place) => plane[start + Math.min(length - 1, Math.max(0, place))];
    let sum = 0;
    for (let place = -whole; place <= whole; place++) sum += at(place);
    for (let place = 0; place < length; place++) {
      const [before, after] = [at(place - whole - 1), at(place + whole + 1)];
      out[start + place] = (sum + part * (before + after)) / (2 * (whole + part) + 1);
      sum += after - at(place - whole);
    }
  }
  return out;
}

function transposed(plane, length) {
  const lines = plane.length / length;
  const out = new Uint8ClampedArray(plane.length);
  for (let i = 0; i < plane.length; i++) out[(i % length) * lines + Math.floor(i / length)] = plane[i];
  return out;
}

// ---- Strength, colours, mask

// Planes that a network painted, mixed with the picture that it was given, and written over that.
export function apply(result, picture, { strength, preserve_color: keepsColours }, mask) {
  const weights = mask && Uint8ClampedArray.from(resampled(mask.plane, mask, picture, BICUBIC, Float32Array));
  const { data } = picture;
  const count = data.length / 4;
  for (let i = 0; i < count; i++) {
    const weight = strength * (weights ? weights[i] / 255 : 1);
    if (weight <= 0) continue;
    const before = colourAt(picture, i);
    let after = [result[i], result[count + i], result[2 * count + i]];
    if (keepsColours) after = withColoursOf(before, after);
    if (weight < 1) {
      const lab = labOf(before);
      after = rgbOf(labOf(after).map((value, channel) => lab[channel] + weight * (value - lab[channel])));
    }
    for (let channel = 0; channel < 3; channel++) data[4 * i + channel] = after[channel]; // rounds and clamps
  }
}

// The lightness of one colour with the hue of another, less colourful where sRGB has no such colour.
function withColoursOf(before, after) {
  const [, a, b] = labOf(before);
  const [lightness] = labOf(after);
  const reduced = (factor) => [lightness, a * factor, b * factor];
  let factor = 1;
  if (!isInside(linearOf(reduced(1)), 1e-4)) {
    factor = 0;
    for (let step = 0.5; step > 2 ** -13; step /= 2) if (isInside(linearOf(reduced(factor + step)), 0)) factor += step;
  }
  return rgbOf(reduced(factor));
}

function isInside(linear, tolerance) {
  return linear.every((value) => value >= -tolerance && value <= 1 + tolerance);
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

function times([r, s, t], [x, y, z]) {
  return [r[0] * x + r[1] * y + r[2] * z, s[0] * x + s[1] * y + s[2] * z, t[0] * x + t[1] * y + t[2] * z];
}

const LINEAR = Float64Array.from({ length: 256 }, (_, value) => decode(value / 255));

function linear(value) {
  const kept = Math.min(255, Math.max(0, value));
  return Number.isInteger(kept) ? LINEAR[kept] : decode(kept / 255);
}

function decode(encoded) {
  return encoded <= 0.04045 ? encoded / 12.92 : ((encoded + 0.055) / 1.055) ** 2.4;
}

function encode(value) {
  const kept = Math.min(1, Math.max(0, value));
  return 255 * (kept <= 0.0031308 ? 12.92 * kept : 1.055 * kept ** (1 / 2.4) - 0.055);
}

export function labOf(colour) {
  return times(LAB, times(LMS, colour.map(linear)).map((value) => Math.cbrt(Math.max(0, value))));
}

function linearOf(lab) {
  return times(RGB, times(CUBES, lab).map((value) => value * value * value));
}

export function rgbOf(lab) {
  return linearOf(lab).map(encode);
}

// Planes, in place.
export function changeEach(result, change) {
  const count = result.length / 3;
  for (let i = 0; i < count; i++) {
    [result[i], result[count + i], result[2 * count + i]] = change([result[i], result[count + i], result[2 * count + i]]);
  }
}
