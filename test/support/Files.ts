import { Effect, Schema } from "effect"
import { Attachment } from "../../src/domain/Attachment.ts"

/** A PNG of one pixel. */
export const png = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==",
  "base64"
)

/** A form with a file in the field `file`, or another one. */
export const formOf = (bytes: Uint8Array, name = "one.png", field = "file") => {
  const form = new FormData()
  form.append(field, new Blob([Uint8Array.from(bytes)], { type: "text/html" }), name)
  return form
}

const decode = Schema.decodeUnknownSync(Attachment)

/** Uploads a file over HTTP, which must succeed. */
export const uploadTo = (url: string, token: string, bytes: Uint8Array = png, name?: string) =>
  Effect.promise(async () => {
    const headers = { authorization: `Bearer ${token}` }
    const answer = await fetch(`${url}/v1/attachments`, { method: "POST", headers, body: formOf(bytes, name) })
    if (answer.status !== 201) throw new Error(`${answer.status} ${await answer.text()}`)
    return decode(await answer.json())
  })
