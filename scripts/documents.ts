/** Writes the documents as they are served to docs/, where a change of what clients rely on is seen in a diff. */
import { writeFileSync } from "node:fs"
import { asyncApiDocument, openApiDocument } from "../src/http/Docs.ts"

for (const [name, document] of Object.entries({ openapi: openApiDocument(), asyncapi: asyncApiDocument() }))
  writeFileSync(new URL(`../docs/${name}.json`, import.meta.url), `${JSON.stringify(document, null, 1)}\n`)
