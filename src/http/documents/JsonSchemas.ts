import { Schema } from "effect"

/** An object of JSON. */
export type Json = Readonly<Record<string, unknown>>

/** Whether a value is an object of JSON, and no list. */
export const isRecord = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Removes the suffix with which Effect marks the encoded form of a class, because it means nothing to readers of JSON. */
export const plainName = (name: string) => name.replace(/Encoded$/, "")

const rewrite = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(rewrite)
  if (!isRecord(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      key === "$ref" ? plainName(String(inner).replace("#/$defs/", "#/components/schemas/")) : rewrite(inner)
    ])
  )
}

/** Describes Schemas as JSON Schema. A Schema with an identifier is described once, in `components`. */
export const makeJsonSchemas = () => {
  const components: Record<string, unknown> = {}
  return {
    components,
    of: (schema: Schema.Top): unknown => {
      const document = Schema.toJsonSchemaDocument(Schema.toCodecJson(schema))
      for (const [name, definition] of Object.entries(document.definitions))
        components[plainName(name)] = rewrite(definition)
      return rewrite(document.schema)
    }
  }
}

export type JsonSchemas = ReturnType<typeof makeJsonSchemas>
