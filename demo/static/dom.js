// What all parts of the page use.

export const $ = (id) => document.getElementById(id);

export function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export function button(properties, ...children) {
  return element("button", { type: "button", ...properties }, ...children);
}

export function press(toggle, pressed) {
  toggle.setAttribute("aria-pressed", String(pressed));
}

export function sentence(text) {
  const isFileName = /^\S+\.\w+/.test(text);  // which stays as it is spelt
  const first = isFileName ? text.charAt(0) : text.charAt(0).toUpperCase();
  return first + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

// "portrait_of_metzinger" as "Portrait of Metzinger".
export function title(name) {
  const words = name.replace(/[_-]+/g, " ").trim().split(/\s+/);
  const small = /^(a|an|and|at|by|in|of|on|the|with)$/;
  const written = words.map((word, place) => {
    if (/^[ivx]+$/.test(word)) return word.toUpperCase();
    return place && small.test(word) ? word : word.charAt(0).toUpperCase() + word.slice(1);
  });
  return written.join(" ") || name;
}

const urls = new Map(); // what shows it -> the address of a picture that is to be forgotten

// Show bytes of a picture, or the picture at an address.
export function put(image, data) {
  const made = typeof data !== "string";
  const old = urls.get(image);
  urls.delete(image);
  const url = made ? URL.createObjectURL(new Blob([data], { type: data[0] === 0x89 ? "image/png" : "image/jpeg" })) : data;
  if (made) urls.set(image, url);
  image.src = url;
  if (old) URL.revokeObjectURL(old);
}

export function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
