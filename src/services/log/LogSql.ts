import { Effect, Layer } from "effect"
import * as ChangeFeedSql from "./ChangeFeedSql.ts"
import { Log } from "./Log.ts"
import { makeLogReader } from "./LogReader.ts"
import { type LogOptions, makeLogWriter } from "./LogWriter.ts"

/** The log and its change feed on PostgreSQL, with the writer's sizes and times as given. */
export const layerWith = (options: LogOptions) =>
  Layer.effect(
    Log,
    Effect.gen(function* () {
      const reader = yield* makeLogReader
      const writer = yield* makeLogWriter(reader, options)
      return Log.of({ ...reader, ...writer })
    })
  ).pipe(Layer.provideMerge(ChangeFeedSql.layer))

/** The log and its change feed on PostgreSQL. */
export const layer = layerWith({})
