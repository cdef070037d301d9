import { Schema } from "effect"
import { HttpApiSchema } from "effect/http-api"
import { Sent } from "../domain/Message.ts"

const sent = <Duplicate extends boolean>(duplicate: Duplicate, identifier: string) =>
  Schema.Struct({ ...Sent.fields, duplicate: Schema.Literal(duplicate) }).annotate({ identifier })

/** The answers to a send: 201 when the message is new, 200 when its id was stored before. */
export const sentNow = sent(false, "SentNow").pipe(HttpApiSchema.status(201))
export const sentBefore = sent(true, "SentBefore").pipe(HttpApiSchema.status(200))
