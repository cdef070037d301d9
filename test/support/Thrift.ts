/** A struct of Thrift's binary protocol: the values by the ids of its fields. */
export type Struct = ReadonlyMap<number, Value>
/** A value of Thrift's binary protocol. */
export type Value = boolean | number | bigint | Buffer | Struct | ReadonlyArray<Value>

/** Reads one struct of Thrift's binary protocol (thrift-binary-protocol.md of the specification). */
export const readStruct = (bytes: Buffer): Struct => {
  let at = 0
  const take = (length: number) => {
    at += length
    return bytes.subarray(at - length, at)
  }

  const readValue = (type: number): Value => {
    switch (type) {
      case 2:
        return take(1).readInt8() !== 0
      case 3:
        return take(1).readInt8()
      case 4:
        return take(8).readDoubleBE()
      case 6:
        return take(2).readInt16BE()
      case 8:
        return take(4).readInt32BE()
      case 10:
        return take(8).readBigInt64BE()
      case 11:
        return take(take(4).readInt32BE())
      case 12:
        return struct()
      case 14:
      case 15: {
        const item = take(1).readInt8()
        return Array.from({ length: take(4).readInt32BE() }, () => readValue(item))
      }
      default:
        throw new Error(`type ${type} of Thrift at byte ${at}`)
    }
  }

  const struct = (): Struct => {
    const fields = new Map<number, Value>()
    for (let type = take(1).readInt8(); type !== 0; type = take(1).readInt8()) {
      const id = take(2).readInt16BE()
      fields.set(id, readValue(type))
    }
    return fields
  }

  const all = struct()
  if (at !== bytes.length) throw new Error(`${bytes.length - at} bytes behind the struct`)
  return all
}
