import { createHash } from "node:crypto"
import { readdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { promisify } from "node:util"
import { brotliCompress, gzip } from "node:zlib"
import { getConfig } from "@lingui/conf"
import { lingui } from "@lingui/vite-plugin"
import babel from "@rolldown/plugin-babel"
import { defineConfig, type Plugin } from "vite"

/** Writes each file of the build compressed next to it, so that the service compresses nothing. */
const precompressed = (): Plugin => {
  let folder = ""
  return {
    name: "precompressed",
    configResolved: ({ build }) => {
      folder = build.outDir
    },
    writeBundle: async () => {
      const names = await readdir(folder, { recursive: true })
      for (const name of names.filter((name) => /\.(css|html|js|json|svg|webmanifest)$/.test(name))) {
        const body = await readFile(join(folder, name))
        await writeFile(join(folder, `${name}.br`), await promisify(brotliCompress)(body))
        await writeFile(join(folder, `${name}.gz`), await promisify(gzip)(body, { level: 9 }))
      }
    }
  }
}

/**
 * Adds what makes the page an app that opens without a network: the manifest, and the service worker, which learns the
 * files of the build.
 */
const installable = (): Plugin => ({
  name: "installable",
  apply: "build",
  buildStart() {
    const id = join(import.meta.dirname, "worker/service-worker.ts")
    this.emitFile({ type: "chunk", id, fileName: "service-worker.js" })
  },
  // Last, because Vite removes an entry that has nothing but imports.
  generateBundle: {
    order: "post",
    handler(_, bundle) {
      const files = Object.keys(bundle)
        .filter((name) => name.startsWith("assets/"))
        .map((name) => `/${name}`)
        .sort()
      const version = createHash("sha256").update(files.join()).digest("hex").slice(0, 12)
      const worker = bundle["service-worker.js"]
      if (worker?.type === "chunk") worker.code = `const build=${JSON.stringify({ version, files })};${worker.code}`
      const icon = (ending: string) => files.find((name) => name.startsWith("/assets/icon") && name.endsWith(ending))
      const manifest = {
        id: "/",
        name: "Chat",
        short_name: "Chat",
        start_url: "/",
        display: "standalone",
        background_color: "#f5f5f8",
        theme_color: "#4f46e5",
        icons: [
          { src: icon(".svg"), sizes: "any", type: "image/svg+xml" },
          { src: icon(".png"), sizes: "512x512", type: "image/png" }
        ]
      }
      this.emitFile({ type: "asset", fileName: "manifest.webmanifest", source: JSON.stringify(manifest) })
    }
  }
})

const linguiConfig = getConfig({ cwd: import.meta.dirname })

/** Builds the chat page into `web/dist`. The strict policy of the service allows no inline scripts and styles. */
export default defineConfig({
  root: import.meta.dirname,
  plugins: [
    lingui({ cwd: import.meta.dirname, failOnMissing: true }),
    // The plugin can do this itself, but only with a program that older versions of npm and Node leave out.
    babel({ include: /[tT]ext\.ts$/, plugins: [["@lingui/babel-plugin-lingui-macro", { linguiConfig }]] }),
    installable(),
    precompressed()
  ],
  build: {
    outDir: join(import.meta.dirname, "dist"),
    emptyOutDir: true,
    target: "es2024",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    rolldownOptions: {
      input: ["index.html", "embed.html"].map((name) => join(import.meta.dirname, name)),
      output: {
        // Each further file costs its headers, and compresses worse. So the page begins with two: the client, which the
        // widget of `embed.html` needs too, and the rest.
        codeSplitting: {
          groups: [
            { name: "client", tags: ["$initial"], test: /\/(effect|src\/(client|domain|operations))\/(?!React)/ },
            { name: "index", tags: ["$initial"], test: (id) => !/\/web\/(worker|embed|src\/embed)|widget\.ts/.test(id) }
          ]
        }
      }
    },
    reportCompressedSize: false
  },
  server: { proxy: { "/v1": { target: "http://localhost:8080", ws: true } } }
})
