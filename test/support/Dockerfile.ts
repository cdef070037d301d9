import { execFileSync } from "node:child_process"
import { cpSync, linkSync, mkdirSync, readFileSync, statSync } from "node:fs"
import { dirname, join } from "node:path"
import { Schema } from "effect"
import { root } from "./Compose.ts"

/** What the image runs, and with what; paths begin with `directory` instead of `/`. */
interface Image {
  readonly directory: string
  readonly workdir: string
  readonly user: string
  readonly environment: Readonly<Record<string, string>>
  readonly entrypoint: ReadonlyArray<string>
  readonly healthcheck: ReadonlyArray<string>
  /** The base image of each stage. */
  readonly bases: ReadonlyArray<string>
}

const decodeWords = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Array(Schema.String)))
const decodeLock = Schema.decodeUnknownSync(
  Schema.fromJsonString(
    Schema.Struct({
      packages: Schema.Record(Schema.String, Schema.Struct({ dev: Schema.optionalKey(Schema.Boolean) }))
    })
  )
)

const isThere = (path: string) => statSync(path, { throwIfNoEntry: false }) !== undefined

/** Links files like `cp -al`: only the tree of directories is copied. */
const link = (from: string, to: string) => {
  mkdirSync(dirname(to), { recursive: true })
  execFileSync("cp", ["-al", from, to])
}

/**
 * Links the packages that `npm ci`, perhaps with `--omit=dev`, would install from the installed ones; the lockfile says
 * which those are.
 */
const install = (directory: string, production: boolean) => {
  const { packages } = decodeLock(readFileSync(join(directory, "package-lock.json"), "utf8"))
  // Packages inside another package come with it.
  const own = Object.entries(packages).filter(([path]) => path.lastIndexOf("node_modules/") === 0)
  for (const [path, { dev = false }] of own)
    if (!(dev && production) && isThere(join(root, path))) link(join(root, path), join(directory, path))
}

const npm = /^npm ci( --omit=dev)? --ignore-scripts --no-audit --no-fund$/

/** The patterns of `.dockerignore`, which lets only the files through that it names with `!`. */
const context = readFileSync(join(root, ".dockerignore"), "utf8").trim().split("\n")
if (context[0] !== "*") throw new Error(".dockerignore must leave out all that it does not name")

/** Carries out the `Dockerfile` without an engine, each stage in a directory of its own, and returns the last one. */
export const buildImage = (directory: string): Image => {
  const text = readFileSync(join(root, "Dockerfile"), "utf8")
  const stages = new Map<string, string>()
  const bases: Array<string> = []
  let image: Image | undefined
  let [stage, workdir, user] = ["", "/", "root"]
  let environment: Record<string, string> = {}
  const at = (path: string) => join(stage, path.startsWith("/") ? path : join(workdir, path))

  const lines = text
    .replaceAll(/^\s*#.*\n/gm, "")
    .replaceAll(/\\\n\s*/g, " ")
    .split("\n")
    .filter((line) => line.trim() !== "")
  for (const line of lines) {
    const [, instruction = "", rest = ""] = /^(\w+)\s+(.*)$/.exec(line) ?? []
    const words = rest.split(/\s+/)
    switch (instruction) {
      case "FROM": {
        const [base = "", , name = "image"] = words
        bases.push(base)
        stage = join(directory, name)
        stages.set(name, stage)
        workdir = "/"
        user = "root"
        environment = {}
        break
      }
      case "WORKDIR":
        workdir = rest
        mkdirSync(at("."), { recursive: true })
        break
      case "ENV":
        for (const word of words) {
          const [key = "", value = ""] = word.split("=")
          environment[key] = value
        }
        break
      case "COPY": {
        const from = /^--from=(\w+)$/.exec(words[0] ?? "")?.[1]
        const sources = from === undefined ? words.slice(0, -1) : words.slice(1, -1)
        const target = words.at(-1) ?? ""
        for (const source of sources) {
          if (from === undefined && !context.includes(`!${source}`)) throw new Error(`.dockerignore hides ${source}`)
          const path = join(from === undefined ? root : (stages.get(from) ?? ""), source)
          const to = target.endsWith("/") ? join(at(target), source) : at(target)
          if (from === undefined) cpSync(path, to, { recursive: true })
          else link(path, to)
        }
        break
      }
      case "RUN":
        if (npm.test(rest)) install(at("."), rest.includes("--omit=dev"))
        else execFileSync("sh", ["-c", rest], { cwd: at(".") })
        break
      case "USER":
        user = rest
        break
      case "HEALTHCHECK":
        image = { ...imageOf(), healthcheck: decodeWords(rest.slice(rest.indexOf("[")).replace(/^CMD\s+/, "")) }
        break
      case "ENTRYPOINT":
        image = { ...imageOf(), entrypoint: decodeWords(rest) }
        break
      case "LABEL":
      case "EXPOSE":
        break
      default:
        throw new Error(`no idea what ${instruction} does`)
    }
  }

  function imageOf(): Image {
    return { ...(image ?? { entrypoint: [], healthcheck: [] }), directory: stage, workdir, user, environment, bases }
  }
  return imageOf()
}

/** A copy of this Node that any user can run, inside the directory. */
export const nodeFor = (directory: string): string => {
  const node = join(directory, "node")
  try {
    linkSync(process.execPath, node)
  } catch {
    cpSync(process.execPath, node, { dereference: true })
  }
  return node
}
