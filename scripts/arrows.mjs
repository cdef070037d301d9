// Checks which folders of src may import which others, and that no imports form a circle.
// Run by `npm run check`. The most specific folder of the table that holds a file decides for it.
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import { fileURLToPath } from "node:url"

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..")

// The contexts of `services` form a staircase: each one knows those that stand before it. `files` stands beside `log`.
const services = (...contexts) => contexts.map((context) => `services/${context}`)
const untilFiles = services("platform", "bus", "identity", "log", "files")
const everyContext = [...untilFiles, ...services("conversations", "messages", "presence", "admin")]

const allowed = {
  domain: [],
  "services/platform": ["domain"],
  "services/bus": ["domain", ...services("platform")],
  "services/identity": ["domain", ...services("platform", "bus")],
  "services/log": ["domain", ...services("platform", "bus", "identity")],
  "services/files": ["domain", ...services("platform", "bus")],
  "services/conversations": ["domain", ...untilFiles],
  "services/messages": ["domain", ...untilFiles, "services/conversations"],
  "services/presence": ["domain", ...untilFiles, "services/conversations"],
  "services/admin": ["domain", ...untilFiles, ...services("conversations", "messages")],
  layers: ["domain", ...services("platform", "bus", "files", "presence")],
  realtime: ["domain", ...everyContext],
  operations: [
    "domain",
    ...services("platform", "identity", "files", "conversations", "messages", "presence", "admin")
  ],
  rpc: ["domain", ...services("platform", "identity", "admin"), "operations", "realtime", "http/edge"],
  ws: ["domain", ...services("platform", "bus", "identity", "messages", "presence", "admin"), "operations", "realtime"],
  "http/edge": ["domain", ...services("platform", "identity", "admin"), "operations"],
  "http/files": ["domain", ...untilFiles, "services/conversations", "operations", "http/edge"],
  "http/documents": ["domain", "operations", "http/edge"],
  "http/server": ["domain", ...services("platform"), "operations", "ws", "http"],
  "http/web": ["domain", ...services("platform", "files"), "http/edge", "http/documents"],
  http: ["domain", ...services("platform", "identity", "admin"), "operations", "realtime"],
  operator: ["domain", ...services("platform", "admin")],
  client: ["domain", "operations"],
  cli: ["domain", "client"],
  testing: ["domain", ...everyContext, "operations", "realtime", "rpc", "ws", "http", "testing/memory"],
  "testing/memory": ["domain", ...everyContext]
}

/** The files at the root of src compose everything; they may import any room but `testing`. */
const edge = ["App.ts", "main.ts", "ServiceCommand.ts", "Version.ts"]

const filesBelow = (folder) =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    return entry.isDirectory() ? filesBelow(path) : /\.tsx?$/.test(entry.name) ? [path] : []
  })

const importsOf = (file) =>
  [...readFileSync(file, "utf8").matchAll(/(?:\bfrom|\bimport\(?)\s*"(\.\.?\/[^"]+)"/g)]
    .map(([, specifier]) => resolve(dirname(file), specifier))
    .filter((path) => /\.tsx?$/.test(path) && existsSync(path))

const roomOf = (path) =>
  Object.keys(allowed)
    .filter((room) => path.startsWith(`${room}/`))
    .sort((one, other) => other.length - one.length)[0]

const problems = []

for (const file of filesBelow(join(root, "src"))) {
  const from = relative(join(root, "src"), file)
  const room = roomOf(from)
  if (room === undefined && !edge.includes(from)) problems.push(`src/${from} stands in no folder of the table`)
  for (const imported of importsOf(file)) {
    const to = relative(join(root, "src"), imported)
    if (to.startsWith("..")) {
      problems.push(`src/${from} imports ${relative(root, imported)}, which is no source`)
      continue
    }
    const target = roomOf(to)
    const fine =
      room === undefined
        ? target !== "testing" && target !== "testing/memory"
        : to === "Version.ts" ||
          target === room ||
          (allowed[room].some((other) => target === other || target?.startsWith(`${other}/`)) && target !== undefined)
    if (!fine) problems.push(`src/${from} imports src/${to}: ${room ?? "the edge"} may not know ${target ?? to}`)
  }
}

// The chat page and the widget, which it shows, are apps like any other: they know the client by its public names alone.
for (const file of ["web/src", "examples/browser"].flatMap((folder) => filesBelow(join(root, folder)))) {
  const from = relative(root, file)
  for (const imported of importsOf(file))
    if (!/^(web|examples\/browser)\//.test(relative(root, imported)))
      problems.push(`${from} imports ${relative(root, imported)}`)
  for (const [, name] of readFileSync(file, "utf8").matchAll(/from "(chat-service[^"]*)"/g))
    if (name !== "chat-service/client" && name !== "chat-service/client/react") problems.push(`${from} imports ${name}`)
}

// Tarjan's algorithm: a strongly connected component of more than one file is a circle.
for (const folder of ["src", "bench", "test", "examples", "scripts", "web/src"]) {
  const graph = new Map(filesBelow(join(root, folder)).map((file) => [file, importsOf(file)]))
  const index = new Map()
  const low = new Map()
  const stack = []
  const visit = (file) => {
    index.set(file, index.size)
    low.set(file, index.get(file))
    stack.push(file)
    for (const next of graph.get(file) ?? []) {
      if (!graph.has(next)) continue
      if (!index.has(next)) visit(next)
      if (stack.includes(next)) low.set(file, Math.min(low.get(file), low.get(next)))
    }
    if (low.get(file) !== index.get(file)) return
    const circle = stack.splice(stack.indexOf(file))
    if (circle.length > 1 || (graph.get(file) ?? []).includes(file)) {
      problems.push(`a circle of imports: ${circle.map((path) => relative(root, path)).join(", ")}`)
    }
  }
  for (const file of graph.keys()) if (!index.has(file)) visit(file)
}

for (const problem of problems) process.stderr.write(`${problem}\n`)
if (problems.length > 0) process.exit(1)
