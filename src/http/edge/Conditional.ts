type Headers = Readonly<Record<string, string | undefined>>

/** Whether the client has what has this entity tag already, and needs only a 304 (RFC 9110, 13.1.2). */
export const isKnown = ({ "if-none-match": known = "" }: Headers, etag: string): boolean =>
  known.split(",").some((tag) => ["*", etag, `W/${etag}`].includes(tag.trim()))
