import { unreadCap } from "../../domain/Conversation.ts"
import { NotFound } from "../../domain/Problem.ts"
import type { Conversation, EventName, EventOf, Me, Message, User } from "../Plain.ts"
import type { Frame, TestConversation } from "./TestConversation.ts"

/** An id of its own kind, and the same in every run: tests can compare what a page shows. */
const uuid = (kind: number, n: number) => `0000000${kind}-0000-4000-8000-${String(n).padStart(12, "0")}`

/** Users and conversations in memory. Its clock begins with 2026 and goes on by a second whenever something happens. */
export class TestConversations {
  readonly people = new Map<string, Me>()
  readonly all = new Map<string, TestConversation>()
  private ticks = 0
  private readonly publish: (conversation: TestConversation, frame: Frame, to?: ReadonlySet<string>) => void

  /** `publish` sends an event to the members of a conversation, or to those of them in `to`. */
  constructor(publish: (conversation: TestConversation, frame: Frame, to?: ReadonlySet<string>) => void) {
    this.publish = publish
  }

  /** The time of now, which is later than every one before. */
  now(): string {
    return new Date(Date.UTC(2026, 0, 1) + 1000 * this.ticks++).toISOString()
  }

  /** How much has happened. */
  get userSeq(): number {
    return this.ticks
  }

  /** The user of that name, who is made when there is none. */
  person(username: string): Me {
    const known = [...this.people.values()].find((one) => one.username === username)
    if (known !== undefined) return known
    const id = uuid(1, this.people.size)
    const email = `${username}@example.com`
    const createdAt = this.now()
    const me: Me = { id, username, displayName: username, avatarUrl: null, createdAt, kind: "human", email }
    this.people.set(id, me)
    return me
  }

  /** What everybody may know of a user. */
  profile(userId: string): User {
    const { email: _, whoMayAddMe: __, ...user } = this.people.get(userId) ?? this.notFound()
    return user
  }

  notFound(): never {
    throw new NotFound({})
  }

  /** The conversation, if the user is a member. */
  get(userId: string, conversationId: string): TestConversation {
    const conversation = this.all.get(conversationId)
    return conversation?.members.has(userId) === true ? conversation : this.notFound()
  }

  /** Opens the direct conversation of two users, or makes a group. */
  create(userId: string, kind: "dm" | "group", others: ReadonlyArray<string>, title: string | null): TestConversation {
    const ids = [...new Set([userId, ...others])]
    const known = [...this.all.values()].find(
      (conversation) =>
        conversation.kind === "dm" &&
        conversation.members.size === ids.length &&
        ids.every((id) => conversation.members.has(id))
    )
    if (kind === "dm" && known !== undefined) return known
    const at = this.now()
    const conversation: TestConversation = {
      id: uuid(2, this.all.size),
      kind,
      title,
      createdBy: userId,
      createdAt: at,
      members: new Map(),
      messages: new Map(),
      reactions: new Map(),
      log: [],
      drafts: new Map(),
      lastActivityAt: at
    }
    this.all.set(conversation.id, conversation)
    for (const id of ids) {
      this.profile(id)
      const role = kind === "group" && id === userId ? "owner" : "member"
      conversation.members.set(id, { joinedSeq: 1, role, readSeq: 0 })
    }
    this.log(conversation, userId, "conversation.created", () => ({ kind, title, memberCount: ids.length }), at)
    for (const id of ids) this.announce(conversation, id)
    return conversation
  }

  /** Tells a user that a conversation is theirs now. */
  private announce(conversation: TestConversation, userId: string) {
    const data = { conversation: this.seenBy(conversation, userId) }
    this.publish(
      conversation,
      { event: "conversation.added", conversationId: conversation.id, data },
      new Set([userId])
    )
  }

  /** Writes the next event of the log, and publishes it, except for the first one. */
  private log<Name extends EventName>(
    conversation: TestConversation,
    actorId: string,
    event: Name,
    data: () => EventOf<Name>["data"],
    at: string
  ): number {
    const seq = conversation.log.length + 1
    const entry = () => ({ event, conversationId: conversation.id, seq, at, actorId, data: data() })
    conversation.log.push(entry)
    if (seq > 1) this.publish(conversation, entry())
    return seq
  }

  /** The conversation as a member sees it. */
  seenBy(conversation: TestConversation, userId: string): Conversation {
    const { createdAt, createdBy, id, kind, lastActivityAt, members, title } = conversation
    const { joinedSeq, readSeq, role } = members.get(userId) ?? this.notFound()
    const shown = [...conversation.messages.values()].filter(({ threadRootId }) => threadRootId === null)
    const unread = shown.filter(
      ({ deletedAt, senderId, seq }) => seq > readSeq && senderId !== userId && deletedAt === null
    )
    const mentioned = unread.filter(({ mentions }) => mentions.includes(userId))
    const last = shown.at(-1)
    const peerId = [...members.keys()].find((one) => one !== userId)
    return {
      id,
      kind,
      title,
      avatarUrl: null,
      createdBy,
      createdAt,
      historyForNewMembers: kind === "dm" ? "all" : "from-join",
      messageLifetimeSeconds: null,
      seq: conversation.log.length,
      lastActivityAt,
      lastMessage: last === undefined ? null : this.message(conversation, last.id, userId),
      memberCount: members.size,
      peer: kind === "dm" && peerId !== undefined ? this.profile(peerId) : null,
      me: {
        role,
        joinedSeq,
        visibleFromSeq: 1,
        readSeq,
        deliveredSeq: readSeq,
        unreadCount: Math.min(unreadCap, unread.length),
        mentionCount: Math.min(unreadCap, mentioned.length),
        mutedUntil: null,
        archived: false,
        pinned: false,
        notify: "all"
      }
    }
  }

