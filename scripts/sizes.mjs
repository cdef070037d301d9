// Checks that the files, functions and folders of src and of the chat page are small enough to be read. Run by `npm run check`.
import { readdirSync, readFileSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { parseAst } from "rolldown/parseAst"

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..")

const maxFileLines = 300
/** Classes may be longer, because an outline shows their methods. */
const maxFunctionLines = 80
const maxFiles = 22

/** Every file in these folders is named by the word of a feature, so that a long list is as easy to read as a short one. */
const unlimited = ["src/domain", "src/operations", "src/testing/memory"]

const problems = []

const linesOf = (text) => text.trimEnd().split("\n").length

/** Calls `onFunction` with every function, generator, arrow function and method below a node of the syntax tree. */
const walk = (node, onFunction) => {
  if (node === null || typeof node !== "object") return
  if (/Function/.test(node.type) && node.body) onFunction(node)
  for (const value of Object.values(node)) walk(value, onFunction)
}

const checkFile = (path) => {
  const name = relative(root, path)
  const text = readFileSync(path, "utf8")
  const lines = linesOf(text)
  if (lines > maxFileLines) problems.push(`${name} has ${lines} lines, more than ${maxFileLines}`)
  if (lines <= maxFunctionLines) return
  walk(parseAst(text, { lang: path.endsWith("x") ? "tsx" : "ts" }, path).body, ({ end, start }) => {
    const length = linesOf(text.slice(start, end))
    if (length <= maxFunctionLines) return
    const line = linesOf(`${text.slice(0, start)}x`)
    problems.push(`${name}:${line} begins a function of ${length} lines, more than ${maxFunctionLines}`)
  })
}

const checkFolder = (folder) => {
  const name = relative(root, folder)
  const entries = readdirSync(folder, { withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
  if (files.length > maxFiles && !unlimited.includes(name)) {
    problems.push(`${name} has ${files.length} files, more than ${maxFiles}`)
  }
  for (const file of files) checkFile(join(folder, file.name))
  for (const entry of entries) if (entry.isDirectory()) checkFolder(join(folder, entry.name))
}

for (const folder of ["src", "web/src"]) checkFolder(join(root, folder))
for (const problem of problems) process.stderr.write(`${problem}\n`)
if (problems.length > 0) process.exit(1)
