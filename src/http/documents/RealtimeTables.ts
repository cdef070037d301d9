import type { Schema } from "effect"
import { Event } from "../../domain/Event.ts"
import { events } from "../../domain/ServerEvent.ts"
import { commands, eventTexts, orEmpty, textsOf } from "./AsyncApiDocument.ts"
import { isRecord, makeJsonSchemas } from "./JsonSchemas.ts"

const prefix = "#/components/schemas/"

/**
 * The fields of a JSON Schema in one line, an optional one with a question mark. With `named`, a named shape is
 * written as its name.
 */
const shapeOf = (schema: Schema.Top, named: boolean): string => {
  const json = makeJsonSchemas()
  const of = (value: unknown): string => {
    if (!isRecord(value)) return ""
    if (typeof value.$ref === "string") {
      const name = value.$ref.replace(prefix, "")
      return named ? name : of(json.components[name])
    }
    if (Array.isArray(value.anyOf)) return [...new Set(value.anyOf.map(of))].join(" or ")
    const required: ReadonlyArray<unknown> = Array.isArray(value.required) ? value.required : []
    const fields = Object.keys(isRecord(value.properties) ? value.properties : {})
    return `{${fields.map((field) => (required.includes(field) ? field : `${field}?`)).join(", ")}}`
  }
  return of(json.of(orEmpty(schema)))
}

const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>) =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n")

const code = (text: string) => `\`${text}\``

const commandTable = () =>
  table(
    ["`op`", "What it does", "`data`", "`ok`"],
    [...commands()].map(([op, { data, ok }]) => [
      code(op),
      textsOf(op).summary ?? "",
      code(shapeOf(data, false)),
      code(shapeOf(ok, true))
    ])
  )

const eventTable = (members: ReadonlyArray<(typeof events)[number]>) =>
  table(
    ["`event`", "`data`", "What it means"],
    members.map(({ fields }) => [
      code(fields.event.literal),
      code(shapeOf(fields.data, false)),
      eventTexts[fields.event.literal] ?? ""
    ])
  )

const durable = new Set<unknown>(Event.members)

const tables: Readonly<Record<string, () => string>> = {
  commands: commandTable,
  "durable-events": () => eventTable(Event.members),
  "other-events": () => eventTable(events.filter((event) => !durable.has(event)))
}

/** Writes the tables of commands and events between their markers in docs/realtime.md. A missing marker is an error. */
export const withRealtimeTables = (markdown: string): string =>
  Object.entries(tables).reduce((text, [name, make]) => {
    const [begin, end] = [`<!-- generated: ${name} -->`, `<!-- end: ${name} -->`]
    const [before, rest] = text.split(begin)
    const after = rest?.split(end)[1]
    if (before === undefined || after === undefined) throw new Error(`there is no ${begin} with ${end}`)
    return `${before}${begin}\n${make()}\n${end}${after}`
  }, markdown)