  /** A message as all see it, or with a user as that one sees it. */
  message(conversation: TestConversation, messageId: string, userId?: string): Message {
    const message = conversation.messages.get(messageId) ?? this.notFound()
    const reactions = [...(conversation.reactions.get(messageId) ?? [])].map(([emoji, users]) => ({
      emoji,
      count: users.size,
      ...(userId !== undefined && { me: users.has(userId) })
    }))
    return { ...message, reactions }
  }

  /** The members whose names are in a text behind an `@`. */
  mentionedIn(conversation: TestConversation, body: string): ReadonlyArray<string> {
    return [...conversation.members.keys()].filter((id) => body.includes(`@${this.profile(id).username}`))
  }

  /** Stores a message; the same `clientMessageId` again is the message that was stored before. */
  send(
    conversation: TestConversation,
    senderId: string,
    sent: Partial<Message> & Pick<Message, "body" | "clientMessageId">
  ): Message {
    const same = [...conversation.messages.values()].find(
      (one) => one.senderId === senderId && one.clientMessageId === sent.clientMessageId
    )
    if (same !== undefined) return same
    const seq = conversation.log.length + 1
    const root =
      sent.threadRootId == null ? undefined : (conversation.messages.get(sent.threadRootId) ?? this.notFound())
    const at = this.now()
    const message: Message = {
      id: uuid(
        3,
        [...this.all.values()].reduce((sum, { messages }) => sum + messages.size, 0)
      ),
      conversationId: conversation.id,
      seq,
      senderId,
      type: "text",
      replyTo: null,
      threadRootId: null,
      threadReplyCount: 0,
      mentions: this.mentionedIn(conversation, sent.body),
      mentionsAll: false,
      payload: null,
      votes: null,
      attachments: [],
      reactions: [],
      pinned: false,
      createdAt: at,
      editedAt: null,
      deletedAt: null,
      revision: 1,
      changedSeq: seq,
      ...sent
    }
    conversation.messages.set(message.id, message)
    conversation.lastActivityAt = at
    const member = conversation.members.get(senderId)
    if (member !== undefined && root === undefined) member.readSeq = seq
    if (root !== undefined) {
      const threadReplyCount = root.threadReplyCount + 1
      conversation.messages.set(root.id, { ...root, threadReplyCount, changedSeq: seq })
      const threadRoot = { messageId: root.id, seq: root.seq, threadReplyCount }
      this.log(
        conversation,
        senderId,
        "message.created",
        () => ({ message: this.message(conversation, message.id), threadRoot }),
        at
      )
    } else
      this.log(
        conversation,
        senderId,
        "message.created",
        () => ({ message: this.message(conversation, message.id) }),
        at
      )
    return message
  }

  /** Changes a message, and writes the event of that. */
  change<Name extends EventName>(
    conversation: TestConversation,
    actorId: string,
    messageId: string,
    change: (at: string) => Partial<Message>,
    event: Name,
    data: (about: { readonly messageId: string; readonly messageSeq: number }) => EventOf<Name>["data"]
  ): Message {
    const message = conversation.messages.get(messageId) ?? this.notFound()
    const at = this.now()
    const changedSeq = conversation.log.length + 1
    conversation.messages.set(messageId, { ...message, ...change(at), changedSeq })
    this.log(conversation, actorId, event, () => data({ messageId, messageSeq: message.seq }), at)
    return this.message(conversation, messageId, actorId)
  }

  /** Adds or removes a reaction; does nothing when it is there, or not there, already. */
  react(conversation: TestConversation, userId: string, messageId: string, emoji: string, added: boolean): void {
    if (!conversation.messages.has(messageId)) this.notFound()
    const emojis = conversation.reactions.get(messageId) ?? new Map<string, Set<string>>()
    const users = emojis.get(emoji) ?? new Set()
    if (users.has(userId) === added) return
    if (added) users.add(userId)
    else users.delete(userId)
    if (users.size > 0) emojis.set(emoji, users)
    else emojis.delete(emoji)
    conversation.reactions.set(messageId, emojis)
    const count = users.size
    this.change(
      conversation,
      userId,
      messageId,
      () => ({}),
      added ? "reaction.added" : "reaction.removed",
      (about) => ({
        ...about,
        emoji,
        userId,
        count
      })
    )
  }

  /** Publishes an event that is not in the log. */
  tell(conversation: TestConversation, event: EventName, data: unknown, to?: ReadonlySet<string>): void {
    this.publish(conversation, { event, conversationId: conversation.id, data }, to)
  }
}
