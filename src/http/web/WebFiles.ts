import { createHash } from "node:crypto"
import { readdir, readFile } from "node:fs/promises"
import { extname, join } from "node:path"
import type { Encoding } from "../documents/Compressed.ts"
import { encodingFor } from "../documents/Compressed.ts"

/** A file of the page, in each form in which it is served. */
export interface WebFile {
  readonly contentType: string
  readonly etag: string
  /** Whether its name has a hash of its content, so that browsers may keep it for ever. */
  readonly immutable: boolean
  readonly bodies: Readonly<Partial<Record<Encoding, Uint8Array>>> & { readonly identity: Uint8Array }
}

/** The files of a built page by their paths, such as `/index.html`. */
export type WebFiles = ReadonlyMap<string, WebFile>

const contentTypes: Readonly<Record<string, string>> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".webmanifest": "application/manifest+json",
  ".woff2": "font/woff2"
}

const namesIn = (folder: string) =>
  readdir(folder, { withFileTypes: true }).then(
    (entries) => entries.filter((entry) => entry.isFile()).map(({ name }) => name),
    () => []
  )

/**
 * Reads a built page into memory: the files of a folder and of its `assets`, each with its `.br` and `.gz` next to it.
 * Files of unknown types are left out. Returns undefined when the folder has no `index.html`.
 */
export const readWebFiles = async (folder: string): Promise<WebFiles | undefined> => {
  const files = new Map<string, WebFile>()
  for (const place of ["", "assets"]) {
    const names = new Set(await namesIn(join(folder, place)))
    // A build that runs meanwhile may take a file away.
    const bodyOf = async (name: string) =>
      names.has(name) ? readFile(join(folder, place, name)).catch(() => undefined) : undefined
    for (const name of names) {
      const contentType = contentTypes[extname(name)]
      const [identity, br, gzip] = [await bodyOf(name), await bodyOf(`${name}.br`), await bodyOf(`${name}.gz`)]
      if (contentType === undefined || identity === undefined) continue
      files.set(`${place === "" ? "" : `/${place}`}/${name}`, {
        contentType,
        etag: createHash("sha256").update(identity).digest("base64url").slice(0, 22),
        immutable: place === "assets",
        bodies: { identity, ...(br && { br }), ...(gzip && { gzip }) }
      })
    }
  }
  return files.has("/index.html") ? files : undefined
}

/** Chooses the form of a file for the `Accept-Encoding` of a request. */
export const formOf = ({ bodies }: WebFile, accepted: string) => {
  const encoding = encodingFor(accepted)
  const body = bodies[encoding]
  return body === undefined ? { encoding: "identity" as const, body: bodies.identity } : { encoding, body }
}
