import { namesIn } from "../../src/domain/Mentions.ts"

/** Users are numbers in the model: their positions in the list of names. */
export type Person = number
/** The role of a member. */
type Role = "owner" | "admin" | "member"

interface ModelMember {
  role: Role
  joinedSeq: number
  visibleFromSeq: number
  readSeq: number
}

interface ModelMessage {
  readonly seq: number
  readonly sender: Person
  readonly replySeq: number | null
  readonly rootSeq: number | null
  body: string
  mentions: ReadonlySet<Person>
  mentionsAll: boolean
  deleted: boolean
  pinned: boolean
  replies: number
  revision: number
  changedSeq: number
  /** The users by emoji, in the order in which the emoji were first given. */
  readonly reactions: Map<string, Set<Person>>
  readonly hiddenFor: Set<Person>
}

interface ModelEvent {
  readonly seq: number
  readonly event: string
  readonly actor: Person
  readonly messageSeq?: number
  readonly data?: Readonly<Record<string, unknown>>
}

/** The answer of an operation: "ok", or the tag or code of its problem. */
export type Outcome = "ok" | "NotFound" | "Forbidden" | "not-a-group" | "last-owner" | "message-deleted"

/** A conversation as the contract describes it, in the plainest form: without storage, locks and caches. */
export class ModelConversation {
  readonly members = new Map<Person, ModelMember>()
  readonly messages = new Map<number, ModelMessage>()
  readonly events: Array<ModelEvent> = []
  readonly threadMarks = new Map<string, number>()
  readonly kind: "dm" | "group"
  /** The users who may not write to this DM. */
  readonly muted = new Set<Person>()
  private readonly names: ReadonlyArray<string>
  private readonly ids: ReadonlyArray<string>
  private historyForAll: boolean

  constructor(
    kind: "dm" | "group",
    creator: Person,
    others: ReadonlyArray<Person>,
    names: ReadonlyArray<string>,
    ids: ReadonlyArray<string>
  ) {
    this.kind = kind
    this.names = names
    this.ids = ids
    this.historyForAll = kind === "dm"
    for (const person of [creator, ...others]) {
      const role = kind === "group" && person === creator ? "owner" : "member"
      this.members.set(person, { role, joinedSeq: 1, visibleFromSeq: 1, readSeq: 0 })
    }
    this.add("conversation.created", creator)
  }

  get head(): number {
    return this.events.length
  }

  send(sender: Person, body: string, replySeq: number | null, threadSeq: number | null): Outcome {
    const me = this.members.get(sender)
    if (me === undefined) return "NotFound"
    if (this.muted.has(sender)) return "Forbidden"
    if (replySeq !== null && !this.sees(sender, replySeq)) return "NotFound"
    const rootSeq = threadSeq === null ? null : this.rootFor(sender, threadSeq)
    if (rootSeq === undefined) return "NotFound"
    const seq = this.head + 1
    const { all, named } = this.mentioned(sender, body)
    this.messages.set(seq, {
      seq,
      sender,
      replySeq,
      rootSeq,
      body,
      mentions: named,
      mentionsAll: all,
      deleted: false,
      pinned: false,
      replies: 0,
      revision: 1,
      changedSeq: seq,
      reactions: new Map(),
      hiddenFor: new Set()
    })
    const root = rootSeq === null ? undefined : this.messages.get(rootSeq)
    if (root === undefined) {
      me.readSeq = Math.max(me.readSeq, seq)
    } else {
      root.replies++
      root.changedSeq = seq
      this.markThread(sender, root.seq, seq)
    }
    this.add("message.created", sender, seq)
    return "ok"
  }

  edit(person: Person, seq: number, body: string): Outcome {
    const message = this.messages.get(seq)
    if (message === undefined || !this.sees(person, seq)) return "NotFound"
    if (this.muted.has(person)) return "Forbidden"
    if (message.sender !== person) return "Forbidden"
    if (message.deleted) return "message-deleted"
    if (message.body === body) return "ok"
    const { all, named } = this.mentioned(person, body)
    Object.assign(message, { body, mentions: named, mentionsAll: all, revision: message.revision + 1 })
    this.change("message.edited", person, message)
    return "ok"
  }

  remove(person: Person, seq: number): Outcome {
    const message = this.messages.get(seq)
    if (message === undefined || !this.sees(person, seq)) return "NotFound"
    const role = this.members.get(person)?.role
    const writers = this.members.get(message.sender)?.role ?? "member"
    const mayByRole = this.kind === "group" && (role === "owner" || (role === "admin" && writers === "member"))
    if (message.sender !== person && !mayByRole) return "Forbidden"
    if (message.deleted) return "ok"
    Object.assign(message, { deleted: true, pinned: false, mentions: new Set(), mentionsAll: false })
    message.reactions.clear()
    this.change("message.deleted", person, message)
    return "ok"
  }

