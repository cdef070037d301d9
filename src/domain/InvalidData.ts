import { Result, Schema, SchemaIssue } from "effect"
import { InvalidRequest } from "./Problem.ts"

/** Counts the fields that are missing according to an issue. */
const lacks = (issue: SchemaIssue.Issue): number => {
  switch (issue._tag) {
    case "MissingKey":
      return 1
    case "Pointer":
    case "Encoding":
    case "Filter":
      return lacks(issue.issue)
    case "Composite":
    case "AnyOf":
      return issue.issues.reduce((sum, each) => sum + lacks(each), 0)
    default:
      return 0
  }
}

/**
 * Shortens an issue about a union: input that fits no member is described by what is wrong with the nearest member, which
 * is the one with the fewest missing fields. When several are as near, nobody knows which one was meant.
 */
const nearest = (issue: SchemaIssue.Issue): SchemaIssue.Issue => {
  switch (issue._tag) {
    case "Pointer":
      return new SchemaIssue.Pointer(issue.path, nearest(issue.issue))
    case "Composite": {
      const [first, ...rest] = issue.issues
      return new SchemaIssue.Composite(issue.ast, [nearest(first), ...rest.map(nearest)])
    }
    case "AnyOf": {
      const fewest = Math.min(...issue.issues.map(lacks))
      const [best, ...others] = issue.issues.filter((each) => lacks(each) === fewest)
      if (best === undefined) return issue
      return fewest > 0 && others.length > 0 ? new SchemaIssue.InvalidValue({ message: noForm }) : nearest(best)
    }
    default:
      return issue
  }
}

const noForm = "must have one of the documented forms"

const format = SchemaIssue.makeFormatterStandardSchemaV1()

/** The types of JSON, which Effect names without an article. */
const types: Readonly<Record<string, string>> = {
  string: "a string",
  number: "a number",
  boolean: "a boolean",
  array: "an array",
  object: "an object",
  "a string representing a finite number": "a number"
}

/** Whether Effect names a Schema by its identifier, such as `NewPoll`. All that have one are objects on the wire. */
const isIdentifier = (expected: string) => /^[A-Z]\w*$/.test(expected)

/** Says after the name of a field what Effect says about its value: `must be a string` for `Expected string`. */
const inWords = (message: string): string => {
  if (message === "Missing key") return "is required"
  const [, expected] = message.match(/^Expected (.*)$/s) ?? []
  if (expected === undefined) return message
  if (expected.includes("{ readonly ")) return noForm
  if (expected.startsWith("a value with ")) return expected.replace("a value with", "must have")
  const each = expected.replace(/^a value /, "").split(" | ")
  return `must be ${[...new Set(each.map((one) => types[one] ?? (isIdentifier(one) ? "an object" : one)))].join(" or ")}`
}

/** At most this many issues are reported, so that a list of a thousand wrong items does not make a large answer. */
const maxIssues = 20

/** An `InvalidRequest` that says what is wrong with input that a Schema refused, by the names of its fields. It repeats no values. */
export const invalidData = ({ issue }: Schema.SchemaError) => {
  const errors = format(nearest(issue))
    .issues.slice(0, maxIssues)
    .map(({ message, path = [] }) => ({
      path: path.map((segment) => String(typeof segment === "object" ? segment.key : segment)).join("."),
      message: inWords(message)
    }))
  const [first] = errors
  return new InvalidRequest({
    errors,
    ...(first !== undefined && { detail: `${first.path === "" ? "the data" : first.path} ${first.message}` })
  })
}

/** How many values input may have of which all errors are reported. */
const reportedValues = 500

/** Whether a value of JSON consists of so few values that all that is wrong with it may be collected. */
const isShort = (json: unknown): boolean => {
  let left = reportedValues
  const fits = (value: unknown): boolean =>
    --left >= 0 &&
    (typeof value !== "object" || value === null || (Array.isArray(value) ? value : Object.values(value)).every(fits))
  return fits(json)
}

/**
 * Makes the function that decodes what a client sends, and collects all that is wrong with it. Of long input it reports only
 * the first error, since each costs a hundred times as much as its bytes.
 */
export const decodeInput = <S extends Schema.Decoder<unknown>>(schema: S) => {
  const decode = Schema.decodeUnknownResult(schema)
  const collect = Schema.decodeUnknownResult(schema, { errors: "all" })
  return (input: unknown): Result.Result<S["Type"], Schema.SchemaError> => {
    const decoded = decode(input)
    return Result.isFailure(decoded) && isShort(input) ? collect(input) : decoded
  }
}
