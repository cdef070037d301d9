import { Effect } from "effect"
import type { SocketLike } from "../../src/client/Connection.ts"
import type { Conversation } from "../../src/domain/Conversation.ts"
import { ConversationId, MessageId, UserId } from "../../src/domain/Ids.ts"
import type { Message } from "../../src/domain/Message.ts"

const uuid = (kind: number, n: number) => `0000000${kind}-0000-4000-8000-${String(n).padStart(12, "0")}`
export const userId = (n: number) => UserId.make(uuid(1, n))
const at = (n: number) => new Date(1_700_000_000_000 + n * 1000).toISOString()
const profile = (id: UserId) => ({
  id,
  username: `u${id.slice(-3)}`,
  displayName: "Somebody",
  avatarUrl: null,
  createdAt: at(0)
})

interface Entry {
  readonly event: string
  readonly actorId: UserId
  readonly messageSeq?: number
  readonly data: Readonly<Record<string, unknown>>
}

interface Room {
  readonly id: ConversationId
  readonly log: Array<Entry>
  readonly messages: Map<number, Message>
  readonly reactions: Map<number, Map<string, Set<UserId>>>
  title: string
  lastActivityAt: string
  members: number
  /** The membership of the user under test; null while the user is not a member. */
  mine: { joinedSeq: number; readSeq: number; archived: boolean; userSeq: number } | null
}

type Frame = Readonly<Record<string, unknown>>

/** A socket of the service, as the service sees it. */
interface Peer {
  readonly deliver: (frame: Frame) => void
  readonly close: (code: number) => void
  following: boolean
}

/** At most this many missed events are replayed. The numbers are small, so that resets happen. */
const replayLimit = { conversation: 8, hello: 25 }

/**
 * The contract of the log in its smallest form: conversations in memory, one user under test, and other users who act.
 * The caller decides what the network does to the frames.
 */
export class SimulatedService {
  readonly me = userId(0)
  readonly rooms: Array<Room> = []
  private readonly peers = new Set<Peer>()
  private userSeq = 0
  private ticks = 0

  private now() {
    return at(++this.ticks)
  }

  private broadcast(frame: Frame) {
    for (const peer of this.peers) if (peer.following) peer.deliver(frame)
  }

  private render(room: Room, seq: number): Frame {
    const entry = room.log[seq - 1]
    if (entry === undefined) throw new Error(`no ${seq}`)
    const message = entry.messageSeq === undefined ? undefined : room.messages.get(entry.messageSeq)
    const { me: _, ...data } = entry.data
    const carries = entry.event === "message.created" || entry.event === "message.edited"
    return {
      event: entry.event,
      conversationId: room.id,
      seq,
      at: entry.data.at ?? at(0),
      actorId: entry.actorId,
      data: {
        ...data,
        ...(carries && message !== undefined && { message: this.shown(room, message) }),
        ...(!carries && message !== undefined && { messageId: message.id, messageSeq: message.seq })
      }
    }
  }

  /** The message as all members see it, or with `forMe` as a fetch of the user shows it. */
  private shown(room: Room, message: Message, forMe = false): Message {
    const original = message.replyTo === null ? undefined : room.messages.get(message.replyTo.seq)
    const reactions = [...(room.reactions.get(message.seq) ?? [])].map(([emoji, users]) => ({
      emoji,
      count: users.size,
      ...(forMe && { me: users.has(this.me) })
    }))
    return {
      ...message,
      reactions: message.deletedAt === null ? reactions : [],
      replyTo:
        message.replyTo === null || original === undefined
          ? null
          : { ...message.replyTo, excerpt: original.body.slice(0, 140), deleted: original.deletedAt !== null }
    }
  }

