import { UserId } from "./Ids.ts"

/** Stands for all members among those whom a message mentions; no user has this id. */
export const everybody = UserId.make("00000000-0000-0000-0000-000000000000")

/** More than this many different names in one message are text. */
const most = 50

/**
 * A name begins after something that is no part of a word, so that an e-mail address mentions nobody, and ends where no
 * letter follows.
 */
const name = /(?<![\p{L}\p{N}_.@-])@([a-z0-9_.-]{1,128})(?![\p{L}\p{N}])/giu

/**
 * The names that a text mentions, in lower case and each once. A name at the end of a sentence has two forms, since
 * usernames may end in punctuation too: "@bob." is `bob.` or else `bob`.
 */
export const namesIn = (body: string): ReadonlyArray<ReadonlyArray<string>> => {
  const found = new Map<string, ReadonlyArray<string>>()
  for (const [, written = ""] of body.matchAll(name)) {
    const whole = written.toLowerCase()
    const bare = whole.replace(/[._-]+$/, "")
    found.set(whole, bare === "" || bare === whole ? [whole] : [whole, bare])
    if (found.size === most) break
  }
  return [...found.values()]
}
