#!/usr/bin/env node
// The command chat-service. An older Node would end it with a SyntaxError, because it lacks what the service imports.
import crypto from "node:crypto"

if (crypto.randomUUIDv7 === undefined) {
  process.stderr.write(`chat-service: Node 24.16 or later is required, and this is ${process.version}\n`)
  process.exit(1)
}
await import("./dist/main.js")
