import type { IncomingMessage } from "node:http"

/** Whether a request asks to become a WebSocket. */
export const isWebSocket = ({ headers }: IncomingMessage) => headers.upgrade?.toLowerCase() === "websocket"
/** Whether a request says that it has a body. */
export const hasBody = ({ headers }: IncomingMessage) =>
  headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) !== 0

/** Whether a request brings a file, which may take as long as `timers.upload`. */
export const isUpload = ({ method, url = "" }: IncomingMessage) =>
  (method === "POST" && /^\/v1\/(attachments|uploads)(\?|$)/.test(url)) ||
  (method === "PATCH" && url.startsWith("/v1/uploads/")) ||
  (method === "PUT" && /^\/v1\/(users|conversations)\/[^/?]+\/avatar(\?|$)/.test(url))

/** Whether Node hands the connection over, without any of its time-outs: only where a WebSocket can come of it. */
export const isUpgrade = (request: IncomingMessage) =>
  isWebSocket(request) && request.method === "GET" && !hasBody(request)
