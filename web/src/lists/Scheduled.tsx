import { useChat, useChatState } from "chat-service/client/react"
import { CalendarClock, Pencil, Trash2 } from "lucide-react"
import { lazy, Suspense, useCallback, useEffect, useState } from "react"
import { openConversation } from "../chat/route.ts"
import type { Scheduled as ScheduledMessage } from "../chat/types.ts"
import { titleOf } from "../sidebar/titles.ts"
import { momentOf } from "../text/format.ts"
import { text } from "../text/text.ts"
import { IconButton } from "../ui/Button.tsx"
import { attempt } from "../ui/notices.tsx"
import { usePages } from "../ui/usePages.ts"
import { ListPage } from "./ListPage.tsx"
import { Lines } from "./MessageLine.tsx"

const SendLater = lazy(() => import("../conversation/SendLater.tsx"))

const ScheduledLine = ({
  message,
  onCancel,
  onChange
}: {
  readonly message: ScheduledMessage
  readonly onCancel: () => void
  readonly onChange: () => void
}) => {
  const conversation = useChatState(({ conversations }) => conversations.get(message.conversationId)?.conversation)
  return (
    <div className="list-line">
      <button type="button" className="row" onClick={() => openConversation(message.conversationId)}>
        <span className="avatar">
          <CalendarClock aria-hidden="true" />
        </span>
        <span className="row-title">
          <bdi>{conversation === undefined ? text.someone : titleOf(conversation)}</bdi>
          {message.status === "failed" && <span className="error">{text.notSent}</span>}
        </span>
        <time dateTime={message.sendAt}>{momentOf(message.sendAt)}</time>
        <span className="row-preview" dir="auto">
          {message.failure === null ? message.body || message.type : message.failure.detail}
        </span>
      </button>
      <IconButton label={text.changeTime} onClick={onChange}>
        <Pencil />
      </IconButton>
      <IconButton label={text.cancelScheduled} onClick={onCancel}>
        <Trash2 />
      </IconButton>
    </div>
  )
}

/** My messages that are sent later, in all conversations. */
const Scheduled = () => {
  const chat = useChat()
  const [changing, setChanging] = useState<ScheduledMessage | null>(null)
  const pages = usePages(useCallback((place) => chat.ask("scheduled.list", place), [chat]))
  const { again } = pages
  // One of them may have been sent.
  useEffect(
    () =>
      chat.on("message.created", ({ data }) => {
        if ("message" in data && data.message.senderId === chat.userId) again()
      }),
    [chat, again]
  )
  return (
    <ListPage title={text.scheduledMessages}>
      <Lines pages={pages} empty={text.nothingScheduled}>
        {(message) => (
          <ScheduledLine
            key={message.id}
            message={message}
            onChange={() => setChanging(message)}
            onCancel={() => attempt(chat.ask("scheduled.cancel", { scheduledMessageId: message.id }).finally(again))}
          />
        )}
      </Lines>
      {changing !== null && (
        <Suspense>
          <SendLater
            at={changing.sendAt}
            onClose={() => setChanging(null)}
            onChoose={(sendAt) =>
              chat.ask("scheduled.update", { scheduledMessageId: changing.id, sendAt }).finally(again)
            }
          />
        </Suspense>
      )}
    </ListPage>
  )
}
export default Scheduled
