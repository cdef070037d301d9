import type { Attachment } from "../../domain/Attachment.ts"
import type { ByteRange } from "../../services/files/Blobs.ts"
import { isInline } from "../../services/files/ContentTypes.ts"

type Headers = Readonly<Record<string, string | undefined>>

/** A name as a header can have it: `filename` for old clients, `filename*` for all others (RFC 6266, RFC 8187). */
const fileName = (name: string) => {
  const ascii = name.replace(/[^\x20-\x7e]|["\\%]/g, "_")
  const encoded = encodeURIComponent(name).replace(/['()*]/g, (char) => `%${char.charCodeAt(0).toString(16)}`)
  return `filename="${ascii}"; filename*=UTF-8''${encoded}`
}

/**
 * The headers of a file. Browsers show only types that have no scripts, and none of them in the context of a page. They may
 * keep the file, but must ask each time whether they still may show it.
 */
export const fileHeaders = ({ contentType, name }: Pick<Attachment, "contentType" | "name">, download: boolean) => ({
  "content-type": contentType,
  "content-disposition": `${isInline(contentType) && !download ? "inline" : "attachment"}; ${fileName(name)}`,
  "content-security-policy": "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'",
  "cross-origin-resource-policy": "same-site",
  "accept-ranges": "bytes",
  "cache-control": "private, no-cache"
})

/**
 * The part of a file that a client asks for (RFC 9110, 14.2): undefined for all of it, and null for a part that the file
 * does not have. Several parts at once are answered with the whole file, as the RFC allows.
 */
export const rangeOf = (
  { "if-range": condition, range }: Headers,
  etag: string,
  size: number
): ByteRange | undefined | null => {
  if (range === undefined || (condition !== undefined && condition !== etag)) return undefined
  const [, first, last] = /^bytes=(\d*)-(\d*)$/i.exec(range.trim()) ?? []
  if (first === undefined || last === undefined || (first === "" && last === "")) return undefined
  const start = first === "" ? Math.max(0, size - Number(last)) : Number(first)
  const end = first === "" || last === "" ? size - 1 : Math.min(Number(last), size - 1)
  if (first !== "" && last !== "" && Number(last) < Number(first)) return undefined
  return start > end ? null : { start, end }
}
