import { Effect } from "effect"
import { ConnectionLost } from "../Failures.ts"

/** A request that may send much. */
export interface Transfer {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: FormData | Blob
  /** Called with the number of bytes of the body that were sent so far. */
  readonly onSent?: (bytes: number) => void
}

/** The answer to a `Transfer`. */
export interface Answer {
  readonly status: number
  readonly header: (name: string) => string | null
  readonly text: string
}

/** The part of the `XMLHttpRequest` of browsers that is used here. Their types are not known where this is compiled. */
interface Xhr extends EventTarget {
  readonly status: number
  readonly responseText: string
  readonly upload: EventTarget
  open(method: string, url: string): void
  setRequestHeader(name: string, value: string): void
  getResponseHeader(name: string): string | null
  send(body?: FormData | Blob): void
  abort(): void
}

const overXhr = (xhr: Xhr, { body, headers, method, onSent, url }: Transfer) =>
  Effect.callback<Answer, ConnectionLost>((resume) => {
    xhr.open(method, url)
    for (const [name, value] of Object.entries(headers)) xhr.setRequestHeader(name, value)
    xhr.upload.addEventListener("progress", (event) => {
      if ("loaded" in event && typeof event.loaded === "number") onSent?.(event.loaded)
    })
    xhr.addEventListener("load", () =>
      resume(
        Effect.succeed({ status: xhr.status, header: (name) => xhr.getResponseHeader(name), text: xhr.responseText })
      )
    )
    for (const end of ["error", "abort", "timeout"])
      xhr.addEventListener(end, () => resume(Effect.fail(new ConnectionLost({}))))
    xhr.send(body)
    return Effect.sync(() => xhr.abort())
  })

/** The body of a request as a stream that tells how much of it was taken. */
const counted = (body: ReadableStream<Uint8Array<ArrayBuffer>>, onSent: (bytes: number) => void) => {
  let sent = 0
  return body.pipeThrough(
    new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
      transform: (chunk, controller) => {
        sent += chunk.length
        onSent(sent)
        controller.enqueue(chunk)
      }
    })
  )
}

/** Browsers refuse to send a stream over HTTP/1.1; where there is a `process`, there is none of these. */
const canStream = () => Reflect.has(globalThis, "process")

const answerOf = async (response: Response): Promise<Answer> => ({
  status: response.status,
  header: (name) => response.headers.get(name),
  text: await response.text()
})

const overFetch = ({ body, headers, method, onSent, url }: Transfer) =>
  Effect.tryPromise({
    try: async (signal) => {
      // This also says the boundary of a form.
      const whole = new Request(url, { method, headers, ...(body !== undefined && { body }), signal })
      if (whole.body === null || onSent === undefined || !canStream()) return answerOf(await fetch(whole))
      const streamed = {
        method,
        headers: whole.headers,
        body: counted(whole.body, onSent),
        duplex: "half" as const,
        signal
      }
      return answerOf(await fetch(new Request(url, streamed)))
    },
    catch: (cause) => new ConnectionLost({ cause })
  })

/**
 * Makes a request, and says meanwhile how much of it was sent, as far as the platform tells: the `fetch` of browsers does
 * not, so it is their older interface that is used there. An interruption ends the request.
 */
export const transfer = (request: Transfer): Effect.Effect<Answer, ConnectionLost> =>
  Effect.suspend(() => {
    const Xhr: (new () => Xhr) | undefined = Reflect.get(globalThis, "XMLHttpRequest")
    return Xhr === undefined ? overFetch(request) : overXhr(new Xhr(), request)
  })
