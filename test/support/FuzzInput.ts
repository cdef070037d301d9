import { isRecord } from "../../src/http/documents/JsonSchemas.ts"

/** What clients send who mean no good, or whose program has a bug. */
const nasty: ReadonlyArray<unknown> = [
  null,
  true,
  "",
  " ",
  0,
  -1,
  1.5,
  1e308,
  2 ** 53,
  -(2 ** 31) - 1,
  "a\u0000b",
  "\ud800",
  "\u202e\u200b",
  "漢".repeat(3000),
  "x".repeat(9000),
  "__proto__",
  "constructor",
  "'; DROP TABLE users; --",
  "%00",
  "../../etc/passwd",
  "0000-01-01T00:00:00Z",
  "9999-12-31T23:59:59.999Z",
  "+275760-09-13T00:00:00.000Z",
  "2026-02-30T00:00:00Z",
  "00000000-0000-0000-0000-000000000000",
  "0198a7a0-0000-7000-8000-00000000000G",
  "{}",
  "\r\nx: y",
  "*",
  "@all",
  "-zzz",
  '"',
  "👩‍👩‍👧‍👦",
  [],
  {},
  [[[[[[[[]]]]]]]],
  { __proto__: null, constructor: 1 },
  Array.from({ length: 300 }, (_, i) => i)
]

/** Values that are worth trying again, by the names of the fields that take them. */
type Pools = ReadonlyMap<string, ReadonlyArray<string>>

/** Makes inputs that follow the JSON Schemas of a document in most things, and some that do not. */
export class FuzzInput {
  private readonly document: unknown
  private readonly random: () => number
  private readonly pools: Pools

  constructor(document: unknown, random: () => number, pools: Pools) {
    this.document = document
    this.random = random
    this.pools = pools
  }

  /** Whether something happens that has this chance. */
  chance(of: number): boolean {
    return this.random() < of
  }

  pick<A>(from: ReadonlyArray<A>): A | undefined {
    return from[Math.floor(this.random() * from.length)]
  }

  integer(minimum: number, maximum: number): number {
    return minimum + Math.floor(this.random() * (maximum - minimum + 1))
  }

  /** A value for a field of that name. */
  value(schema: unknown, name: string, depth = 0): unknown {
    if (this.chance(0.06)) return this.pick(nasty)
    const known = this.pools.get(name) ?? this.pools.get(name.replace(/s$/, ""))
    const given = this.resolved(schema)
    if (given.type === "string" && known !== undefined && this.chance(0.85)) return this.pick(known)
    if (Array.isArray(given.enum)) return this.pick(given.enum)
    const choices = given.anyOf ?? given.oneOf
    if (Array.isArray(choices)) return this.value(this.pick(choices), name, depth)
    switch (Array.isArray(given.type) ? this.pick(given.type) : given.type) {
      case "string":
        return this.text(given)
      case "integer":
        return this.number(given)
      case "number":
        return this.number(given) + this.random()
      case "boolean":
        return this.chance(0.5)
      case "null":
        return null
      case "array":
        return Array.from({ length: this.integer(0, 3) }, () => this.value(given.items, name, depth + 1))
      case "object":
        return this.object(given, depth)
      default:
        return this.pick(nasty)
    }
  }

  private resolved(schema: unknown): Readonly<Record<string, unknown>> {
    if (!isRecord(schema)) return {}
    const { $ref, allOf } = schema
    if (typeof $ref === "string") {
      const found = $ref
        .slice(2)
        .split("/")
        .reduce<unknown>((inner, key) => Object(inner)[key], this.document)
      return this.resolved(found)
    }
    if (!Array.isArray(allOf)) return schema
    return Object.assign({}, ...allOf.map((each) => this.resolved(each)), schema)
  }

  private text({ maxLength, minLength }: Readonly<Record<string, unknown>>): string {
    const most = Math.min(Number(maxLength ?? 40), 200)
    const length = this.chance(0.1) ? most : this.integer(Number(minLength ?? 0), Math.min(most, 12))
    return Array.from({ length }, () => this.pick([..."abc ABC19_.-é漢😀\n@#"])).join("")
  }

  private number({ maximum, minimum }: Readonly<Record<string, unknown>>): number {
    const least = Math.max(Number(minimum ?? -3), -1e6)
    return this.integer(least, Math.min(Number(maximum ?? 100), least + 300))
  }

  private object(schema: Readonly<Record<string, unknown>>, depth: number): unknown {
    if (depth > 6) return {}
    const required = new Set(Array.isArray(schema.required) ? schema.required : [])
    const fields = Object.entries(isRecord(schema.properties) ? schema.properties : {})
      .filter(([name]) => this.chance(required.has(name) ? 0.97 : 0.4))
      .map(([name, inner]) => [name, this.value(inner, name, depth + 1)] as const)
    const more = isRecord(schema.additionalProperties)
      ? Array.from({ length: this.integer(0, 3) }, () => [
          String(this.pick(this.pools.get("conversationId") ?? ["x"])),
          this.value(schema.additionalProperties, "more", depth + 1)
        ])
      : []
    return Object.fromEntries([...fields, ...more, ...(this.chance(0.03) ? [["surplus", this.pick(nasty)]] : [])])
  }
}
