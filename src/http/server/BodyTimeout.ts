import type { IncomingMessage, ServerResponse } from "node:http"
import { hasBody, isUpload } from "./RequestKinds.ts"

/**
 * Calls `onLate` when the body of a request takes longer than so many milliseconds. Uploads have another time-out until they
 * are answered.
 */
export const limitBody = (
  request: IncomingMessage,
  response: ServerResponse,
  milliseconds: number,
  onLate: () => void
): void => {
  if (!hasBody(request)) return
  const start = () => {
    const timer = setTimeout(() => {
      if (!request.complete) onLate()
    }, milliseconds)
    const stop = () => clearTimeout(timer)
    request.once("close", stop)
    // A request that is not read to its end is not closed with its connection, and the timer keeps what has come in of it.
    response.once("close", () => {
      if (!request.socket.writable) stop()
    })
  }
  if (isUpload(request)) response.once("finish", start)
  else start()
}
