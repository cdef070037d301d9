import { Layer } from "effect"
import * as LogSql from "./LogSql.ts"
import { StreamPositions } from "./StreamPositions.ts"

/** The log of conversations, and the positions that streams of events have reached in it, on PostgreSQL. */
export const layer = Layer.merge(LogSql.layer, StreamPositions.layer)
