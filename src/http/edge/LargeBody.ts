import type { IncomingMessage } from "node:http"

/** How many bytes a body may have that costs little beside its request. */
export const smallBody = 16_384

/** Whether a body that may be large has not been read to its end. */
export const leavesLargeBody = ({ complete, headers }: Pick<IncomingMessage, "complete" | "headers">): boolean =>
  !complete && (headers["transfer-encoding"] !== undefined || Number(headers["content-length"]) > smallBody)
