import { Result, Schema } from "effect"
import { assert, describe, it } from "vitest"
import { DateFromTimestamp, OffsetTimestamp, UtcTimestamp } from "../../src/domain/Time.ts"

const asDate = Schema.decodeUnknownSync(DateFromTimestamp)
const asText = Schema.decodeUnknownSync(UtcTimestamp)

describe("a time that a client sends", () => {
  const times: ReadonlyArray<readonly [written: string, utc: string]> = [
    ["2027-02-28T10:00:00Z", "2027-02-28T10:00:00.000Z"],
    ["2028-02-29T10:00Z", "2028-02-29T10:00:00.000Z"],
    ["2000-02-29T23:59:59.999Z", "2000-02-29T23:59:59.999Z"],
    ["2027-01-01T01:30:00+02:00", "2026-12-31T23:30:00.000Z"],
    ["2026-12-31T23:30:00.123456789-09:30", "2027-01-01T09:00:00.123Z"],
    ["2027-06-30T12:00:00-00:00", "2027-06-30T12:00:00.000Z"],
    ["2027-06-30T12:00:00+14:00", "2027-06-29T22:00:00.000Z"],
    ["1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"],
    ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000Z"]
  ]
  for (const [written, utc] of times) {
    it(`${written} is ${utc}`, () => {
      assert.strictEqual(asDate(written).toISOString(), utc)
      assert.strictEqual(new Date(asText(written)).toISOString(), utc)
    })
  }

  it("is stored in UTC with milliseconds, and as it was written where it is that already", () => {
    assert.strictEqual(asText("2027-01-01T01:30+02:00"), "2026-12-31T23:30:00.000Z")
    for (const utc of ["2027-01-01T01:30:00Z", "2027-01-01T01:30:00.5Z"]) assert.strictEqual(asText(utc), utc)
  })

  const wrong = [
    ..."2027-02-29 2027-02-30 2100-02-29 2027-04-31 2027-00-10 2027-13-01 2027-01-00 2027-01-32 0000-01-01 1969-12-31"
      .split(" ")
      .map((day) => `${day}T10:00:00Z`),
    ..."24:00:00Z 24:00Z 25:00Z 10:60Z 10:00:60Z 10:00:61Z 10Z 10:00:00 10:00:00+99:99 10:00:00+24:00 10:00:00+02:60 10:00:00+2 10:00:00.Z 10:00:00,5Z"
      .split(" ")
      .map((time) => `2027-01-31T${time}`),
    "1970-01-01T00:00:00+00:01",
    "9999-12-31T23:59:59-00:01",
    "+010000-01-01T00:00:00Z",
    "12027-01-31T10:00:00Z",
    "2027-01-31 10:00:00Z",
    "2027-01-31T10:00:00Z\n",
    "２０２７-01-31T10:00:00Z",
    "tomorrow",
    ""
  ]
  for (const text of wrong) {
    it(`is not ${JSON.stringify(text)}`, () => {
      for (const schema of [OffsetTimestamp, DateFromTimestamp, UtcTimestamp])
        assert.isTrue(Result.isFailure(Schema.decodeUnknownResult(schema)(text)))
    })
  }
})
