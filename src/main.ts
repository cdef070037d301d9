#!/usr/bin/env node
import { enableCompileCache } from "node:module"
import { fileURLToPath } from "node:url"

// Keeps what V8 compiles, and the sources without types, so that the next start is quicker. It only covers what is loaded after
// it. It lies beside the packages, because whoever can write there can change the program anyway.
enableCompileCache(fileURLToPath(new URL("../node_modules/.cache/chat-service", import.meta.url)))
await import("./ServiceCommand.ts")
