import type { Conversation, Membership } from "../../domain/Conversation.ts"
import type { Draft } from "../../domain/Draft.ts"
import type { Ephemeral, Event } from "../../domain/Event.ts"
import type { ConversationId, MessageId, UserId } from "../../domain/Ids.ts"
import type { Message, MessagePage } from "../../domain/Message.ts"
import type { Thread } from "../../domain/Thread.ts"
import type { User } from "../../domain/User.ts"
import type { LoggedFrame } from "../Frames.ts"
import type { SavedConversation } from "../storage/Saved.ts"
import { filled, type Held, held, hide, savedOf, type Todo } from "./Held.ts"
import { deliveredMarked, merge, readMarked, starUpdated, withMe, withPage, withThread, withVote } from "./Merge.ts"
import { cursorsOf, peersOf, takeProfiles } from "./Peers.ts"
import { SharedMap } from "./SharedMap.ts"
import { type ChatState, type ConversationState, newConversation } from "./State.ts"

/**
 * The conversations of a user, merged from lists, events and fetches by the rules for cursors in docs/realtime.md. Each
 * method applies its input at once, so that no frame is half applied.
 */
export class Store {
  private readonly me: UserId
  private readonly all = new Map<ConversationId, Held>()
  /** The states as they were asked for last, and the conversations that may have changed since. */
  private shown: ChatState["conversations"] = SharedMap.empty()
  private readonly touched = new Set<ConversationId>()
  /** Whether the drafts of before were fetched. */
  hasDrafts = false

  constructor(me: UserId) {
    this.me = me
  }

  /** The state of each conversation: the same map until one of them changes. */
  get conversations(): ChatState["conversations"] {
    const put = [...this.touched].flatMap((id) => {
      const state = this.get(id)
      return state === undefined ? [] : [[id, state] as const]
    })
    const gone = [...this.touched].filter((id) => !this.all.has(id))
    this.touched.clear()
    this.shown = this.shown.change({ put, gone })
    return this.shown
  }

  /** A conversation that is about to change. */
  private hold(id: ConversationId): Held | undefined {
    this.touched.add(id)
    return this.all.get(id)
  }

  private set(id: ConversationId, one: Held) {
    this.touched.add(id)
    this.all.set(id, one)
  }

  /** The state of a conversation; undefined when the user is not a member of it. */
  get(id: ConversationId): ConversationState | undefined {
    return this.all.get(id)?.state
  }

  /** The conversations as they are stored, each with its cursor. What the state shares with an earlier one is the same. */
  saved(): ReadonlyArray<SavedConversation> {
    return Array.from(this.all.values(), savedOf)
  }

  /** Takes a conversation that was stored, and returns it as it is held now. */
  restore(saved: SavedConversation): SavedConversation {
    const { state, ...cursor } = saved
    const one = { ...held({ ...state, typing: new Set(), threads: new Map() }), ...cursor }
    this.set(state.conversation.id, one)
    return { ...cursor, state: one.state }
  }

  /** The cursors of at most `most` conversations, those with the latest activity. */
  cursors(most: number): Record<string, number> {
    return cursorsOf(this.all.values(), most)
  }

  /** The others of at most `most` direct conversations, those with the latest activity. */
  peers(most: number): ReadonlyArray<UserId> {
    return peersOf(this.all.values(), most)
  }

  /** Takes profiles of others, who may have other names now. */
  profiles(users: ReadonlyArray<User>): void {
    for (const id of takeProfiles(this.all.values(), users)) this.touched.add(id)
  }

  /** Must be called when a connection begins: it gives up the fetches of the previous connection. */
  connected(): void {
    for (const one of this.all.values()) {
      one.reset = null
      one.sinceAsked = null
    }
  }

  /** Takes a part of the list that the first connection gets. */
  listed(conversations: ReadonlyArray<Conversation>): void {
    for (const conversation of conversations)
      if (!this.isHere(conversation)) this.set(conversation.id, held(newConversation(conversation)))
  }

