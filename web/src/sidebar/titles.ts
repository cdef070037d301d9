import { useChatState } from "chat-service/client/react"
import type { Conversation } from "../chat/types.ts"
import { text } from "../text/text.ts"

/** What a conversation is called for its reader. */
export const titleOf = ({ kind, memberCount, peer, title }: Conversation): string => {
  if (kind === "group") return title ?? text.newConversation
  if (peer !== null) return peer.displayName === "" ? text.deletedUser : peer.displayName
  return memberCount === 1 ? text.notes : text.deletedUser
}

/** The presence of the other user of a direct conversation; undefined for others, or while it is unknown. */
export const usePresenceOf = (userId: string | undefined) =>
  useChatState(({ presence }) => (userId === undefined ? undefined : presence.get(userId)))
