import { Duration, Effect, Result, Schema, SchemaGetter } from "effect"
import { networkOf } from "../Address.ts"

/**
 * The kinds of values that a setting can have. Each reads the values of a YAML file (numbers, booleans, lists) as well
 * as the plain text of an environment variable or a flag, and carries a `description` that completes "expected …".
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

/** `true`, `false`, or the path of a folder. */
export const flagOrFolder = Schema.Union([flag, text]).annotate({ description: "true, false or a folder" })

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

/** A host name or address, perhaps with a port, or the directory of a unix socket. It cannot be a URL. */
const host = Schema.String.check(
  Schema.isPattern(/^(\/[^,@]*|[^\s,:/@[\]]+(:\d{1,5})?|\[[\da-f:.]+\](:\d{1,5})?|[\da-f.]*:[\da-f.]*:[\da-f:.]*)$/i)
)

const hostWords = "a host name or address (perhaps with a port, such as db1:5432) or the directory of a unix socket"

/** One host, whose port is a key of its own. A URL in its place may have a password, which the logs would show. */
export const hostName = Schema.String.check(
  Schema.isPattern(/^([^\s,:/@[\]]+|[\da-f.]*:[\da-f.]*:[\da-f:.]*)$/i)
).annotate({ description: "a host name or address without a port; not a URL" })

/** One host. */
export const oneHost = host.annotate({ description: `${hostWords}; not a URL` })

/** One host, or a list of hosts. */
export const hosts = Schema.Union([host, list(host, "hosts").check(Schema.isMinLength(1))]).annotate({
  description: `${hostWords}, or a list of them with commas between; not a URL`
})

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

const isHttpUrl = Schema.makeFilter(
  (value: string) => URL.canParse(value) && /^https?:$/.test(new URL(value).protocol) && !value.includes("*")
)

/** An http or https URL. */
export const httpUrl = Schema.String.check(isHttpUrl).annotate({ description: "an http or https URL" })

/** The URL of a scanner of files. */
export const scannerUrl = Schema.String.check(
  Schema.makeFilter((value: string) => {
    if (!URL.canParse(value)) return false
    const { hostname, password, pathname, protocol, username } = new URL(value)
    if (username !== "" || password !== "") return false
    return protocol === "unix:"
      ? hostname === "" && pathname !== ""
      : /^(tcp|https?):$/.test(protocol) && hostname !== ""
  })
).annotate({ description: "tcp://host:port or unix:/path of clamd, or an http or https URL" })

/** A URL with `{token}` in the place of a token. */
export const urlWithToken = Schema.String.check(
  Schema.isPattern(/^[a-z][a-z\d+.-]*:\/\/\S*\{token\}\S*$/),
  Schema.makeFilter((value) => URL.canParse(value))
).annotate({ description: 'a URL with {token} in it, such as "https://app.example.com/reset#token={token}"' })

/** The origin of an http or https URL, without a path. */
export const origin = Schema.String.check(isHttpUrl)
  .pipe(
    Schema.decode({
      decode: SchemaGetter.transform((value) => new URL(value).origin),
      encode: SchemaGetter.passthrough()
    })
  )
  .annotate({ description: 'an origin such as "https://chat.example.com"' })

/** The origin of an app that shows its pages itself, such as `capacitor://localhost`. */
const appOrigin = /^[a-z][a-z0-9+.-]*:\/\/[\w.-]+(:\d+)?$/i

const siteOrigin = /^https?:\/\/(\*\.)?[^*/]+$/i

/** The pages that may use the service: an origin of a site, in which `*.` stands for one label, or of an app. */
export const pageOrigin = Schema.String.check(
  Schema.makeFilter((value) => {
    const text = value.replace(/\/$/, "")
    if (/^file:/i.test(text)) return false
    return /^https?:/i.test(text) ? siteOrigin.test(text) && URL.canParse(text.replace("*.", "")) : appOrigin.test(text)
  })
)
  .pipe(
    Schema.decode({
      decode: SchemaGetter.transform((value) => {
        const text = value.replace(/\/$/, "").toLowerCase()
        if (!/^https?:/.test(text)) return text
        // A browser leaves out the port that a scheme has anyway.
        const { origin } = new URL(text.replace("*.", ""))
        return text.includes("*.") ? origin.replace("//", "//*.") : origin
      }),
      encode: SchemaGetter.passthrough()
    })
  )
  .annotate({
    description: 'an origin such as "https://chat.example.com", "https://*.example.com" or "tauri://localhost"'
  })

/** An IP address, or a network in CIDR notation. */
export const network = Schema.String.check(Schema.makeFilter((value) => Result.isSuccess(networkOf(value))))

/** One of the given words, in any case. */
export const oneOf = <const Words extends ReadonlyArray<string>>(words: Words) =>
  Schema.String.pipe(
    Schema.decodeTo(Schema.Literals(words), {
      decode: SchemaGetter.transformEffect((value: string) =>
        Schema.decodeUnknownEffect(Schema.Literals(words))(
          words.find((word) => word.toLowerCase() === value.toLowerCase())
        ).pipe(Effect.mapError((error) => error.issue))
      ),
      encode: SchemaGetter.passthroughSupertype()
    })
  ).annotate({ description: `one of ${words.join(", ")}` })

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

/** The fewest bytes of a signing key for HS256 (RFC 7518, 3.2). */
export const fewestKeyBytes = 32

/** A signing key for HS256. */
export const signingKey = Schema.RedactedFromValue(
  Schema.String.check(Schema.makeFilter((value) => new TextEncoder().encode(value).length >= fewestKeyBytes))
).annotate({ description: `text of at least ${fewestKeyBytes} bytes` })