  /** Applies a durable event. Returns the events to publish: none for an event that was known before. */
  log(frame: LoggedFrame): { readonly events: ReadonlyArray<Event>; readonly todo: Todo } {
    const one = this.hold(frame.conversationId)
    if (one === undefined) return { events: [], todo: "gap" }
    const next = one.reset?.next ?? one.published + 1
    if (frame.seq < next) return { events: [], todo: undefined }
    if (frame.seq > next) return { events: [], todo: "gap" }
    if (one.reset !== null) {
      one.reset.next++
      one.reset.frames.push(frame)
      return { events: [], todo: undefined }
    }
    one.published = frame.seq
    const todo = frame.seq > one.state.conversation.seq ? this.apply(one, frame) : undefined
    return { events: frame.event === null ? [] : [frame.event], todo }
  }

  private apply(one: Held, { event, seq }: LoggedFrame): Todo {
    const before = one.state.conversation.me.unreadCount
    const { recount, state } = merge(one.state, seq, event, this.me)
    one.state = state
    if (event !== null) one.sinceAsked?.push(event)
    const todo = this.doubt(one, recount || (one.unsure && state.conversation.me.unreadCount !== before))
    if (event?.event !== "poll.voted" || event.actorId !== this.me) return todo
    one.votes.add(event.data.messageId)
    return { vote: event.data.messageId }
  }

  /** Asks for a recount, once: the counts are fetched until they fit the state. */
  private doubt(one: Held, recount: boolean): Todo {
    if (!recount || one.recount) return
    one.recount = true
    return "recount"
  }

  /** Applies an event without a position in a log. */
  aside(event: Ephemeral): Todo {
    if (event.conversationId === undefined) return
    if (event.event === "conversation.added") return this.added(event.data.conversation)
    const one = this.hold(event.conversationId)
    if (one === undefined) return
    switch (event.event) {
      case "conversation.removed":
        this.all.delete(event.conversationId)
        return
      case "conversation.reset":
        return this.reset(one, event.data.seq)
      case "conversation.settings":
        return this.settings(one, event.data.me)
      case "read.marked": {
        const { recount, state } = readMarked(one.state, event.data.userId, event.data.seq, this.me)
        one.state = state
        return this.doubt(one, recount)
      }
      case "delivered.marked":
        one.state = deliveredMarked(one.state, event.data.userId, event.data.seq, this.me)
        return
      case "star.updated":
        one.state = starUpdated(one.state, event.data)
        return
      case "message.hidden":
        hide(one, event.data.messageSeq)
        // My counts and the last message may be others now.
        return this.doubt(one, true)
      case "draft.updated":
        one.draftSeq = event.data.userSeq
        one.state = { ...one.state, draft: event.data.draft }
        return
      case "typing.started":
        one.state = { ...one.state, typing: new Set(one.state.typing).add(event.data.userId) }
        return
      case "typing.stopped":
        one.state = {
          ...one.state,
          typing: new Set([...one.state.typing].filter((userId) => userId !== event.data.userId))
        }
    }
  }

  private reset(one: Held, head: number): Todo {
    one.reset = { head, next: head + 1, frames: [] }
    return "refetch"
  }

  private isHere({ id, seq }: Conversation) {
    return (this.all.get(id)?.published ?? 0) >= seq
  }

  private added(conversation: Conversation): Todo {
    if (this.isHere(conversation)) return
    const isOpen = (this.all.get(conversation.id)?.state.messages ?? null) !== null
    const one = held({ ...newConversation(conversation), messages: isOpen ? [] : null })
    one.hollow = isOpen
    this.set(conversation.id, one)
    return isOpen ? this.reset(one, conversation.seq) : undefined
  }

  private settings(one: Held, me: Membership): Todo {
    one.state = withMe(one.state, me)
    one.unsure = true
    return
  }