  /** Writes the next entry of the log, lets it change the message that it is about, and sends it to the sockets. */
  private append(room: Room, entry: Entry, change: (seq: number) => void = () => {}): number {
    room.log.push({ ...entry, data: { at: this.now(), ...entry.data } })
    const seq = room.log.length
    change(seq)
    if (entry.messageSeq !== undefined) {
      const message = room.messages.get(entry.messageSeq)
      if (message !== undefined) room.messages.set(entry.messageSeq, { ...message, changedSeq: seq })
    }
    if (room.mine !== null) this.broadcast(this.render(room, seq))
    return seq
  }

  create(): Room {
    const room: Room = {
      id: ConversationId.make(uuid(2, this.rooms.length)),
      log: [],
      messages: new Map(),
      reactions: new Map(),
      title: "",
      lastActivityAt: at(0),
      members: 3,
      mine: { joinedSeq: 1, readSeq: 0, archived: false, userSeq: ++this.userSeq }
    }
    this.rooms.push(room)
    room.log.push({
      event: "conversation.created",
      actorId: userId(1),
      data: { kind: "group", title: "", memberCount: 3 }
    })
    this.broadcast({
      event: "conversation.added",
      conversationId: room.id,
      data: { conversation: this.conversation(room) }
    })
    return room
  }

  send(
    room: Room,
    senderId: UserId,
    body: string,
    { clientMessageId = `c${this.ticks}`, replySeq, rootSeq, mentions = [] }: SendOptions = {}
  ) {
    const known = [...room.messages.values()].find(
      (message) => message.senderId === senderId && message.clientMessageId === clientMessageId
    )
    if (known !== undefined) return { message: known, duplicate: true }
    const original = replySeq === undefined ? undefined : room.messages.get(replySeq)
    const root = rootSeq === undefined ? undefined : room.messages.get(rootSeq)
    const messageSeq = room.log.length + 1
    const createdAt = at(this.ticks + 1)
    const message: Message = {
      id: MessageId.make(uuid(3, this.ticks)),
      conversationId: room.id,
      seq: messageSeq,
      senderId,
      clientMessageId,
      type: "text",
      body,
      replyTo:
        original === undefined
          ? null
          : { messageId: original.id, seq: original.seq, senderId: original.senderId, excerpt: "", deleted: false },
      threadRootId: root?.id ?? null,
      threadReplyCount: 0,
      mentions,
      mentionsAll: false,
      payload: null,
      votes: null,
      attachments: [],
      reactions: [],
      pinned: false,
      createdAt,
      editedAt: null,
      deletedAt: null,
      revision: 1,
      changedSeq: messageSeq
    }
    const data =
      root === undefined
        ? {}
        : { threadRoot: { messageId: root.id, seq: root.seq, threadReplyCount: root.threadReplyCount + 1 } }
    this.append(room, { event: "message.created", actorId: senderId, messageSeq, data }, (seq) => {
      room.messages.set(seq, message)
      room.lastActivityAt = createdAt
      if (root !== undefined)
        room.messages.set(root.seq, { ...root, threadReplyCount: root.threadReplyCount + 1, changedSeq: seq })
      if (senderId === this.me && room.mine !== null) room.mine.readSeq = Math.max(room.mine.readSeq, seq)
    })
    return { message, duplicate: false }
  }

  edit(room: Room, messageSeq: number, body: string) {
    const message = room.messages.get(messageSeq)
    if (message === undefined || message.deletedAt !== null) return
    this.append(room, { event: "message.edited", actorId: message.senderId, messageSeq, data: {} }, () =>
      room.messages.set(messageSeq, { ...message, body, editedAt: at(this.ticks), revision: message.revision + 1 })
    )
  }

  remove(room: Room, messageSeq: number) {
    const message = room.messages.get(messageSeq)
    if (message === undefined || message.deletedAt !== null) return
    this.append(room, { event: "message.deleted", actorId: message.senderId, messageSeq, data: {} }, () =>
      room.messages.set(messageSeq, {
        ...message,
        body: "",
        mentions: [],
        attachments: [],
        pinned: false,
        deletedAt: at(this.ticks)
      })
    )
  }