  react(person: Person, seq: number, emoji: string): Outcome {
    const message = this.messages.get(seq)
    if (message === undefined || !this.sees(person, seq)) return "NotFound"
    if (this.muted.has(person)) return "Forbidden"
    if (message.deleted) return "message-deleted"
    const given = message.reactions.get(emoji) ?? new Set()
    if (given.has(person)) return "ok"
    message.reactions.set(emoji, given.add(person))
    this.change("reaction.added", person, message, { emoji, userId: this.ids[person], count: given.size })
    return "ok"
  }

  unreact(person: Person, seq: number, emoji: string): Outcome {
    const message = this.messages.get(seq)
    if (message === undefined || !this.sees(person, seq)) return "NotFound"
    if (this.muted.has(person)) return "Forbidden"
    const given = message.reactions.get(emoji)
    if (given === undefined || !given.delete(person)) return "ok"
    if (given.size === 0) message.reactions.delete(emoji)
    this.change("reaction.removed", person, message, { emoji, userId: this.ids[person], count: given.size })
    return "ok"
  }

  pin(person: Person, seq: number, pinned: boolean): Outcome {
    const message = this.messages.get(seq)
    if (message === undefined || !this.sees(person, seq)) return "NotFound"
    if (this.muted.has(person)) return "Forbidden"
    if (this.kind === "group" && this.members.get(person)?.role === "member") return "Forbidden"
    if (message.pinned === pinned) return "ok"
    if (message.deleted) return "message-deleted"
    message.pinned = pinned
    this.change(pinned ? "message.pinned" : "message.unpinned", person, message)
    return "ok"
  }

  hide(person: Person, seq: number): Outcome {
    if (!this.sees(person, seq)) return "NotFound"
    this.messages.get(seq)?.hiddenFor.add(person)
    return "ok"
  }

  mark(person: Person, seq: number, force: boolean): Outcome {
    const me = this.members.get(person)
    if (me === undefined) return "NotFound"
    const upTo = Math.min(seq, this.head)
    me.readSeq = force ? Math.max(upTo, me.visibleFromSeq - 1) : Math.max(me.readSeq, upTo)
    return "ok"
  }

  markThreadOf(person: Person, messageSeq: number, seq: number): Outcome {
    if (!this.members.has(person)) return "NotFound"
    const rootSeq = this.rootFor(person, messageSeq)
    if (rootSeq === undefined || rootSeq === null) return "NotFound"
    const upTo = Math.min(seq, this.head)
    if (upTo > rootSeq) this.markThread(person, rootSeq, upTo)
    return "ok"
  }

  addMember(actor: Person, person: Person, blockedBy: boolean): Outcome {
    const me = this.members.get(actor)
    if (me === undefined) return "NotFound"
    if (this.kind === "dm") return "not-a-group"
    if (me.role === "member") return "Forbidden"
    if (this.members.has(person)) return "ok"
    if (blockedBy) return "Forbidden"
    const seq = this.add("member.joined", actor, undefined, { user: person, role: "member" })
    const visibleFromSeq = this.historyForAll ? 1 : seq
    this.members.set(person, { role: "member", joinedSeq: seq, visibleFromSeq, readSeq: visibleFromSeq - 1 })
    return "ok"
  }

  /** `known`: the target was a member once. */
  removeMember(actor: Person, person: Person, known: boolean): Outcome {
    const me = this.members.get(actor)
    const target = this.members.get(person)
    if (me === undefined) return "NotFound"
    if (this.kind === "dm") return "not-a-group"
    const leaves = actor === person
    if (me.role === "member" && !leaves) return "Forbidden"
    if (target === undefined) return known ? "ok" : "NotFound"
    if (me.role === "admin" && target.role !== "member" && !leaves) return "Forbidden"
    const heirs = [...this.members].filter(([other]) => other !== person)
    if (target.role === "owner" && !heirs.some(([, { role }]) => role === "owner")) {
      const [heir] = heirs.sort(
        ([a, one], [b, two]) =>
          Number(one.role === "member") - Number(two.role === "member") ||
          one.joinedSeq - two.joinedSeq ||
          (this.ids[a] ?? "").localeCompare(this.ids[b] ?? "")
      )
      if (heir !== undefined) {
        heir[1].role = "owner"
        this.add("member.role-changed", actor, undefined, { user: heir[0], role: "owner" })
      }
    }
    this.add("member.left", actor, undefined, { user: person, removed: !leaves })
    this.members.delete(person)
    return "ok"
  }

  changeRole(actor: Person, person: Person, role: Role): Outcome {
    const me = this.members.get(actor)
    const target = this.members.get(person)
    if (me === undefined) return "NotFound"
    if (this.kind === "dm") return "not-a-group"
    if (me.role !== "owner") return "Forbidden"
    if (target === undefined) return "NotFound"
    if (target.role === role) return "ok"
    const owners = [...this.members.values()].filter((member) => member.role === "owner").length
    if (target.role === "owner" && owners === 1) return "last-owner"
    target.role = role
    this.add("member.role-changed", actor, undefined, { user: person, role })
    return "ok"
  }

