// The page without a network, after its first visit; and with threads, for which a page has to be isolated from others.

const CACHE = "style-transfer-VERSION";

self.addEventListener("install", (event) => {
  self.skipWaiting();
  event.waitUntil(fill());
});
self.addEventListener("activate", (event) => event.waitUntil(tidy()));
self.addEventListener("fetch", (event) => {
  const { origin } = new URL(event.request.url);
  if (event.request.method === "GET" && origin === location.origin) event.respondWith(answer(event.request));
});

async function fill() {
  const cache = await caches.open(CACHE);
  const { first } = await (await fetch("site.json")).json();
  await cache.addAll(["./", ...first]);
}

async function tidy() {
  const old = (await caches.keys()).filter((name) => name.startsWith("style-transfer-") && name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
  await self.clients.claim();
}

// What is kept comes from there; what is not is kept from now on.
async function answer(request) {
  const cache = await caches.open(CACHE);
  let response = await cache.match(request);
  if (!response) {
    response = await fetch(request);
    if (response.ok) await cache.put(request, response.clone());
  }
  const headers = new Headers(response.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  headers.set("Cross-Origin-Resource-Policy", "same-origin");
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}