  react(room: Room, messageSeq: number, actorId: UserId, emoji: string) {
    const message = room.messages.get(messageSeq)
    if (message === undefined || message.deletedAt !== null) return
    const reactions = room.reactions.get(messageSeq) ?? new Map<string, Set<UserId>>()
    room.reactions.set(messageSeq, reactions)
    const users = reactions.get(emoji) ?? new Set()
    const event = users.has(actorId) ? "reaction.removed" : "reaction.added"
    if (event === "reaction.removed") users.delete(actorId)
    else users.add(actorId)
    if (users.size === 0) reactions.delete(emoji)
    else reactions.set(emoji, users)
    this.append(room, { event, actorId, messageSeq, data: { emoji, userId: actorId, count: users.size } })
  }

  pin(room: Room, messageSeq: number) {
    const message = room.messages.get(messageSeq)
    if (message === undefined || message.deletedAt !== null) return
    const event = message.pinned ? "message.unpinned" : "message.pinned"
    this.append(room, { event, actorId: userId(1), messageSeq, data: {} }, () =>
      room.messages.set(messageSeq, { ...message, pinned: !message.pinned })
    )
  }

  rename(room: Room, title: string) {
    this.append(room, { event: "conversation.updated", actorId: userId(1), data: { title } }, () => {
      room.title = title
    })
  }

  joined(room: Room, n: number) {
    const user = profile(userId(n))
    this.append(room, { event: "member.joined", actorId: userId(1), data: { user, role: "member" } }, () => {
      room.members++
    })
  }

  left(room: Room, n: number) {
    this.append(room, { event: "member.left", actorId: userId(n), data: { userId: userId(n), removed: false } }, () => {
      room.members--
    })
  }

  /** Appends an event of a kind that no current client knows. */
  surprise(room: Room) {
    this.append(room, { event: "message.levitated", actorId: userId(1), data: {} })
  }

  archive(room: Room) {
    if (room.mine === null) return
    room.mine.archived = !room.mine.archived
    room.mine.userSeq = ++this.userSeq
    this.broadcast({ event: "conversation.settings", conversationId: room.id, data: { me: this.membership(room) } })
  }

  read(room: Room, seq: number, force = false) {
    if (room.mine === null) return
    const to = Math.min(room.log.length, force ? seq : Math.max(seq, room.mine.readSeq))
    if (to === room.mine.readSeq) return
    room.mine.readSeq = to
    room.mine.userSeq = ++this.userSeq
    this.broadcast({ event: "read.marked", conversationId: room.id, data: { userId: this.me, seq: to } })
  }

  /** Removes the user under test from the conversation, or adds the user again. */
  toggle(room: Room) {
    this.userSeq++
    if (room.mine !== null) {
      this.append(room, { event: "member.left", actorId: userId(1), data: { userId: this.me, removed: true } })
      room.members--
      room.mine = null
      this.broadcast({ event: "conversation.removed", conversationId: room.id, data: {} })
      return
    }
    room.members++
    const joinedSeq = room.log.length + 1
    this.append(room, { event: "member.joined", actorId: userId(1), data: { user: profile(this.me), role: "member" } })
    room.mine = { joinedSeq, readSeq: joinedSeq - 1, archived: false, userSeq: this.userSeq }
    this.broadcast({
      event: "conversation.added",
      conversationId: room.id,
      data: { conversation: this.conversation(room) }
    })
  }

  private visible(room: Room) {
    const from = room.mine?.joinedSeq ?? Number.POSITIVE_INFINITY
    return [...room.messages.values()].filter(({ seq, threadRootId }) => threadRootId === null && seq >= from)
  }

