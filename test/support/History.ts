/** A message that a client wants to be stored, and the answer that it got. */
export interface Send {
  readonly conversationId: string
  readonly clientMessageId: string
  readonly body: string
  /** The number of attempts. */
  attempts: number
  readonly acks: Array<{ readonly messageId: string; readonly seq: number; readonly duplicate: boolean }>
}

/** A frame about one conversation that a client has received. */
export interface Received {
  readonly event: string
  readonly conversationId: string
  /** The position in the log; undefined for a frame without one. */
  readonly seq: number | undefined
  readonly messageId: string | undefined
  /** The seq in `conversation.reset`, `.added` and `.dirty` and in the list of conversations. */
  readonly head: number | undefined
}

/** One connection: all frames about conversations from its hello on, in their order. */
export interface Connected {
  readonly node: string
  /** The cursors in the hello; undefined when it asked for the list of conversations. */
  readonly cursors: ReadonlyMap<string, number> | undefined
  readonly received: Array<Received>
  /** Why it ended. */
  end: string
}

/** The final state of a conversation in a client: from which seq on it shows the log, and what it shows at each seq. */
export interface View {
  readonly after: number
  /** Up to this seq the conversation was fetched as history, which has messages only. */
  readonly messagesOnlyUpTo: number
  readonly events: ReadonlyMap<number, string>
}

/** Everything that one client did and received. */
export interface ClientHistory {
  readonly userId: string
  readonly name: string
  readonly sends: ReadonlyArray<Send>
  /** Read markers that were acknowledged, by conversation. */
  readonly marks: ReadonlyMap<string, number>
  /** Read markers that were asked for, by conversation. */
  readonly asked: ReadonlyMap<string, ReadonlySet<number>>
  readonly connections: ReadonlyArray<Connected>
  /** The last seq that it has of each conversation. */
  readonly cursors: ReadonlyMap<string, number>
  readonly views: ReadonlyMap<string, View>
  /** Frames and answers that no correct server sends. */
  readonly complaints: ReadonlyArray<string>
  /** `unreadCount` by conversation, as the service answered at the end. */
  readonly badges: ReadonlyMap<string, number>
}

/** A message as it is in the database. */
interface StoredMessage {
  readonly seq: number
  readonly messageId: string
  readonly senderId: string
  readonly clientMessageId: string
  readonly body: string
  readonly deleted: boolean
}

/** A membership as it is in the database. */
interface StoredMember {
  readonly userId: string
  readonly visibleFromSeq: number
  readonly leftSeq: number | null
  readonly readSeq: number
}

/** A conversation as it is in the database. */
export interface Stored {
  readonly id: string
  readonly head: number
  readonly messages: ReadonlyArray<StoredMessage>
  readonly events: ReadonlyArray<{ readonly seq: number; readonly event: string }>
  readonly members: ReadonlyArray<StoredMember>
}

type Report = (what: string) => void

/** Checks that each seq of the log is taken once, from 1 to the head. */
const checkLog = ({ events, head, id, messages }: Stored, report: Report) => {
  const seqs = [...messages, ...events].map(({ seq }) => seq).sort((a, b) => a - b)
  seqs.forEach((seq, index) => {
    if (seq !== index + 1) report(`${id}: seq ${seq} at place ${index + 1} of the log`)
  })
  if (seqs.length !== head) report(`${id}: the head is ${head}, but there are ${seqs.length} events`)
}

/**
 * Checks that each acknowledged message is stored exactly once, at the acknowledged seq, and that nothing else is
 * stored.
 */
const checkSends = (clients: ReadonlyArray<ClientHistory>, stored: ReadonlyMap<string, Stored>, report: Report) => {
  const key = (conversationId: string, senderId: string, clientMessageId: string) =>
    `${conversationId} ${senderId} ${clientMessageId}`
  const bySend = new Map<string, Array<StoredMessage>>()
  for (const { id, messages } of stored.values()) {
    for (const message of messages) {
      const of = key(id, message.senderId, message.clientMessageId)
      bySend.set(of, [...(bySend.get(of) ?? []), message])
    }
  }
  for (const { name, sends, userId } of clients) {
    for (const { acks, attempts, body, clientMessageId, conversationId } of sends) {
      const of = key(conversationId, userId, clientMessageId)
      const found = bySend.get(of) ?? []
      bySend.delete(of)
      const what = `${name}'s ${clientMessageId} in ${conversationId} (${attempts} attempts)`
      if (found.length > 1) report(`${what} is stored ${found.length} times: ${found.map(({ seq }) => seq)}`)
      const [message] = found
      if (message !== undefined && message.body !== body) report(`${what} is stored with another body`)
      for (const { messageId, seq } of acks) {
        if (message === undefined) report(`${what} was acknowledged at seq ${seq} and is lost`)
        else if (message.seq !== seq || message.messageId !== messageId)
          report(`${what} was acknowledged as ${messageId} at seq ${seq} and is ${message.messageId} at ${message.seq}`)
      }
      if (acks.length === 0) report(`${what} was never acknowledged`)
      if (acks.filter(({ duplicate }) => !duplicate).length > 1) report(`${what} was new more than once`)
    }
  }
  for (const of of bySend.keys()) report(`${of} is stored, and nobody sent it`)
}

