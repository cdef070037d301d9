/** Makes docs/client-api.md: everything that each entry of the client exports, with its docstring. */
import { readFileSync } from "node:fs"
import { dirname, join } from "node:path"

/** The entries of the client, and their files. */
export const clientEntries = {
  "chat-service/client": "src/client/Client.ts",
  "chat-service/client/react": "src/client/React.ts",
  "chat-service/client/effect": "src/client/Effect.ts",
  "chat-service/client/rpc": "src/client/Rpc.ts",
  "chat-service/client/testing": "src/client/testing/TestServer.ts"
}

interface Export {
  readonly name: string
  /** The file that declares it. */
  readonly file: string
}

/** What a file exports: what it passes on from others, and what it declares. */
export const exportsOf = (file: string): ReadonlyArray<Export> => {
  const text = readFileSync(file, "utf8")
  const passedOn = [...text.matchAll(/^export (?:type )?\{([^}]*)\} from "(\.[^"]*)"/gm)].flatMap(
    ([, names = "", from = ""]) =>
      names
        .split(",")
        .map((name) => name.trim().replace(/^type /, ""))
        .filter((name) => name !== "")
        .map((name) => ({ name, file: join(dirname(file), from) }))
  )
  const declared = [...text.matchAll(/^export (?:class|const|interface|type|function) (\w+)/gm)]
  return [...passedOn, ...declared.map(([, name = ""]) => ({ name, file }))]
}

/** The words of a docstring. */
const wordsOf = (comment: string) =>
  comment
    .replace(/^\s*\/\*\*|\*\/\s*$/g, "")
    .replace(/^\s*\* ?/gm, "")
    .replace(/\s+/g, " ")
    .trim()

/** Where `pattern` first matches outside of all brackets; the length of the code if nowhere. */
const outside = (code: string, pattern: RegExp) => {
  let depth = 0
  for (let at = 0; at < code.length; at++) {
    const rest = code.slice(at)
    if (depth === 0 && pattern.test(rest)) return at
    if (rest.startsWith("=>")) at++
    else if ("([{<".includes(rest.charAt(0))) depth++
    else if (")]}>".includes(rest.charAt(0))) depth--
  }
  return code.length
}

/** A longer alias stands with its name alone. */
const longestAlias = 100

const oneLine = (code: string) =>
  code
    .replace(/\s+/g, " ")
    .replaceAll("( ", "(")
    .replaceAll(" )", ")")
    .replace(/^(static )?(?:readonly |async \*?)/, "$1")
    .trim()

/**
 * What a caller must know of a declaration: its type, or its parameters and result. `code` begins with the name, or with
 * modifiers of it.
 */
const signatureOf = (code: string) => {
  const effect = /^(\w+) = Effect\.fn(?:Untraced)?\((?:"[^"]*"\)\()?function\* ?(\([\s\S]*?\)) \{/.exec(code)
  if (effect !== null) return oneLine(`${effect[1]}${effect[2]}`)
  const head = code.slice(0, outside(code, /^(?: = | =\n| \{\n|\n)/))
  const value = code.slice(head.length).replace(/^ =\s+/, "")
  const isFunction = /^[(<]/.test(value) && !head.includes(":")
  return oneLine(isFunction ? head + value.slice(0, outside(value, /^ =>/)) : head)
}

const member =
  /^( {2,4})(?:(\/\*\*(?:(?!\*\/)[\s\S])*\*\/)\n\1(?!private|constructor)(?=\S)|(?=(?:static )?readonly ))/gm

/** The members of a class, an interface or a service. */
const membersOf = (body: string) =>
  Array.from(body.matchAll(member), ({ 0: { length }, 2: comment = "", index }) => ({
    signature: signatureOf(body.slice(index + length)),
    words: wordsOf(comment)
  }))
    // Such a member only forbids what belongs to another option.
    .filter(({ signature }) => !signature.endsWith("?: undefined"))

/** The code of a declaration until the next one, from `found` on. */
const blockAt = (text: string, found: number) => {
  const code = text.slice(found)
  const end = code.search(/\n(?=\S)(?![})>])/)
  return code.slice(0, end === -1 ? undefined : end)
}

/** What an entry exports, with its docstring and, unless it is a function, its members. */
export const describeExport = ({ file, name }: Export) => {
  const text = readFileSync(file, "utf8")
  const pattern = `(?:(/\\*\\*(?:(?!\\*/)[\\s\\S])*\\*/)\\n)?export (class|const|interface|type|function) (?=${name}\\b)`
  const found = new RegExp(pattern).exec(text)
  if (found === null) throw new Error(`${file} does not declare ${name}`)
  const [whole, comment = "", kind] = found
  const block = blockAt(text, found.index + whole.length)
  // An alias may name interfaces that only its file knows.
  const parts = [...text.matchAll(/^interface (\w+)/gm)]
    .filter(([, part = ""]) => kind === "type" && new RegExp(`\\b${part}\\b`).test(block))
    .map(({ index }) => blockAt(text, index))
  const isCalled = kind === "const" || kind === "function"
  const alias = oneLine(block)
  const extended = kind === "interface" ? /^\w+ (extends (?!Plain\b)[\s\S]*?) \{/.exec(block)?.[1] : undefined
  return {
    name,
    title: isCalled
      ? signatureOf(block)
      : kind === "type" && parts.length === 0 && alias.length < longestAlias
        ? alias
        : oneLine([name, extended ?? ""].join(" ")),
    words: wordsOf(comment),
    members: isCalled ? [] : [block, ...parts].flatMap(membersOf)
  }
}

const cell = (text: string) => text.replaceAll("|", "\\|")
const row = (code: string, words: string) => `| \`${cell(code)}\` | ${cell(words)} |`
const table = (rows: ReadonlyArray<string>) => (rows.length === 0 ? [] : ["", "| | |", "| --- | --- |", ...rows])

const section = (entry: string, file: string) => {
  const all = exportsOf(file).map(describeExport)
  return [
    "",
    `## \`${entry}\``,
    ...table(all.filter(({ members }) => members.length === 0).map(({ title, words }) => row(title, words))),
    ...all
      .filter(({ members }) => members.length > 0)
      .flatMap(({ members, title, words }) => [
        "",
        `### \`${title}\``,
        "",
        words,
        ...table(members.map(({ signature, words }) => row(signature, words)))
      ])
  ]
}

/** The text of docs/client-api.md. */
export const clientReference = (): string =>
  [
    "# The client: reference",
    "",
    "`npm run documents` makes this page of the docstrings of the client, whose manual is [client.md](client.md). The fields of",
    "messages, conversations, users and other models are in [openapi.json](openapi.json), and the operations for `ask` in",
    "[asyncapi.json](asyncapi.json).",
    ...Object.entries(clientEntries).flatMap(([entry, file]) => section(entry, file)),
    ""
  ].join("\n")