  private membership(room: Room): Conversation["me"] {
    const { archived = false, joinedSeq = 0, readSeq = 0 } = room.mine ?? {}
    const unread = this.visible(room).filter(
      ({ deletedAt, senderId, seq }) => seq > readSeq && senderId !== this.me && deletedAt === null
    )
    return {
      role: "member",
      joinedSeq,
      visibleFromSeq: joinedSeq,
      readSeq,
      deliveredSeq: readSeq,
      unreadCount: Math.min(100, unread.length),
      mentionCount: unread.filter(({ mentions }) => mentions.includes(this.me)).length,
      mutedUntil: null,
      archived,
      pinned: false,
      notify: "all"
    }
  }

  /** The conversation as a fetch answers it now. */
  conversation(room: Room): Conversation {
    const last = this.visible(room).at(-1)
    return {
      id: room.id,
      kind: "group",
      title: room.title,
      avatarUrl: null,
      createdBy: userId(1),
      createdAt: at(0),
      seq: room.log.length,
      lastActivityAt: room.lastActivityAt,
      lastMessage: last === undefined ? null : this.shown(room, last, true),
      memberCount: room.members,
      historyForNewMembers: "from-join",
      messageLifetimeSeconds: null,
      peer: null,
      me: this.membership(room)
    }
  }

  /** The whole history, as a fetch answers it now. */
  history(room: Room): ReadonlyArray<Message> {
    return this.visible(room).map((message) => this.shown(room, message, true))
  }

  private hello(peer: Peer, id: unknown, data: Frame) {
    const mine = this.rooms.filter((room) => room.mine !== null)
    peer.deliver({
      id,
      ok: {
        user: { ...profile(this.me), email: "me@example.com" },
        userSeq: this.userSeq,
        heartbeatMs: 25_000,
        limits: { commandsInFlight: 8 }
      }
    })
    peer.following = true
    const { cursors, userSeq } = data
    if (typeof cursors !== "object" || cursors === null) {
      const list = mine.map((room) => this.conversation(room))
      const half = Math.ceil(list.length / 2)
      peer.deliver({ event: "ready", data: { conversations: list.slice(0, half) } })
      return peer.deliver({ event: "ready", data: { conversations: list.slice(half), done: true } })
    }
    const known = new Map<string, unknown>(Object.entries(cursors))
    let budget = replayLimit.hello
    for (const room of mine) {
      const cursor = known.get(room.id)
      if (typeof cursor !== "number" || room.mine === null || cursor < room.mine.joinedSeq - 1) {
        const conversation = this.conversation(room)
        peer.deliver({ event: "conversation.added", conversationId: room.id, data: { conversation } })
        continue
      }
      const missed = room.log.length - cursor
      if (missed < 0 || missed > Math.min(budget, replayLimit.conversation)) {
        peer.deliver({ event: "conversation.reset", conversationId: room.id, data: { seq: room.log.length } })
        continue
      }
      budget -= missed
      for (let seq = cursor + 1; seq <= room.log.length; seq++) peer.deliver(this.render(room, seq))
    }
    for (const room of this.rooms) {
      if (room.mine === null && known.has(room.id))
        peer.deliver({ event: "conversation.removed", conversationId: room.id, data: {} })
      if (room.mine !== null && room.mine.userSeq > Number(userSeq))
        peer.deliver({ event: "conversation.settings", conversationId: room.id, data: { me: this.membership(room) } })
    }
    peer.deliver({ event: "ready", data: { resumed: true, done: true } })
  }

  private page(room: Room, before: unknown) {
    const all = this.history(room).filter(({ seq }) => typeof before !== "number" || seq < before)
    return { items: all.slice(-5), hasBefore: all.length > 5, hasAfter: false }
  }

  private answer(op: unknown, data: Frame): unknown {
    if (op === "ping") return {}
    if (op === "draft.list") return { items: [] }
    const room = this.rooms.find(({ id, mine }) => id === data.conversationId && mine !== null)
    if (room === undefined) return undefined
    switch (op) {
      case "conversation.get":
        return this.conversation(room)
      case "message.list":
        return this.page(room, data.before)
      case "message.send": {
        const clientMessageId = String(data.clientMessageId)
        const { duplicate, message } = this.send(room, this.me, String(data.body), { clientMessageId })
        return { messageId: message.id, seq: message.seq, createdAt: message.createdAt, duplicate }
      }
      case "read.mark":
        this.read(room, Number(data.seq), data.force === true)
        return {}
      default:
        return undefined
    }
  }

