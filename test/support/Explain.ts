import { Effect, Schema } from "effect"
import { SqlClient, Statement } from "effect/sql"
import { Client } from "pg"
import { addressesOf } from "../../src/layers/postgres/PostgresConfig.ts"
import { TestDatabase } from "./Database.ts"

/** A node of a plan, as EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) writes it. */
interface Plan {
  readonly "Node Type": string
  readonly "Actual Rows": number
  readonly "Actual Loops": number
  readonly "Rows Removed by Filter"?: number
  readonly "Rows Removed by Index Recheck"?: number
  readonly "Relation Name"?: string
  readonly "Index Name"?: string
  readonly "Shared Hit Blocks": number
  readonly "Shared Read Blocks": number
  readonly Plans?: ReadonlyArray<Plan>
}

const Plan = Schema.Struct({
  "Node Type": Schema.String,
  "Actual Rows": Schema.Number,
  "Actual Loops": Schema.Number,
  "Rows Removed by Filter": Schema.optionalKey(Schema.Number),
  "Rows Removed by Index Recheck": Schema.optionalKey(Schema.Number),
  "Relation Name": Schema.optionalKey(Schema.String),
  "Index Name": Schema.optionalKey(Schema.String),
  "Shared Hit Blocks": Schema.Number,
  "Shared Read Blocks": Schema.Number,
  Plans: Schema.optionalKey(Schema.Array(Schema.suspend((): Schema.Codec<Plan> => Plan)))
})

const Explained = Schema.fromJsonString(Schema.Struct({ "Query Text": Schema.String, Plan }))
const decodeExplained = Schema.decodeUnknownSync(Explained)

/** The work of a statement: the rows of tables that its scans visit, and the buffers that it touches. */
interface Work {
  readonly rows: number
  readonly buffers: number
  /** The scans, for the message of a failure. */
  readonly scans: string
}

interface Scan {
  /** All visited rows, whether or not they pass the filters. */
  readonly rows: number
  readonly text: string
}

/** The scans of tables in a plan. */
const scansOf = (plan: Plan): ReadonlyArray<Scan> => {
  const inner = (plan.Plans ?? []).flatMap(scansOf)
  const { "Index Name": index, "Node Type": type, "Relation Name": relation } = plan
  if (relation === undefined || !type.endsWith("Scan")) return inner
  const each =
    plan["Actual Rows"] + (plan["Rows Removed by Filter"] ?? 0) + (plan["Rows Removed by Index Recheck"] ?? 0)
  const rows = Math.round(each * plan["Actual Loops"])
  const buffers = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
  return [...inner, { rows, text: `${type} on ${index ?? relation}: ${rows} rows, ${buffers} buffers` }]
}

const undone = Symbol("undone")

/** The statements that an effect sends from its own fiber, with their parameters. Their changes are rolled back. */
const recorded = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => {
    const statements: Array<readonly [sql: string, params: ReadonlyArray<unknown>]> = []
    return effect.pipe(
      Effect.andThen(Effect.fail(undone)),
      sql.withTransaction,
      Effect.catchIf(
        (error) => error === undone,
        () => Effect.void
      ),
      Effect.provideService(Statement.CurrentTransformer, (statement) =>
        Effect.sync(() => {
          statements.push(statement.compile())
          return statement
        })
      ),
      Effect.as(statements)
    )
  })

const session = `LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_analyze = on;
  SET auto_explain.log_buffers = on; SET auto_explain.log_timing = off; SET auto_explain.log_nested_statements = on;
  SET auto_explain.log_format = json; SET auto_explain.log_level = notice; SET client_min_messages = notice`

/** Opens a session on the test's database, which measures the work of a statement and rolls it back. */
export const makeSession = Effect.gen(function* () {
  const target = yield* TestDatabase
  const { database, username } = target
  const [{ host, port }] = addressesOf(target)
  const client = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const made = new Client({ host, port, database, user: username })
      await made.connect()
      await made.query(session)
      return made
    }),
    (made) => Effect.promise(() => made.end())
  )
  let notices: Array<string> = []
  client.on("notice", ({ message }) => {
    if (message?.includes("plan:") === true) notices.push(message.slice(message.indexOf("plan:") + 5))
  })
  const names = new Map<string, string>()

  /** Runs a statement, prepared once for its text and mode, and rolls it back. A generic plan is kept. */
  const work = async (text: string, values: ReadonlyArray<unknown>, mode: "generic" | "custom"): Promise<Work> => {
    const name = names.get(mode + text) ?? `explained${names.size}`
    names.set(mode + text, name)
    await client.query(`BEGIN; SET LOCAL plan_cache_mode = force_${mode}_plan`)
    notices = []
    await client.query({ name, text, values: [...values] })
    await client.query("ROLLBACK")
    const plans = notices.map((notice) => decodeExplained(notice))
    const outer = plans.find((plan) => plan["Query Text"] === text)?.Plan
    if (outer === undefined) throw new Error(`no plan of ${text}`)
    const scans = plans.flatMap(({ Plan: plan }) => scansOf(plan))
    return {
      rows: scans.reduce((sum, scan) => sum + scan.rows, 0),
      // The buffers of the statements in its functions are included.
      buffers: outer["Shared Hit Blocks"] + outer["Shared Read Blocks"],
      scans: scans.flatMap(({ rows, text }) => (rows > 0 ? [text] : [])).join("\n")
    }
  }

  return { work }
})

/**
 * Makes a function that measures the statements of an effect: it runs the effect once to learn them, then each of them
 * as a prepared statement with a generic plan and with a custom one, and rolls back the changes. The work is the sum
 * over the statements, each with the more expensive plan; statements inside of functions are included. PostgreSQL
 * loads catalogs when a session runs a statement for the first time, so the second run counts.
 */
export const makeExplain = Effect.map(
  makeSession,
  ({ work }) =>
    <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.gen(function* () {
        const sum = { rows: 0, buffers: 0, scans: "" }
        const second = async (...call: Parameters<typeof work>) => {
          await work(...call)
          return work(...call)
        }
        for (const [text, values] of yield* recorded(effect)) {
          const custom = yield* Effect.promise(() => second(text, values, "custom"))
          const generic = yield* Effect.promise(() => second(text, values, "generic"))
          sum.rows += Math.max(custom.rows, generic.rows)
          sum.buffers += Math.max(custom.buffers, generic.buffers)
          sum.scans += `custom plan:\n${custom.scans}\ngeneric plan:\n${generic.scans}\n`
        }
        return sum
      })
)