/** The content of the log at each seq: the id of a message, or the name of an event. */
const logOf = ({ events, messages }: Stored) =>
  new Map([
    ...messages.map(({ messageId, seq }) => [seq, messageId] as const),
    ...events.map(({ event, seq }) => [seq, event] as const)
  ])

type Logs = ReadonlyMap<string, ReadonlyMap<number, string>>

/**
 * Checks, for one connection, that each seq came once, in order and without gaps, and that it is what the log has
 * there.
 */
const checkOrder = (name: string, { cursors, node, received }: Connected, logs: Logs, report: Report) => {
  const next = new Map([...(cursors ?? [])].map(([id, seq]) => [id, seq + 1]))
  const live = new Set<string>()
  for (const { conversationId: id, event, head, messageId, seq } of received) {
    const where = `${name} on ${node}, ${id}`
    const expected = next.get(id)
    if (event === "conversation.removed") {
      next.delete(id)
      live.delete(id)
    } else if (event === "ready" || event === "conversation.added") {
      if (live.has(id)) report(`${where}: ${event} twice`)
      live.add(id)
      next.set(id, (head ?? 0) + 1)
    } else if (event === "conversation.reset") {
      if (expected !== undefined && (head ?? 0) + 1 < expected)
        report(`${where}: reset back to ${head}, when ${expected} was next`)
      next.set(id, (head ?? 0) + 1)
    } else if (seq !== undefined) {
      if (expected === undefined) report(`${where}: ${event} ${seq} before the conversation was introduced`)
      else if (seq !== expected) report(`${where}: got ${seq} where ${expected} was next`)
      next.set(id, seq + 1)
      const there = logs.get(id)?.get(seq)
      const what = messageId ?? event
      if (there !== what) report(`${where}: ${what} at ${seq}, where the log has ${there ?? "nothing"}`)
    }
  }
}

const checkClient = (client: ClientHistory, stored: ReadonlyMap<string, Stored>, logs: Logs, report: Report) => {
  const { asked, badges, complaints, connections, cursors, marks, name, sends, userId, views } = client
  for (const complaint of complaints) report(`${name}: ${complaint}`)
  for (const connection of connections) {
    checkOrder(name, connection, logs, report)
    for (const { conversationId, event, seq } of connection.received) {
      const member = stored.get(conversationId)?.members.find((each) => each.userId === userId)
      const isVisible =
        member !== undefined &&
        (seq === undefined || (member.visibleFromSeq <= seq && (member.leftSeq === null || seq < member.leftSeq)))
      if (!isVisible) report(`${name}, who may not, got ${event} ${seq ?? ""} of ${conversationId}`)
    }
  }
  for (const conversation of stored.values()) {
    const { head, id, members, messages } = conversation
    const member = members.find((each) => each.userId === userId && each.leftSeq === null)
    if (member === undefined) continue
    const where = `${name}, ${id}`
    if (cursors.get(id) !== head) report(`${where}: is at ${cursors.get(id) ?? "nothing"}, and the head is ${head}`)
    const view = views.get(id)
    for (let seq = (view?.after ?? 0) + 1; view !== undefined && seq <= head; seq++) {
      const there = logs.get(id)?.get(seq)
      const shown = view.events.get(seq)
      const isMessage = messages.some((message) => message.messageId === there)
      if (shown === undefined && !isMessage && seq <= view.messagesOnlyUpTo) continue
      if (shown !== there) report(`${where}: shows ${shown ?? "nothing"} at ${seq}, where the log has ${there}`)
    }
    const own = sends
      .filter(({ conversationId }) => conversationId === id)
      .flatMap(({ acks }) => acks.map(({ seq }) => seq))
    const least = Math.max(marks.get(id) ?? 0, ...own, member.visibleFromSeq - 1)
    if (member.readSeq < least) report(`${where}: readSeq is ${member.readSeq}, but ${least} was acknowledged`)
    const possible = new Set([...own, ...(asked.get(id) ?? []), member.visibleFromSeq - 1])
    if (!possible.has(member.readSeq)) report(`${where}: nobody asked for readSeq ${member.readSeq}`)
    const unread = messages.filter(
      ({ deleted, senderId, seq }) =>
        senderId !== userId && !deleted && seq > member.readSeq && seq >= member.visibleFromSeq
    ).length
    if (badges.get(id) !== Math.min(100, unread))
      report(`${where}: the badge says ${badges.get(id) ?? "nothing"}, and ${unread} are unread`)
  }
}

/**
 * Finds everything that is wrong with a history, compared with the final database: acknowledged messages that are
 * lost, repeated or elsewhere; gaps in logs; events out of order, repeated, missing or seen by non-members; clients
 * that have not caught up; and wrong unread counts.
 */
export const violations = (
  clients: ReadonlyArray<ClientHistory>,
  conversations: ReadonlyArray<Stored>
): ReadonlyArray<string> => {
  const found: Array<string> = []
  const report = (what: string) => {
    found.push(what)
  }
  const stored = new Map(conversations.map((conversation) => [conversation.id, conversation]))
  const logs = new Map(conversations.map((conversation) => [conversation.id, logOf(conversation)]))
  for (const conversation of conversations) checkLog(conversation, report)
  checkSends(clients, stored, report)
  for (const client of clients) checkClient(client, stored, logs, report)
  return found
}
