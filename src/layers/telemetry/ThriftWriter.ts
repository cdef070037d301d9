/** The types of fields and elements in Thrift's binary protocol. */
export const thriftType = { bool: 2, double: 4, i32: 8, i64: 10, text: 11, struct: 12, list: 15 }

/** Writes fields in Thrift's binary protocol, into one buffer that grows. */
export class ThriftWriter {
  private buffer: Buffer
  private length = 0

  /** `size` is how many bytes are expected. */
  constructor(size: number) {
    this.buffer = Buffer.allocUnsafe(size)
  }

  /** What was written. */
  bytes(): Buffer {
    return this.buffer.subarray(0, this.length)
  }

  /** Ends a struct. */
  stop(): void {
    const at = this.claim(1)
    this.buffer[at] = 0
  }

  /** Begins a field that is a struct. Its own fields follow, and `stop`. */
  struct(id: number): void {
    this.field(thriftType.struct, id, 0)
  }

  /** Begins a field that is a list of `count` elements, which follow. */
  list(id: number, elements: number, count: number): void {
    const at = this.field(thriftType.list, id, 5)
    this.buffer[at] = elements
    this.buffer.writeInt32BE(count, at + 1)
  }

  bool(id: number, value: boolean): void {
    const at = this.field(thriftType.bool, id, 1)
    this.buffer[at] = value ? 1 : 0
  }

  double(id: number, value: number): void {
    const at = this.field(thriftType.double, id, 8)
    this.buffer.writeDoubleBE(value, at)
  }

  i32(id: number, value: number): void {
    const at = this.field(thriftType.i32, id, 4)
    this.buffer.writeInt32BE(value, at)
  }

  /** A 64-bit integer; a fraction is rounded. */
  i64(id: number, value: number): void {
    const at = this.field(thriftType.i64, id, 8)
    this.buffer.writeBigInt64BE(BigInt(Math.round(value)), at)
  }

  /** A 64-bit integer that is given as 16 hexadecimal digits. */
  hex64(id: number, digits: string): void {
    const at = this.field(thriftType.i64, id, 8)
    this.buffer.write(digits, at, 8, "hex")
  }

  text(id: number, value: string): void {
    const size = Buffer.byteLength(value)
    const at = this.field(thriftType.text, id, 4 + size)
    this.buffer.writeInt32BE(size, at)
    this.buffer.write(value, at + 4, size)
  }

  /** Adds what another writer has written. */
  raw(bytes: Buffer): void {
    const at = this.claim(bytes.length)
    this.buffer.set(bytes, at)
  }

  /** Writes the head of a field, and returns the place for its `size` bytes. */
  private field(type: number, id: number, size: number): number {
    const at = this.claim(3 + size)
    this.buffer[at] = type
    this.buffer.writeInt16BE(id, at + 1)
    return at + 3
  }

  private claim(size: number): number {
    const at = this.length
    this.length += size
    if (this.length > this.buffer.length) {
      const larger = Buffer.allocUnsafe(2 * this.length)
      larger.set(this.buffer.subarray(0, at))
      this.buffer = larger
    }
    return at
  }
}
