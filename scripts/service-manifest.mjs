// Prints the package.json of packages/service, made from that of the repository. Run by scripts/pack-service.sh.
import { readFileSync } from "node:fs"

const { bin, dependencies, description, engines, exports, license, optionalDependencies, type, version } = JSON.parse(
  readFileSync("package.json", "utf8")
)
const { react } = JSON.parse(readFileSync("packages/client/package.json", "utf8")).peerDependencies

const compiled = (source, extension = "js") => source.replace("./src/", "./dist/").replace(/ts$/, extension)
const mapped = (entries, change) =>
  Object.fromEntries(Object.entries(entries).map(([key, value]) => [key, change(value)]))

const manifest = {
  name: "@chat-service/service",
  version,
  description,
  license,
  type,
  engines,
  exports: {
    ...mapped(exports, (source) => ({ types: compiled(source, "d.ts"), default: compiled(source) })),
    "./package.json": "./package.json"
  },
  bin: { ...mapped(bin, (source) => compiled(source)), "chat-service": "./chat-service.js" },
  files: ["chat-service.js", "dist", "migrations", "web"],
  dependencies,
  // An app has its own Node, which a package must not replace.
  optionalDependencies: Object.fromEntries(
    Object.entries(optionalDependencies).filter(([name]) => !name.startsWith("node-"))
  ),
  peerDependencies: { react },
  peerDependenciesMeta: { react: { optional: true } }
}
process.stdout.write(`${JSON.stringify(manifest, undefined, 2)}\n`)
