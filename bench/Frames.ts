/** Text frames of RFC 6455 §5.2, unfragmented and of at most 64 KiB: the benchmark sends no others. */

const allocate = (length: number, extra: number) => {
  const header = (length < 126 ? 2 : 4) + extra
  const frame = Buffer.allocUnsafe(header + length)
  frame[0] = 0x81
  if (length < 126) {
    frame[1] = length
  } else {
    frame[1] = 126
    frame.writeUInt16BE(length, 2)
  }
  return { frame, header }
}

/** Encodes a server's frame: unmasked, so that the same bytes can go to many sockets. */
export const serverFrame = (text: string): Buffer => {
  const { frame, header } = allocate(Buffer.byteLength(text), 0)
  frame.write(text, header)
  return frame
}

/** Encodes a client's frame under a random mask, because servers skip the unmasking when the key is zero. */
export const clientFrame = (text: string): Buffer => {
  const { frame, header } = allocate(Buffer.byteLength(text), 4)
  frame[1] = (frame[1] ?? 0) | 0x80
  const key = (Math.random() * 2 ** 32) >>> 0
  frame.writeUInt32BE(key, header - 4)
  frame.write(text, header)
  const mask = [key >>> 24, (key >>> 16) & 0xff, (key >>> 8) & 0xff, key & 0xff]
  for (let i = header; i < frame.length; i++) frame[i] = (frame[i] ?? 0) ^ (mask[(i - header) & 3] ?? 0)
  return frame
}

/** Cuts the bytes of a server into the texts of its frames; control frames come as their opcode. */
export class FrameReader {
  private rest: Buffer = Buffer.alloc(0)

  read(chunk: Buffer, onText: (text: string) => void, onControl: (opcode: number, payload: Buffer) => void): void {
    const bytes = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk])
    let at = 0
    while (bytes.length - at >= 2) {
      const opcode = (bytes[at] ?? 0) & 0x0f
      const short = bytes[at + 1] ?? 0
      const header = short < 126 ? 2 : short === 126 ? 4 : 10
      if (bytes.length - at < header) break
      const length =
        header === 2 ? short : header === 4 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2))
      const end = at + header + length
      if (bytes.length < end) break
      if (opcode < 8) onText(bytes.toString("utf8", at + header, end))
      else onControl(opcode, bytes.subarray(at + header, end))
      at = end
    }
    this.rest = bytes.subarray(at)
  }
}
