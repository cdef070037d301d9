import type { Event } from "../../domain/Event.ts"
import type { MessageId } from "../../domain/Ids.ts"
import type { LoggedFrame } from "../Frames.ts"
import type { SavedConversation } from "../storage/Saved.ts"
import { withoutMessage } from "./MergeMessages.ts"
import type { ConversationState } from "./State.ts"

/** A conversation with what is needed to keep it up to date. */
export interface Held {
  state: ConversationState
  /** The `seq` of the last event that was published: behind the state for a while after a fetch, never ahead of it. */
  published: number
  /** Set while the conversation is fetched again: the frames that arrived since, and the `seq` that comes next. */
  reset: { readonly head: number; next: number; readonly frames: Array<LoggedFrame> } | null
  /** The events since a page of the history was asked for; null when none is asked for. */
  sinceAsked: Array<Event> | null
  /** It is not known at which `seq` my counts are right, so no event can be added to them. */
  unsure: boolean
  /** My counts must be fetched. */
  recount: boolean
  /** The conversation is open, and its history must be fetched. */
  hollow: boolean
  /** The messages on which I have voted, with a vote that must be fetched. */
  readonly votes: Set<MessageId>
  /** The messages that I have hidden since the client began: a page that was asked for before may have them. */
  readonly hidden: Set<number>
  /** The user seq of the last change of my draft. */
  draftSeq: number
}

/**
 * The work that must be done after a frame. With `vote`, my vote on that message must be fetched. `gap` means that the
 * order was broken, so that the connection cannot be trusted.
 */
export type Todo = "gap" | "refetch" | "recount" | { readonly vote: MessageId } | undefined

/** A conversation that is held from now on. */
export const held = (state: ConversationState): Held => ({
  state,
  published: state.conversation.seq,
  reset: null,
  sinceAsked: null,
  unsure: false,
  recount: false,
  hollow: false,
  votes: new Set(),
  hidden: new Set(),
  draftSeq: 0
})

/** A conversation as it is stored. */
export const savedOf = ({ hollow, published, recount, state, unsure }: Held): SavedConversation => ({
  state,
  published,
  unsure,
  recount,
  hollow
})

/** Leaves out a message that I have hidden, wherever it is. */
export const hide = (one: Held, seq: number) => {
  one.hidden.add(seq)
  one.state = withoutMessage(one.state, seq)
}

/** Takes a page that was merged into the state. */
export const filled = (one: Held): true => {
  one.sinceAsked = null
  for (const seq of one.hidden) hide(one, seq)
  return true
}
