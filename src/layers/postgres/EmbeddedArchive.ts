import { createReadStream, createWriteStream } from "node:fs"
import { open, readdir, rename, rm } from "node:fs/promises"
import { dirname, join } from "node:path"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { createGunzip, createGzip } from "node:zlib"
import { createTarPacker } from "modern-tar"
import { unpackTar } from "modern-tar/fs"

/**
 * A tar archive that is being written. Its functions reject when the archive cannot be written, such as for lack of
 * space.
 */
export interface ArchiveWriter {
  /** Adds a file with this content. */
  readonly text: (name: string, content: string) => Promise<void>
  /** Adds a file as it is now. What it grows by meanwhile is left out, and what it shrinks by is zeros. */
  readonly file: (name: string, path: string) => Promise<void>
  /** Adds a directory and what `wanted` selects below it. Files that vanish meanwhile are left out. */
  readonly directory: (name: string, path: string, wanted: (name: string) => boolean) => Promise<void>
  /** Ends the archive, and puts it where it belongs, on the disk. */
  readonly end: () => Promise<void>
  /** Removes the archive, unless it has ended. */
  readonly abandon: () => Promise<void>
}

const isMissing = (cause: unknown) => cause instanceof Error && "code" in cause && cause.code === "ENOENT"

const chunkBytes = 1024 * 1024

/** Begins a compressed archive that only its owner can read. It has another name until it has ended. */
export const writeArchive = (path: string): ArchiveWriter => {
  const draft = `${path}.${process.pid}.partial`
  const { controller, readable } = createTarPacker()
  const written = pipeline(
    Readable.fromWeb(readable),
    createGzip({ level: 1 }),
    createWriteStream(draft, { flags: "wx", mode: 0o600, flush: true })
  )
  // Whoever adds to the archive or ends it gets the failure.
  written.catch(() => {})

  const entry = async (name: string, size: number, chunks: AsyncIterable<Uint8Array>) => {
    const writer = controller.add({ name, size, mode: 0o600 }).getWriter()
    let left = size
    for await (const chunk of chunks) {
      await writer.write(chunk.subarray(0, left))
      left -= Math.min(chunk.length, left)
    }
    for (; left > 0; left -= Math.min(left, chunkBytes)) await writer.write(new Uint8Array(Math.min(left, chunkBytes)))
    await writer.close()
  }

  const file = async (name: string, path: string) => {
    const handle = await open(path).catch((cause: unknown) => {
      if (isMissing(cause)) return undefined
      throw cause
    })
    if (handle === undefined) return
    try {
      const { size } = await handle.stat()
      const end = Math.max(0, size - 1)
      await entry(name, size, handle.createReadStream({ autoClose: false, end, highWaterMark: chunkBytes }))
    } finally {
      await handle.close()
    }
  }

  const directory: ArchiveWriter["directory"] = async (name, path, wanted) => {
    await controller.add({ name: `${name}/`, type: "directory", size: 0, mode: 0o700 }).close()
    for (const child of await readdir(path, { withFileTypes: true })) {
      const childName = `${name}/${child.name}`
      if (!wanted(childName)) continue
      if (child.isDirectory()) await directory(childName, join(path, child.name), wanted)
      else if (child.isFile()) await file(childName, join(path, child.name))
    }
  }

  return {
    text: (name, content) => {
      const bytes = new TextEncoder().encode(content)
      return entry(name, bytes.length, Readable.from([bytes]))
    },
    file,
    directory,
    end: async () => {
      controller.finalize()
      await written
      await rename(draft, path)
      // The new name must survive a loss of power as well.
      const directory = await open(dirname(path))
      await directory.sync()
      await directory.close()
    },
    abandon: async () => {
      controller.error(new Error("the archive was abandoned"))
      await written.catch(() => {})
      await rm(draft, { force: true })
    }
  }
}

/**
 * Unpacks an archive into an existing directory. Rejects when the archive is damaged, ends early, or names a path
 * outside.
 */
export const readArchive = (path: string, directory: string) =>
  pipeline(
    createReadStream(path, { highWaterMark: chunkBytes }),
    createGunzip(),
    unpackTar(directory, { fmode: 0o600, dmode: 0o700, strict: true })
  )
