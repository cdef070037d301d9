/** At most this many different names in one message are mentions; further ones are plain text. */
const most = 50

/**
 * A name after an `@`. A Latin letter or a digit before the `@` means an e-mail address, and one after the name means
 * another word. `=` means a query string, `@host.org` a name on another network, and `:host.org` a Matrix id. Letters of
 * other scripts may touch a name, because many of them put no space between words.
 */
const name =
  /(?<![\p{Script=Latin}\p{N}@=][\p{M}_+-]*)@([a-z0-9_.-]{1,128})(?![\p{Script=Latin}\p{N}\p{M}_.-]|[:@](?:localhost|[a-z0-9-]{1,63}\.[a-z0-9]))/giu

/** A stretch of text that may be an address. */
const stretch = /[^\s<>"`“”«»\u3000-\u3003\u3008-\u3011\uff01-\uff0c\uff1a-\uff20]+/gu

/** The beginning of a web address, which has a scheme or only a host and a path. */
const address = /:\/\/|\bwww\.|[a-z0-9-]\.[a-z]{2,63}(?::\d{1,5})?[/?#]/i

/** The text without its code, which stands between two runs of equally many backticks. */
const withoutCode = (text: string): string => {
  const parts = text.split(/(`+)/)
  const last = new Map(parts.map((part, n) => [part, n]))
  const kept: Array<string> = []
  for (let n = 0; n < parts.length; n++) {
    const part = parts[n] ?? ""
    if (part.startsWith("`") && (last.get(part) ?? n) > n) n = parts.indexOf(part, n + 1)
    kept.push(part)
  }
  return kept.join("")
}

/**
 * The names that a text mentions, in lower case and without repetition. Each is a list of forms, of which the first that
 * is a username counts: usernames may end in punctuation, so "@bob." is the user `bob.` if there is one, else `bob`.
 * E-mail addresses, web addresses, names on other networks and code mention nobody.
 */
export const namesIn = (body: string): ReadonlyArray<ReadonlyArray<string>> => {
  const found = new Map<string, ReadonlyArray<string>>()
  for (const [text] of withoutCode(body).matchAll(stretch)) {
    if (!text.includes("@")) continue
    const start = text.search(address)
    for (const { 1: written = "", index } of text.matchAll(name)) {
      if (start >= 0 && index > start) break
      const whole = written.toLowerCase()
      const bare = whole.replace(/[._-]+$/, "")
      found.set(whole, bare === "" || bare === whole ? [whole] : [whole, bare])
      if (found.size === most) return [...found.values()]
    }
  }
  return [...found.values()]
}