  setHistory(actor: Person, all: boolean): Outcome {
    const me = this.members.get(actor)
    if (me === undefined) return "NotFound"
    if (this.muted.has(actor)) return "Forbidden"
    if (this.kind === "dm") return "not-a-group"
    if (me.role !== "owner") return "Forbidden"
    if (all === this.historyForAll) return "ok"
    this.historyForAll = all
    this.add("conversation.updated", actor, undefined, { historyForNewMembers: all ? "all" : "from-join" })
    return "ok"
  }

  /** The messages outside of threads as a member sees them, or undefined for a non-member. */
  history(person: Person) {
    const me = this.members.get(person)
    if (me === undefined) return undefined
    return [...this.messages.values()]
      .filter(({ hiddenFor, rootSeq, seq }) => rootSeq === null && seq >= me.visibleFromSeq && !hiddenFor.has(person))
      .map((message) => this.shown(message, me))
  }

  /** The emoji that a member has given to a message. */
  given(person: Person, seq: number): ReadonlyArray<string> {
    const reactions = this.messages.get(seq)?.reactions ?? new Map<string, Set<Person>>()
    return [...reactions].flatMap(([emoji, people]) => (people.has(person) ? [emoji] : []))
  }

  /** The log as a member sees it. */
  log(person: Person): ReadonlyArray<object> | undefined {
    const me = this.members.get(person)
    if (me === undefined) return undefined
    return this.events
      .filter(({ seq }) => seq >= me.visibleFromSeq)
      .map(({ actor, data, event, messageSeq, seq }) => {
        const message = messageSeq === undefined ? undefined : this.messages.get(messageSeq)
        if (message === undefined) return { seq, event, actor, ...data }
        if (message.seq < me.visibleFromSeq) return { seq, event, actor, messageSeq }
        if (event === "message.created" || event === "message.edited")
          return { seq, event, actor, message: this.shown(message, me) }
        return { seq, event, actor, messageSeq, ...data }
      })
  }

  unread(person: Person) {
    const me = this.members.get(person)
    if (me === undefined) return undefined
    const others = [...this.messages.values()].filter(
      ({ deleted, hiddenFor, sender, seq }) =>
        sender !== person && !deleted && seq >= me.visibleFromSeq && !hiddenFor.has(person)
    )
    const markOf = ({ rootSeq }: ModelMessage) =>
      rootSeq === null ? me.readSeq : (this.threadMarks.get(`${rootSeq} ${person}`) ?? 0)
    return {
      unreadCount: others.filter(({ rootSeq, seq }) => rootSeq === null && seq > me.readSeq).length,
      mentionCount: others.filter(
        (message) => (message.mentionsAll || message.mentions.has(person)) && message.seq > markOf(message)
      ).length
    }
  }

  private add(event: string, actor: Person, messageSeq?: number, data?: Readonly<Record<string, unknown>>): number {
    const seq = this.head + 1
    this.events.push({ seq, event, actor, ...(messageSeq !== undefined && { messageSeq }), ...(data && { data }) })
    return seq
  }

  private change(event: string, actor: Person, message: ModelMessage, data?: Readonly<Record<string, unknown>>): void {
    message.changedSeq = this.add(event, actor, message.seq, data)
  }

  private sees(person: Person, seq: number): boolean {
    const me = this.members.get(person)
    return me !== undefined && this.messages.has(seq) && seq >= me.visibleFromSeq
  }

  /** Finds the root of a thread. A hidden root is found by its id when the member sees one of its replies. */
  private rootFor(person: Person, seq: number): number | undefined {
    const message = this.messages.get(seq)
    if (message === undefined) return undefined
    const root = message.rootSeq ?? message.seq
    if (this.sees(person, seq)) return root
    const seen = [...this.messages.values()].some(
      ({ rootSeq, seq }) => rootSeq === message.seq && this.sees(person, seq)
    )
    return seen ? root : undefined
  }

  private markThread(person: Person, rootSeq: number, seq: number): void {
    const key = `${rootSeq} ${person}`
    this.threadMarks.set(key, Math.max(this.threadMarks.get(key) ?? 0, seq))
  }

  private mentioned(sender: Person, body: string) {
    const named = new Set<Person>()
    let all = false
    for (const forms of namesIn(body)) {
      for (const form of forms) {
        const person = this.names.indexOf(form)
        if (form === "all" && this.members.get(sender)?.role !== "member") all = true
        if (person >= 0 && this.members.has(person)) named.add(person)
      }
    }
    return { named, all }
  }

  private shown(message: ModelMessage, me: ModelMember) {
    const reply = message.replySeq === null ? undefined : this.messages.get(message.replySeq)
    return {
      seq: message.seq,
      sender: message.sender,
      body: message.deleted ? "" : message.body,
      reply:
        reply === undefined
          ? null
          : reply.seq < me.visibleFromSeq
            ? { seq: reply.seq, hidden: true }
            : { seq: reply.seq, excerpt: reply.deleted ? "" : reply.body, deleted: reply.deleted },
      replies: message.replies,
      revision: message.revision,
      changedSeq: message.changedSeq,
      deleted: message.deleted,
      pinned: message.pinned,
      reactions: [...message.reactions].map(([emoji, people]) => ({ emoji, count: people.size }))
    }
  }
}