  /** The work that the last connection left undone. */
  unfinished(): ReadonlyArray<readonly [ConversationId, Todo]> {
    return [...this.all].flatMap(([id, one]) => {
      if (one.hollow && one.reset === null) return [[id, this.reset(one, one.state.conversation.seq)] as const]
      const votes = [...one.votes].map((vote) => [id, { vote }] as const)
      return one.recount ? [...votes, [id, "recount"] as const] : votes
    })
  }

  /** Takes my fetched counts; false when the state is not at the `seq` of the fetch, so that it must be repeated. */
  recounted(conversation: Conversation): boolean {
    const one = this.hold(conversation.id)
    if (one === undefined) return true
    if (one.reset !== null || one.state.conversation.seq !== conversation.seq) return false
    const { lastMessage } = conversation
    one.state = withMe(one.state, conversation.me)
    if (lastMessage?.id !== one.state.conversation.lastMessage?.id)
      one.state = { ...one.state, conversation: { ...one.state.conversation, lastMessage } }
    one.unsure = false
    one.recount = false
    return true
  }

  /** Continues from the conversation as it was fetched after a reset, with its newest page if it is open. */
  refetched(
    conversation: Conversation,
    page: MessagePage | undefined,
    threads: ReadonlyMap<MessageId, Thread>
  ): { readonly events: ReadonlyArray<Event>; readonly todo: Todo } {
    const one = this.all.get(conversation.id)
    // This fetch belongs to an earlier reset; the fetch of the last one is on its way.
    if (one === undefined || one.reset === null || conversation.seq < one.reset.head)
      return { events: [], todo: undefined }
    const { frames: waiting, next: notPublished } = one.reset
    const events = waiting.flatMap(({ event }) => event ?? [])
    const { delivered, draft, read, starred, typing } = one.state
    const fresh = { ...newConversation(conversation), delivered, draft, read, starred, typing }
    const known = events.filter(({ seq }) => seq <= conversation.seq)
    const paged = page === undefined ? fresh : withPage(fresh, page, known, this.me)
    const next = held(
      [...threads].reduce((state, [rootId, thread]) => withThread(state, rootId, thread, known, this.me), paged)
    )
    next.published = notPublished - 1
    next.draftSeq = one.draftSeq
    for (const seq of one.hidden) hide(next, seq)
    this.set(conversation.id, next)
    let todo: Todo
    for (const frame of waiting) if (frame.seq > next.state.conversation.seq) todo = this.apply(next, frame) ?? todo
    return { events, todo }
  }

  /** Takes drafts that were fetched, those that are later than what the state has. */
  drafts(drafts: ReadonlyArray<Draft>): void {
    for (const draft of drafts) {
      const one = this.hold(draft.conversationId)
      if (one === undefined || one.draftSeq >= draft.userSeq) continue
      one.draftSeq = draft.userSeq
      one.state = { ...one.state, draft }
    }
  }

  /** Takes a message that was fetched for my vote. */
  voted(message: Message): void {
    const one = this.hold(message.conversationId)
    if (one === undefined) return
    one.votes.delete(message.id)
    one.state = withVote(one.state, message)
  }

  /** Must be called before a page of the history, or of a thread, is asked for: events are kept from now on. */
  asking(id: ConversationId): void {
    const one = this.all.get(id)
    if (one !== undefined) one.sinceAsked = []
  }

  /** Merges the page that was asked for; false when it must be asked for again, since events were missed. */
  paged(id: ConversationId, page: MessagePage): boolean {
    const one = this.hold(id)
    if (one === undefined) return true
    if (one.sinceAsked === null) return false
    one.state = withPage(one.state, page, one.sinceAsked, this.me)
    return filled(one)
  }

  /** As `paged`, for a page of a thread. */
  threadPaged(id: ConversationId, rootId: MessageId, page: Thread): boolean {
    const one = this.hold(id)
    if (one === undefined) return true
    if (one.sinceAsked === null) return false
    one.state = withThread(one.state, rootId, page, one.sinceAsked, this.me)
    return filled(one)
  }
}
