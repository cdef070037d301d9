/**
 * Raises the number of the set of SQL functions when one of its files has changed, and writes it to
 * migrations/functions/set.json with their hash. With --check it only fails when that is still to be done.
 */
import { writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect } from "effect"
import { readSchemaFiles } from "../src/layers/postgres/SchemaFiles.ts"

const directory = new URL("../migrations/", import.meta.url)
const { functions } = await Effect.runPromise(
  Effect.provide(readSchemaFiles(fileURLToPath(directory)), NodeServices.layer)
)
if (functions.hash !== functions.declaredHash) {
  if (process.argv.includes("--check")) {
    process.stderr.write("The SQL functions have changed, and the number of their set has not: npm run functions\n")
    process.exit(1)
  }
  const set = `{ "number": ${functions.number + 1}, "hash": "${functions.hash}" }\n`
  writeFileSync(new URL("functions/set.json", directory), set)
}
