import { isIP } from "node:net"
import { Duration, Effect, Result, Schema, SchemaGetter } from "effect"
import { IpNetwork, NetAddress } from "effect/net"

/**
 * The kinds of values that a setting can have. Each reads what a YAML file gives (numbers, booleans, lists) as well as
 * the plain text of an environment variable or a flag, and carries a `description` that completes "expected …".
 */

const numeric = Schema.Union([
  Schema.Finite,
  Schema.String.check(Schema.isPattern(/^-?\d+(\.\d+)?$/)).pipe(
    Schema.decodeTo(Schema.Finite, { decode: SchemaGetter.transform(Number), encode: SchemaGetter.transform(String) })
  )
])

/** A whole number from `minimum` to `maximum`. */
export const whole = (minimum: number, maximum: number = Number.MAX_SAFE_INTEGER) =>
  numeric.check(Schema.isInt(), Schema.isBetween({ minimum, maximum })).annotate({
    description:
      maximum === Number.MAX_SAFE_INTEGER
        ? `a whole number, ${minimum} or more`
        : `a whole number from ${minimum} to ${maximum}`
  })

/** A TCP port; 0 lets the system choose a free one. */
export const port = whole(0, 65_535)

/** A number from 0 to 1. */
export const ratio = numeric
  .check(Schema.isBetween({ minimum: 0, maximum: 1 }))
  .annotate({ description: "a number from 0 to 1" })

/** `true` or `false`. */
export const flag = Schema.Union([
  Schema.Boolean,
  Schema.Literals(["true", "false"]).pipe(
    Schema.decodeTo(Schema.Boolean, {
      decode: SchemaGetter.transform((text) => text === "true"),
      encode: SchemaGetter.transform((value) => (value ? "true" : "false"))
    })
  )
]).annotate({ description: "true or false" })

/** Node fires a longer timer at once. */
const longestTimer = 2_147_483_647

/** A length of time: outside, seconds or text with a unit ("500 millis"); inside, milliseconds. */
export const duration = (minimumMillis: number, maximumMillis: number = longestTimer) =>
  Schema.Union([
    numeric.pipe(
      Schema.decodeTo(Schema.Finite, {
        decode: SchemaGetter.transform((seconds) => seconds * 1000),
        encode: SchemaGetter.transform((millis) => millis / 1000)
      })
    ),
    Schema.DurationFromString.pipe(
      Schema.decodeTo(Schema.Finite, {
        decode: SchemaGetter.transform(Duration.toMillis),
        encode: SchemaGetter.transform((millis) => Duration.millis(millis))
      })
    )
  ])
    .check(Schema.isBetween({ minimum: minimumMillis, maximum: maximumMillis }))
    .annotate({
      description: `seconds as a number from ${minimumMillis / 1000} to ${Math.floor(maximumMillis / 1000)}, or text with a unit such as "500 millis" or "10 seconds"`
    })

/** Text that is not empty. */
export const text = Schema.NonEmptyString.annotate({ description: "text that is not empty" })

/** What every NATS subject of the service begins with; nothing in it can be a wildcard. */
export const subjectPrefix = Schema.String.check(Schema.isPattern(/^[\w-]+(\.[\w-]+)*$/)).annotate({
  description: "letters, digits, _ and -, with dots between"
})

/** An absolute path of a URL, such as `/metrics`. */
export const urlPath = Schema.TemplateLiteral(["/", Schema.String])
  .check(Schema.isPattern(/^\/[\w./-]*$/))
  .annotate({
    description: 'a path that begins with "/"'
  })

const isHttpUrl = Schema.makeFilter((value: string) => URL.canParse(value) && /^https?:$/.test(new URL(value).protocol))

/** An http or https URL. */
export const httpUrl = Schema.String.check(isHttpUrl).annotate({ description: "an http or https URL" })

/** The origin of an http or https URL, without a path. */
export const origin = Schema.String.check(isHttpUrl)
  .pipe(
    Schema.decode({
      decode: SchemaGetter.transform((value) => new URL(value).origin),
      encode: SchemaGetter.passthrough()
    })
  )
  .annotate({ description: 'an origin such as "https://chat.example.com"' })

/** The network that an IP address (one of its own) or CIDR notation means; bits beyond the prefix do not matter. */
export const networkOf = (text: string) => {
  const [address = "", prefix] = text.split(/\/(?=\d+$)/)
  return Result.flatMap(NetAddress.ipFromString(address), (ip) =>
    IpNetwork.fromAddress(ip, Number(prefix ?? (isIP(address) === 4 ? 32 : 128)))
  )
}

/** An IP address, or a network in CIDR notation. */
export const network = Schema.String.check(Schema.makeFilter((value) => Result.isSuccess(networkOf(value))))

/** One of the given words, in any case. */
export const oneOf = <const Words extends ReadonlyArray<string>>(words: Words) =>
  Schema.String.pipe(
    Schema.decodeTo(Schema.Literals(words), {
      decode: SchemaGetter.transformEffect((value: string) =>
        Schema.decodeUnknownEffect(Schema.Literals(words))(value.toLowerCase()).pipe(
          Effect.mapError((error) => error.issue)
        )
      ),
      encode: SchemaGetter.passthroughSupertype()
    })
  ).annotate({ description: `one of ${words.join(", ")}` })

/** A list: a YAML list, or one text with commas between. */
export const list = <S extends Schema.Codec<unknown, string>>(item: S, description: string) =>
  Schema.Union([
    Schema.Array(item),
    Schema.String.pipe(
      Schema.decodeTo(Schema.Array(item), {
        decode: SchemaGetter.transform((value: string) =>
          value
            .split(",")
            .map((part) => part.trim())
            .filter((part) => part !== "")
        ),
        encode: SchemaGetter.transform((items) => items.join(","))
      })
    )
  ]).annotate({ description: `a list of ${description}; in the environment, with commas between` })

/** Two bounds: outside `"3-32"`, inside `{ min, max }`. */
export const range = Schema.String.check(Schema.isPattern(/^\d{1,6}-\d{1,6}$/))
  .pipe(
    Schema.decodeTo(
      Schema.Struct({ min: Schema.Int, max: Schema.Int }).check(
        Schema.makeFilter(({ max, min }) => min >= 1 && min <= max)
      ),
      {
        decode: SchemaGetter.transform((value: string) => {
          const [min = 0, max = 0] = value.split("-").map(Number)
          return { min, max }
        }),
        encode: SchemaGetter.transform(({ max, min }) => `${min}-${max}`)
      }
    )
  )
  .annotate({ description: 'two bounds such as "3-32"' })

/** A password: any text, also an empty one. */
export const password = Schema.RedactedFromValue(Schema.String).annotate({
  description: "text (in YAML, put it in quotes)"
})

/** A signing key for HS256: at least 32 bytes (RFC 7518, 3.2). */
export const signingKey = Schema.RedactedFromValue(
  Schema.String.check(Schema.makeFilter((value) => new TextEncoder().encode(value).length >= 32))
).annotate({ description: "text of at least 32 bytes" })
