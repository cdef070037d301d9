import { useChat, useMessages } from "chat-service/client/react"
import { useCallback, useEffect, useMemo, useState } from "react"
import type { Message, Sending } from "../chat/types.ts"
import { attempt } from "../ui/notices.tsx"

/** A part of the history around a message, which the state of the client does not have. */
interface Part {
  readonly items: ReadonlyArray<Message>
  readonly hasBefore: boolean
  readonly hasAfter: boolean
}

/** The messages of a conversation that are shown: the newest ones, or those around one of them. */
export interface Timeline {
  /** Ascending; null while they are fetched. */
  readonly messages: ReadonlyArray<Message> | null
  /** My messages on their way. */
  readonly sending: ReadonlyArray<Sending>
  readonly hasBefore: boolean
  /** Whether there are newer messages that are not shown. */
  readonly hasAfter: boolean
  readonly loadBefore: () => Promise<void>
  readonly loadAfter: () => Promise<void>
  /** Why there are no messages. */
  readonly error: unknown
}

/** A page may have come twice, when more was asked for before the first one was shown. */
const append = (items: ReadonlyArray<Message>, later: ReadonlyArray<Message>) => {
  const last = items.at(-1)?.seq ?? 0
  return [...items, ...later.filter(({ seq }) => seq > last)]
}

const join = (part: Part, live: ReadonlyArray<Message>): ReadonlyArray<Message> => {
  const [first] = live
  return first === undefined ? part.items : [...part.items.filter(({ seq }) => seq < first.seq), ...live]
}

/** Whether a part has come so close to the newest messages that nothing is missing between. */
const touches = (part: Part, live: ReadonlyArray<Message> | null): live is ReadonlyArray<Message> =>
  live !== null && (!part.hasAfter || (part.items.at(-1)?.seq ?? 0) >= (live[0]?.seq ?? 0))

/** The events that change messages which are there already. */
export const messageChanges = [
  "message.edited",
  "message.deleted",
  "message.pinned",
  "message.unpinned",
  "reaction.added",
  "reaction.removed",
  "poll.voted"
] as const

/** Keeps a part of the history that the client does not keep up to date. */
const usePart = (id: string, around: number | null) => {
  const chat = useChat()
  const [part, setPart] = useState<Part | null>(null)
  useEffect(() => {
    setPart(null)
    if (around === null) return
    const conversation = chat.conversation(id)
    let current = true
    attempt(conversation.list({ around }).then((page) => current && setPart(page)))
    const fetchAgain = async (seq: number) => {
      const { items } = await conversation.list({ after: seq - 1, limit: 1 })
      const [next] = items
      if (!current || next?.seq !== seq) return
      setPart((now) => now && { ...now, items: now.items.map((one) => (one.seq === seq ? next : one)) })
    }
    const stops = messageChanges.map((name) =>
      conversation.on(name, ({ data }) => {
        const seq = "message" in data ? data.message.seq : "messageSeq" in data ? data.messageSeq : undefined
        // Without a connection, the next change or look shows it.
        if (seq !== undefined) fetchAgain(seq).catch(() => {})
      })
    )
    return () => {
      current = false
      for (const stop of stops) stop()
    }
  }, [chat, id, around])
  return [part, setPart] as const
}

/**
 * Shows the newest messages of a conversation, or those around the one with the `seq` `around` when it is not one of them.
 */
export const useTimeline = (id: string, around: number | null): Timeline => {
  const chat = useChat()
  const { error, hasBefore, loadOlder, messages: live, sending } = useMessages(id)
  // An empty history has no first message, but there is nothing before it either.
  const first = live === null ? undefined : (live[0]?.seq ?? 0)
  // It is decided once for each place, and holds when the newest messages grow towards it.
  const [place, setPlace] = useState<{ readonly around: number | null; readonly far: number | null } | null>(null)
  if (first !== undefined && place?.around !== around)
    setPlace({ around, far: around !== null && around < first && hasBefore ? around : null })
  const far = place?.far ?? null
  const [part, setPart] = usePart(id, far)
  const messages = useMemo(() => {
    if (far === null) return live
    return part === null ? null : touches(part, live) ? join(part, live) : part.items
  }, [far, part, live])

  const loadBefore = useCallback(async () => {
    const before = part?.items[0]?.seq
    if (before === undefined) return loadOlder()
    const page = await chat.conversation(id).list({ before })
    setPart((now) => now && { ...now, items: append(page.items, now.items), hasBefore: page.hasBefore })
  }, [chat, id, part, setPart, loadOlder])
  const loadAfter = useCallback(async () => {
    const after = part?.items.at(-1)?.seq
    if (after === undefined) return
    const page = await chat.conversation(id).list({ after })
    setPart((now) => now && { ...now, items: append(now.items, page.items), hasAfter: page.hasAfter })
  }, [chat, id, part, setPart])
  return {
    messages,
    sending,
    error,
    hasBefore: part?.hasBefore ?? hasBefore,
    hasAfter: part !== null && !touches(part, live),
    loadBefore,
    loadAfter
  }
}
