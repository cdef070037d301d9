import { execFile } from "node:child_process"
import { existsSync } from "node:fs"
import { readdir, rename, rm, stat } from "node:fs/promises"
import { constants, setPriority } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Data, Effect } from "effect"

const root = fileURLToPath(new URL("../../..", import.meta.url))
const vite = join(root, "node_modules/vite/bin/vite.js")

/** Where the page of this release is built. */
export const builtFolder = join(root, "web/dist")

/** What the page is made of. */
const sources = ["web", "examples/browser", "src/client", "src/domain", "src/operations", "package-lock.json"].map(
  (name) => join(root, name)
)

/** Whether the page can be built here: the image has neither its sources nor the tools. */
export const canBuild = (): boolean => existsSync(vite) && existsSync(join(root, "web/vite.config.ts"))

const timeOf = (path: string) =>
  stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0
  )

/** The time of the last change below a path, in milliseconds; that of a folder is the last one of its files. */
const changedAt = async (path: string): Promise<number> => {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => undefined)
  if (entries === undefined) return timeOf(path)
  const times = entries
    .filter(({ name }) => !name.startsWith("dist"))
    .map((entry) => (entry.isDirectory() ? changedAt(join(path, entry.name)) : timeOf(join(path, entry.name))))
  return Math.max(0, ...(await Promise.all(times)))
}

/** Whether a source has changed since the page was built, or it was never built. */
export const isStale = async (): Promise<boolean> =>
  Math.max(...(await Promise.all(sources.map(changedAt)))) > (await timeOf(join(builtFolder, "index.html")))

/** The build tool has failed; `message` is the last line that it wrote. */
class BuildFailed extends Data.TaggedError("BuildFailed")<{ readonly message: string }> {}

/**
 * Builds the page with the lowest priority, in a process of its own that ends with the effect. The old build stays until
 * the new one is complete.
 */
export const buildPage: Effect.Effect<void, BuildFailed> = Effect.gen(function* () {
  const target = `${builtFolder}-${process.pid}`
  yield* Effect.callback<void, BuildFailed>((resume) => {
    const args = [vite, "build", join(root, "web"), "--outDir", target, "--logLevel", "error"]
    const child = execFile(
      process.execPath,
      args,
      { cwd: root, env: { NODE_ENV: "production" } },
      (error, _stdout, stderr) =>
        resume(
          error === null
            ? Effect.void
            : Effect.fail(new BuildFailed({ message: stderr.trim().split("\n").at(-1) || error.message }))
        )
    )
    if (child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_LOW)
    return Effect.sync(() => child.kill())
  })
  yield* Effect.tryPromise({
    try: async () => {
      await rm(builtFolder, { recursive: true, force: true })
      await rename(target, builtFolder)
    },
    catch: (cause) => new BuildFailed({ message: String(cause) })
  })
}).pipe(Effect.ensuring(Effect.promise(() => rm(`${builtFolder}-${process.pid}`, { recursive: true, force: true }))))