  /** Accepts a socket, which has a function to deliver frames and one to close it. */
  accept(peer: Omit<Peer, "following">) {
    const one: Peer = { ...peer, following: false }
    this.peers.add(one)
    return {
      receive: (text: string) => {
        if (!this.peers.has(one)) return
        const { data = {}, id, op } = JSON.parse(text)
        if (op === "hello") return this.hello(one, id, data)
        const ok = this.answer(op, data)
        const problem = { type: "/problems/not-found", status: 404, title: "Not found" }
        one.deliver(ok === undefined ? { id, error: problem } : { id, ok })
      },
      gone: () => this.peers.delete(one)
    }
  }
}

interface SendOptions {
  readonly clientMessageId?: string
  readonly replySeq?: number
  readonly rootSeq?: number
  readonly mentions?: ReadonlyArray<UserId>
}

/** The faults of a network. They happen at random, by `random`; `healthy` only delays. */
interface Weather {
  healthy: boolean
}

type Listener = (event: { readonly data: unknown; readonly code: number }) => void

/**
 * Opens sockets to a simulated service over a network that delays, drops, repeats, reorders and cuts. A connection
 * that has lost or swapped frames is cut within seconds, as TCP does: a client need not notice faults that no
 * connection survives.
 */
export const simulatedNetwork = Effect.fnUntraced(function* (
  service: SimulatedService,
  random: () => number,
  weather: Weather
) {
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const later = (ms: number, act: () => void) => fork(Effect.delay(Effect.sync(act), ms))
  let opened = 0

  const open = (): SocketLike => {
    opened++
    const listeners = new Map<string, Listener>()
    let isOpen = false
    let over = false
    let broken = false
    let lastDelivery = 0
    const tell = (type: string, event: { data?: unknown; code?: number } = {}) =>
      listeners.get(type)?.({ data: event.data, code: event.code ?? 0 })
    const clock = { now: 0 }

    const end = (code: number) => {
      if (over) return
      over = true
      peer.gone()
      tell("close", { code })
    }

    /** Delivers in order, after the network's delay; a frame out of order dooms the connection. */
    const carry = (act: () => void) => {
      const chance = weather.healthy ? 1 : random()
      if (chance < 0.06) {
        broken = true
        later(random() * 5000, () => end(1006))
        if (chance < 0.02) return
        return void later(random() * 2000, () => !over && act())
      }
      lastDelivery = Math.max(lastDelivery, clock.now + 1 + random() * 40)
      later(lastDelivery - clock.now, () => !over && act())
      if (chance < 0.1) later(lastDelivery - clock.now, () => !over && act())
    }
    // The time of this connection without a clock: it only has to grow.
    const tick = () => {
      clock.now += 5
      if (!over) later(5, tick)
    }
    tick()

    const peer = service.accept({
      deliver: (frame) => {
        const text = JSON.stringify(frame)
        // A list of which a part was lost must not count as complete.
        if (!broken || frame.event !== "ready") carry(() => tell("message", { data: text }))
      },
      close: end
    })
    later(1 + random() * 50, () => {
      if (!weather.healthy && random() < 0.2) return end(1006)
      if (over) return
      isOpen = true
      tell("open")
      if (weather.healthy) return
      const codes = [1006, 1006, 4000, 4002, 4003, 4005]
      later(random() * 20_000, () => end(codes[Math.floor(random() * codes.length)] ?? 1006))
    })
    return {
      send: (text) => {
        if (isOpen && !over) carry(() => peer.receive(text))
      },
      close: () => end(1000),
      addEventListener: (type: string, listener: Listener) => void listeners.set(type, listener)
    }
  }
  return { open, opened: () => opened }
})
