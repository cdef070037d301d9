/// <reference lib="webworker" />
/**
 * Keeps the page for when there is no network. What the page shows is in IndexedDB, so nothing that the API answers is
 * kept here. It runs in the browser, outside of the page.
 */
declare const self: ServiceWorkerGlobalScope

/** The build that this file belongs to: the files of the page, and a hash of them. */
declare const build: { readonly version: string; readonly files: ReadonlyArray<string> }

const shell = "/"
const prefix = "page "
const name = prefix + build.version

/** The page that is kept is shown when the network has not answered within this time. */
const patienceMillis = 3000

const install = async () => {
  const cache = await caches.open(name)
  await cache.addAll([shell, ...build.files])
  const page = (await (await cache.match(shell))?.text()) ?? ""
  // While a new release is rolled out, the page and its files may come from different ones. It is tried again later.
  if ([...page.matchAll(/"(\/assets\/[^"]+)"/g)].some(([, file = ""]) => !build.files.includes(file))) {
    await caches.delete(name)
    throw new Error("the page is of another version")
  }
  await self.skipWaiting()
}

const activate = async () => {
  const others = (await caches.keys()).filter((other) => other.startsWith(prefix) && other !== name)
  // Tabs that show the version before this one still load parts of it.
  for (const old of others.slice(0, -1)) await caches.delete(old)
  await self.clients.claim()
}

/** The newest page; the one that is kept when there is none, or it takes too long. */
const openShell = async (request: Request): Promise<Response> => {
  const kept = await caches.match(shell, { cacheName: name })
  if (kept === undefined) return fetch(request)
  const late = new Promise<Response>((resolve) => {
    setTimeout(() => resolve(kept), patienceMillis)
  })
  const answer = fetch(request).then(
    (response) => (response.status >= 500 ? kept : response),
    () => kept
  )
  return Promise.race([answer, late])
}

self.addEventListener("install", (event) => event.waitUntil(install()))
self.addEventListener("activate", (event) => event.waitUntil(activate()))
self.addEventListener("fetch", (event) => {
  const { request } = event
  const { origin, pathname } = new URL(request.url)
  if (request.method !== "GET" || origin !== self.location.origin) return
  if (request.mode === "navigate" && pathname === shell) event.respondWith(openShell(request))
  else if (pathname.startsWith("/assets/"))
    event.respondWith(caches.match(request).then((kept) => kept ?? fetch(request)))
})

export type {}
