import { useChatState } from "chat-service/client/react"
import type { ReactNode } from "react"
import { useUser } from "../chat/people.tsx"
import { openConversation } from "../chat/route.ts"
import type { Message } from "../chat/types.ts"
import { titleOf } from "../sidebar/titles.ts"
import { shortTime } from "../text/format.ts"
import { summaryOf } from "../text/summary.ts"
import { text } from "../text/text.ts"
import { UserAvatar } from "../ui/Avatar.tsx"
import { KindTag } from "../ui/KindTag.tsx"
import type { Pages } from "../ui/usePages.ts"

/** A message in a list. It leads to its place, whose name is shown where the list has messages of several conversations. */
export const MessageLine = ({
  message,
  withPlace = true
}: {
  readonly message: Message
  readonly withPlace?: boolean
}) => {
  const sender = useUser(message.senderId)
  const conversation = useChatState(({ conversations }) => conversations.get(message.conversationId)?.conversation)
  return (
    <button type="button" className="row" onClick={() => openConversation(message.conversationId, message.seq)}>
      <UserAvatar user={sender} id={message.senderId} />
      <span className="row-title">
        <bdi>{sender?.displayName ?? text.someone}</bdi>
        <KindTag user={sender} />
        {withPlace && conversation !== undefined && <bdi className="where">{titleOf(conversation)}</bdi>}
      </span>
      <time dateTime={message.createdAt}>{shortTime(message.createdAt)}</time>
      <span className="row-preview" dir="auto">
        {summaryOf(message)}
      </span>
    </button>
  )
}

/** What a list shows: what is in it, that it is empty, or why it cannot be had. */
export const Lines = <Item,>({
  children,
  empty,
  pages: { hasMore, items, more, problem }
}: {
  readonly pages: Pages<Item>
  /** What stands in place of an empty list. */
  readonly empty: string
  readonly children: (item: Item) => ReactNode
}) => {
  if (items === null)
    return (
      <p className={problem === null ? "hint" : "error"} role="status">
        {problem ?? text.loading}
      </p>
    )
  return (
    <>
      {items.map(children)}
      {items.length === 0 && (
        <p className="hint" role="status">
          {empty}
        </p>
      )}
      {hasMore && (
        <button type="button" className="link" onClick={more}>
          {text.loadMore}
        </button>
      )}
    </>
  )
}
