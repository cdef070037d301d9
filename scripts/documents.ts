/** Writes what the service says about itself to docs/, so that a diff shows every change of what clients rely on. */
import { readFileSync, writeFileSync } from "node:fs"
import { asyncApiDocument, openApiDocument } from "../src/http/documents/Docs.ts"
import { withRealtimeTables } from "../src/http/documents/RealtimeTables.ts"
import { capacityPlots } from "./capacityPlots.ts"
import { clientReference } from "./clientReference.ts"

for (const [name, document] of Object.entries({ openapi: openApiDocument(), asyncapi: asyncApiDocument() }))
  writeFileSync(new URL(`../docs/${name}.json`, import.meta.url), `${JSON.stringify(document, null, 1)}\n`)

const realtime = new URL("../docs/realtime.md", import.meta.url)
writeFileSync(realtime, withRealtimeTables(readFileSync(realtime, "utf8")))

writeFileSync(new URL("../docs/client-api.md", import.meta.url), clientReference())

const capacity = readFileSync(new URL("../docs/capacity.md", import.meta.url), "utf8")
for (const [name, plot] of capacityPlots(capacity))
  writeFileSync(new URL(`../docs/pictures/${name}`, import.meta.url), plot)
