/** The bytes of one frame of the protocol (RFC 6455 §5.2), valid or not, with less than 65,536 bytes. */
export const frameBytes = (
  payload: Uint8Array,
  {
    masked = true,
    opcode = 1,
    rsv = 0,
    fin = true
  }: { masked?: boolean; opcode?: number; rsv?: number; fin?: boolean } = {}
): Uint8Array => {
  const { length } = payload
  const mask = Buffer.from([1, 2, 3, 4])
  const size = length < 126 ? [length] : [126, length >> 8, length & 255]
  const [first = 0, ...more] = size
  return Buffer.concat([
    Buffer.from([(fin ? 0x80 : 0) | (rsv << 4) | opcode, (masked ? 0x80 : 0) | first, ...more]),
    masked ? mask : Buffer.alloc(0),
    masked ? payload.map((byte, index) => byte ^ (mask[index % 4] ?? 0)) : payload
  ])
}
