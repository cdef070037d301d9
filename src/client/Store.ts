import type { Conversation, Membership } from "../domain/Conversation.ts"
import type { Ephemeral, Event } from "../domain/Event.ts"
import type { ConversationId, UserId } from "../domain/Ids.ts"
import type { MessagePage } from "../domain/Message.ts"
import type { LoggedFrame } from "./Frames.ts"
import { deliveredMarked, merge, readMarked, withPage, withSettings } from "./Merge.ts"
import { type ConversationState, newConversation } from "./State.ts"

/** A conversation with what it takes to keep it true. */
interface Held {
  state: ConversationState
  /** The last event that was told: behind the state for a while after a fetch, never ahead of it. */
  told: number
  /** The conversation is being fetched again: what came meanwhile, and the seq that comes next. */
  reset: { readonly head: number; next: number; readonly frames: Array<LoggedFrame> } | null
  /** Events since part of the history was asked for. */
  sinceAsked: Array<Event> | null
  /** My counts are those of a moment that is not known, so no event can be counted on top. */
  unsure: boolean
  /** My counts are to be fetched. */
  recount: boolean
  /** It is open, and its history is to be fetched. */
  hollow: boolean
}

/** What is to be done after a frame: `gap` is a rule of the protocol broken, so the connection is not to be trusted. */
export type Todo = "gap" | "refetch" | "recount" | undefined

const held = (state: ConversationState): Held => ({
  state,
  told: state.conversation.seq,
  reset: null,
  sinceAsked: null,
  unsure: false,
  recount: false,
  hollow: false
})

/**
 * The conversations of a user, merged from lists, events and fetches by the contract's rules for cursors. Plain state
 * that changes at once: no frame is half applied.
 */
export class Store {
  private readonly me: UserId
  private readonly all = new Map<ConversationId, Held>()

  constructor(me: UserId) {
    this.me = me
  }

  get conversations(): ReadonlyMap<ConversationId, ConversationState> {
    return new Map([...this.all].map(([id, { state }]) => [id, state]))
  }

  get(id: ConversationId): ConversationState | undefined {
    return this.all.get(id)?.state
  }

  /** The last `seq` of each, of those with the latest activity when there are more than `most`. */
  cursors(most: number): Record<string, number> {
    return Object.fromEntries(
      [...this.all.values()]
        .sort((a, b) => (a.state.conversation.lastActivityAt < b.state.conversation.lastActivityAt ? 1 : -1))
        .slice(0, most)
        .map(({ state, told }) => [state.conversation.id, told])
    )
  }

  /** A connection begins: what was under way on the one before is void. */
  connected(): void {
    for (const one of this.all.values()) {
      one.reset = null
      one.sinceAsked = null
    }
  }

  /** Part of the list that the first connection gets. */
  listed(conversations: ReadonlyArray<Conversation>): void {
    for (const conversation of conversations)
      if (!this.isHere(conversation)) this.all.set(conversation.id, held(newConversation(conversation)))
  }

  /** The events that became true by this one, in order: none for one that was known before. */
  log(frame: LoggedFrame): { readonly events: ReadonlyArray<Event>; readonly todo: Todo } {
    const one = this.all.get(frame.conversationId)
    if (one === undefined) return { events: [], todo: "gap" }
    const next = one.reset?.next ?? one.told + 1
    if (frame.seq < next) return { events: [], todo: undefined }
    if (frame.seq > next) return { events: [], todo: "gap" }
    if (one.reset !== null) {
      one.reset.next++
      one.reset.frames.push(frame)
      return { events: [], todo: undefined }
    }
    one.told = frame.seq
    const todo = frame.seq > one.state.conversation.seq ? this.apply(one, frame) : undefined
    return { events: frame.event === null ? [] : [frame.event], todo }
  }

  private apply(one: Held, { event, seq }: LoggedFrame): Todo {
    const before = one.state.conversation.me.unreadCount
    const { recount, state } = merge(one.state, seq, event, this.me)
    one.state = state
    if (event !== null) one.sinceAsked?.push(event)
    return this.doubt(one, recount || (one.unsure && state.conversation.me.unreadCount !== before))
  }

  /** Once is enough: the counts are fetched until they fit what is here. */
  private doubt(one: Held, recount: boolean): Todo {
    if (!recount || one.recount) return
    one.recount = true
    return "recount"
  }

  /** What has no place in a log. */
  aside(event: Ephemeral): Todo {
    if (event.conversationId === undefined) return
    if (event.event === "conversation.added") return this.added(event.data.conversation)
    const one = this.all.get(event.conversationId)
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
    return (this.all.get(id)?.told ?? 0) >= seq
  }

  private added(conversation: Conversation): Todo {
    if (this.isHere(conversation)) return
    const isOpen = (this.all.get(conversation.id)?.state.messages ?? null) !== null
    const one = held({ ...newConversation(conversation), messages: isOpen ? [] : null })
    one.hollow = isOpen
    this.all.set(conversation.id, one)
    return isOpen ? this.reset(one, conversation.seq) : undefined
  }

  private settings(one: Held, me: Membership): Todo {
    one.state = withSettings(one.state, me)
    one.unsure = true
    return
  }

  /** What the last connection left undone. */
  unfinished(): ReadonlyArray<readonly [ConversationId, Todo]> {
    return [...this.all].flatMap(([id, one]) => {
      if (one.hollow && one.reset === null) return [[id, this.reset(one, one.state.conversation.seq)] as const]
      return one.recount ? [[id, "recount"] as const] : []
    })
  }

  /** My side as it was fetched at that `seq`; false when the events up to there are not all here, or more are. */
  recounted(conversation: Conversation): boolean {
    const one = this.all.get(conversation.id)
    if (one === undefined) return true
    if (one.reset !== null || one.state.conversation.seq !== conversation.seq) return false
    one.state = withSettings(one.state, conversation.me)
    one.unsure = false
    one.recount = false
    return true
  }

  /** The conversation as it was fetched after a reset, and its newest page if it was open: it goes on from there. */
  refetched(
    conversation: Conversation,
    page: MessagePage | undefined
  ): { readonly events: ReadonlyArray<Event>; readonly todo: Todo } {
    const one = this.all.get(conversation.id)
    // One of an earlier reset: that of the last one is on its way.
    if (one === undefined || one.reset === null || conversation.seq < one.reset.head)
      return { events: [], todo: undefined }
    const { frames: waiting, next: notTold } = one.reset
    const events = waiting.flatMap(({ event }) => event ?? [])
    const { delivered, read, typing } = one.state
    const fresh = { ...newConversation(conversation), delivered, read, typing }
    const known = events.filter(({ seq }) => seq <= conversation.seq)
    const next = held(page === undefined ? fresh : withPage(fresh, page, known, this.me))
    next.told = notTold - 1
    this.all.set(conversation.id, next)
    let todo: Todo
    for (const frame of waiting) if (frame.seq > next.state.conversation.seq) todo = this.apply(next, frame) ?? todo
    return { events, todo }
  }

  /** Part of the history is asked for: from now on events are kept beside it. */
  asking(id: ConversationId): void {
    const one = this.all.get(id)
    if (one !== undefined) one.sinceAsked = []
  }

  /** Part of the history has come; false when what came meanwhile is not known any more. */
  paged(id: ConversationId, page: MessagePage): boolean {
    const one = this.all.get(id)
    if (one === undefined) return true
    if (one.sinceAsked === null) return false
    one.state = withPage(one.state, page, one.sinceAsked, this.me)
    one.sinceAsked = null
    return true
  }
}
