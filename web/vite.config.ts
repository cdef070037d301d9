import { readdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { promisify } from "node:util"
import { brotliCompress, gzip } from "node:zlib"
import { defineConfig, type Plugin } from "vite"

/** Writes each file of the build compressed next to it, so that the service compresses nothing. */
const precompressed = (): Plugin => {
  let folder = ""
  return {
    name: "precompressed",
    configResolved: ({ build }) => {
      folder = build.outDir
    },
    closeBundle: async () => {
      const names = await readdir(folder, { recursive: true })
      for (const name of names.filter((name) => /\.(css|html|js|json|svg|webmanifest)$/.test(name))) {
        const body = await readFile(join(folder, name))
        await writeFile(join(folder, `${name}.br`), await promisify(brotliCompress)(body))
        await writeFile(join(folder, `${name}.gz`), await promisify(gzip)(body, { level: 9 }))
      }
    }
  }
}

/** Builds the chat page into `web/dist`. The strict policy of the service allows no inline scripts and styles. */
export default defineConfig({
  root: import.meta.dirname,
  plugins: [precompressed()],
  build: {
    outDir: join(import.meta.dirname, "dist"),
    emptyOutDir: true,
    target: "es2024",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false
  },
  server: { proxy: { "/v1": { target: "http://localhost:8080", ws: true } } }
})
