import { PgTypes } from "@effect/sql-pg"
import { Result } from "effect"

const tooLarge = (value: number | bigint) =>
  Result.fail(new PgTypes.CodecError({ message: `int8 ${value} is not a safe integer` }))

/** The weight of the upper half of an int8. */
const high = 2 ** 32

/** Reads and writes `bigint` as JavaScript numbers. A value that a number cannot represent exactly is an error. */
const int8: PgTypes.Codec<number | bigint> = {
  encode: (value) => {
    const number = Number(value)
    if (!Number.isSafeInteger(number)) return tooLarge(value)
    const bytes = new Uint8Array(8)
    new DataView(bytes.buffer).setBigInt64(0, BigInt(value))
    return Result.succeed(bytes)
  },
  decode: (bytes) => readInt8(bytes, 0),
  write: (sink, value) => {
    const number = Number(value)
    if (!Number.isSafeInteger(number)) return tooLarge(value)
    sink.int32(Math.floor(number / high))
    sink.int32(number | 0)
    return Result.void
  },
  read: (bytes, offset) => readInt8(bytes, offset)
}

const int32At = (bytes: Uint8Array, offset: number) =>
  ((bytes[offset] ?? 0) << 24) |
  ((bytes[offset + 1] ?? 0) << 16) |
  ((bytes[offset + 2] ?? 0) << 8) |
  (bytes[offset + 3] ?? 0)

const readInt8 = (bytes: Uint8Array, offset: number) => {
  const value = int32At(bytes, offset) * high + (int32At(bytes, offset + 4) >>> 0)
  return Number.isSafeInteger(value) ? Result.succeed(value) : tooLarge(value)
}

/** The types of the driver, except that int8 and int8[] are numbers: all our seqs and counts are far below 2^53. */
export const postgresTypes = PgTypes.makeRegistry()
postgresTypes.register(PgTypes.OID.int8, int8, { arrayOid: PgTypes.OID.int8Array })
