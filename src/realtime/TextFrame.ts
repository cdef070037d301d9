/** A frame holds its length in 7 bits, or behind them in 16 or 64 bits (RFC 6455 §5.2). */
const headerFor = (length: number) => (length < 126 ? 2 : length < 65_536 ? 4 : 10)

/** Writes the header of an unmasked text frame, as long as `headerFor` says. */
const writeHeader = (frame: Buffer, header: number, length: number) => {
  frame[0] = 0x81
  if (header === 2) {
    frame[1] = length
  } else if (header === 4) {
    frame[1] = 126
    frame.writeUInt16BE(length, 2)
  } else {
    frame[1] = 127
    frame.writeBigUInt64BE(BigInt(length), 2)
  }
}

/**
 * Encodes a whole unmasked text frame (RFC 6455 §5.2) in one buffer, so that the same bytes can be written to any
 * number of sockets.
 */
export const encodeFrame = (text: string): Buffer => {
  const length = Buffer.byteLength(text)
  const header = headerFor(length)
  const frame = Buffer.allocUnsafe(header + length)
  writeHeader(frame, header, length)
  frame.write(text, header)
  return frame
}

/** Encodes a JSON value as one text frame. */
export const encodeJson = (value: unknown) => encodeFrame(JSON.stringify(value))

const payloadStart = (frame: Buffer) => (frame[1] === 127 ? 10 : frame[1] === 126 ? 4 : 2)

/** Joins encoded frames of one JSON value each into one frame with the array of the values, without encoding again. */
export const joinFrames = (frames: ReadonlyArray<Buffer>): Buffer => {
  let length = frames.length + 1
  for (const frame of frames) length += frame.length - payloadStart(frame)
  const header = headerFor(length)
  const joined = Buffer.allocUnsafe(header + length)
  writeHeader(joined, header, length)
  let at = header
  for (const frame of frames) {
    at = joined.writeUInt8((at === header ? "[" : ",").charCodeAt(0), at)
    at += frame.copy(joined, at, payloadStart(frame))
  }
  joined.write("]", at)
  return joined
}
