// What outlives a reload, in this browser's own storage: photographs with their masks, and settings.

const NAME = "style-transfer";
const MOST_BYTES = 200e6;
const DAYS = 7; // after which what was kept is forgotten

function request(asked) {
  return new Promise((resolve, reject) => {
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}

let opened;
function database() {
  opened ??= new Promise((resolve, reject) => {
    const asked = indexedDB.open(NAME, 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore("photographs");
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
  return opened;
}

async function store(mode) {
  return (await database()).transaction("photographs", mode).objectStore("photographs");
}

// Where the browser has no room, or lends none, the page works without.
async function attempt(what, otherwise) {
  try {
    return await what();
  } catch {
    return otherwise;
  }
}

// Whether it is kept: not where that is too much.
export function keepPhotograph(id, file) {
  return attempt(async () => {
    const there = await request((await store("readonly")).getAll());
    if (there.reduce((sum, one) => sum + one.file.size, 0) + file.size > MOST_BYTES) return false;
    await request((await store("readwrite")).put({ file, name: file.name, strokes: [], since: Date.now() }, id));
    return true;
  }, false);
}

export function keepStrokes(id, strokes) {
  return attempt(async () => {
    const kept = await request((await store("readonly")).get(id));
    if (kept) await request((await store("readwrite")).put({ ...kept, strokes }, id));
  });
}

export function dropPhotograph(id) {
  return attempt(async () => request((await store("readwrite")).delete(id)));
}

// [id, file, strokes], as they were added.
export function keptPhotographs() {
  return attempt(async () => {
    const keys = await request((await store("readonly")).getAllKeys());
    const values = await request((await store("readonly")).getAll());
    const old = Date.now() - DAYS * 86400e3;
    for (const [place, { since }] of values.entries()) if (!(since > old)) await dropPhotograph(keys[place]);
    return values
      .map(({ file, name, strokes, since }, place) => ({ id: keys[place], file: new File([file], name), strokes, since }))
      .filter(({ since }) => since > old)
      .sort((one, other) => one.since - other.since);
  }, []);
}

export function keepSettings(settings) {
  return attempt(async () => localStorage.setItem(NAME, JSON.stringify(settings)));
}

export function keptSettings() {
  try {
    return JSON.parse(localStorage.getItem(NAME)) ?? {};
  } catch {
    return {};
  }
}

export async function forget() {
  await attempt(async () => localStorage.removeItem(NAME));
  await attempt(async () => request((await store("readwrite")).clear()));
}
