import type { SendOptions } from "chat-service/client"
import { useChat, useConversation, useMessages } from "chat-service/client/react"
import { useEffect, useMemo, useRef, useState } from "react"
import { type Receipts, useMembers, useReceipts } from "../chat/members.tsx"
import { openConversation, openPanel } from "../chat/route.ts"
import { useStarred } from "../chat/stars.tsx"
import type { Conversation, Member, Message } from "../chat/types.ts"
import { useWriting, type Writing } from "../chat/writing.ts"
import { titleOf } from "../sidebar/titles.ts"
import { dayName } from "../text/format.ts"
import { text } from "../text/text.ts"
import { Composer, type ComposerHandle } from "./Composer.tsx"
import { ConversationHeader } from "./ConversationHeader.tsx"
import type { Actions } from "./MessageActions.tsx"
import { type Asking, MessageDialog } from "./MessageDialog.tsx"
import { MessageList } from "./MessageList.tsx"
import { MessageRow, type Progress } from "./MessageRow.tsx"
import { type Row, toRows } from "./rows.ts"
import { SendingRow } from "./SendingRow.tsx"
import { useTimeline } from "./useTimeline.ts"

/** My marker moves at most once in this time. */
const markMillis = 400

/** Marks a conversation as read while it is seen. */
const useReading = (conversation: Conversation) => {
  const chat = useChat()
  const { id } = conversation
  const wanted = useRef(0)
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  useEffect(() => () => clearTimeout(timer.current), [])
  return (seq: number) => {
    if (!document.hasFocus() || seq <= Math.max(conversation.me.readSeq, wanted.current)) return
    wanted.current = seq
    clearTimeout(timer.current)
    // A mark that is lost is made again by the next message that is seen.
    timer.current = setTimeout(() => void chat.markRead(id, wanted.current).catch(() => {}), markMillis)
  }
}

/** What the messages can ask for. The functions stay the same, so that messages are not rendered again. */
const useActions = (id: string, onWriting: (writing: Writing) => void, onAsk: (asking: Asking) => void): Actions => {
  const current = useRef(onWriting)
  current.current = onWriting
  return useMemo(
    () => ({
      reply: (message) => current.current({ kind: "reply", message }),
      edit: (message) => current.current({ kind: "edit", message }),
      ask: onAsk,
      show: (seq) => openConversation(id, seq),
      openThread: (message) => openPanel(id, { kind: "thread", messageId: message.id })
    }),
    [id, onAsk]
  )
}

const progressOf = (message: Message, receipts: Receipts | null): Progress => {
  if (receipts !== null && receipts.read >= message.seq) return "read"
  return receipts !== null && receipts.delivered >= message.seq ? "delivered" : "sent"
}

/** Where to begin: at the message that was asked for, or at the divider before what is new. */
const startOf = (rows: ReadonlyArray<Row>, seq: number | null) => {
  const index = rows.findIndex((row) =>
    seq === null ? row.kind === "unread" : row.kind === "message" && row.message.seq >= seq
  )
  return index < 0 ? undefined : index
}

const seqAt = (rows: ReadonlyArray<Row>, index: number) => {
  const row = rows.slice(0, index + 1).findLast(({ kind }) => kind === "message")
  return row?.kind === "message" ? row.message.seq : 0
}

/** Draws the rows of the list. */
const useRows = (conversation: Conversation, seq: number | null, actions: Actions, members: ReadonlyArray<Member>) => {
  const { id } = conversation
  const me = useChat().userId
  const starred = useStarred()
  const receipts = useReceipts(id, members, me)
  return (row: Row) => {
    switch (row.kind) {
      case "beginning":
        return <p className="beginning">{text.beginning}</p>
      case "day":
        return <h2 className="day">{dayName(row.at)}</h2>
      case "unread":
        return <h2 className="unread-divider">{text.newMessages}</h2>
      case "sending":
        return <SendingRow sending={row.sending} />
      case "message": {
        const { follows, message } = row
        const mine = message.senderId === me
        return (
          <MessageRow
            message={message}
            follows={follows}
            mine={mine}
            highlighted={message.seq === seq}
            starred={starred.has(message.id)}
            progress={mine && message.deletedAt === null ? progressOf(message, receipts) : null}
            actions={actions}
            withThread
          />
        )
      }
    }
  }
}

interface OpenConversationProps {
  readonly conversation: Conversation
  readonly seq: number | null
}

/** The messages of a conversation, and where the next one is written. */
const OpenConversation = ({ conversation, seq }: OpenConversationProps) => {
  const chat = useChat()
  const me = chat.userId
  const { id } = conversation
  // The divider stays where it was when the conversation was opened.
  const [readSeq, setReadSeq] = useState(() => (conversation.me.unreadCount > 0 ? conversation.me.readSeq : null))
  const [atUnread, setAtUnread] = useState(readSeq !== null)
  const [writing, setWriting] = useWriting(id, id)
  const [asking, setAsking] = useState<Asking | null>(null)
  const composer = useRef<ComposerHandle>(null)
  const timeline = useTimeline(id, seq ?? (atUnread && readSeq !== null ? readSeq + 1 : null))
  const { members } = useMembers()
  const read = useReading(conversation)
  const startWriting = (next: Writing) => {
    setWriting(next)
    composer.current?.focus()
  }
  const actions = useActions(id, startWriting, setAsking)
  const render = useRows(conversation, seq, actions, members)
  const { hasAfter, hasBefore, messages, sending } = timeline
  const rows = useMemo(
    () => toRows(messages ?? [], hasAfter ? [] : sending, { me, readSeq, atBeginning: !hasBefore }),
    [messages, hasAfter, hasBefore, sending, me, readSeq]
  )
  const title = titleOf(conversation)
  const toPresent = () => {
    setAtUnread(false)
    openConversation(id)
  }
  const send = (body: string, options: SendOptions) => {
    // A message that fails stays in the list and says why.
    chat.send(id, body, options).catch(() => {})
    setReadSeq(null)
    setAtUnread(false)
    if (seq !== null) openConversation(id)
  }
  const editLast = () => {
    const last = messages?.findLast(({ deletedAt, senderId }) => senderId === me && deletedAt === null)
    if (last !== undefined) setWriting({ kind: "edit", message: last })
  }
  return (
    <>
      {messages === null ? (
        <div className="messages-frame" aria-busy="true" />
      ) : (
        <MessageList
          key={`${seq} ${atUnread}`}
          label={text.messagesOf(title)}
          rows={rows}
          startAt={seq !== null || atUnread ? startOf(rows, seq) : undefined}
          timeline={timeline}
          render={render}
          onSeen={(index, atEnd) => read(atEnd ? conversation.seq : seqAt(rows, index))}
          onPresent={toPresent}
        />
      )}
      <Composer
        ref={composer}
        key={id}
        conversationId={id}
        place={id}
        to={title}
        members={members}
        writing={writing}
        onWriting={setWriting}
        onEditLast={editLast}
        onSend={send}
      />
      <MessageDialog asking={asking} onClose={() => setAsking(null)} />
    </>
  )
}

/** A conversation; what it has is fetched when it is shown. */
export const ConversationView = ({ id, seq }: { readonly id: string; readonly seq: number | null }) => {
  const { error } = useMessages(id)
  const conversation = useConversation(id)?.conversation
  const [wasThere, setWasThere] = useState(false)
  if (conversation !== undefined && !wasThere) setWasThere(true)
  return (
    <main className="conversation" aria-label={conversation && titleOf(conversation)}>
      <ConversationHeader conversation={conversation} />
      {conversation === undefined ? (
        <div className="empty" role="status">
          <p>{error === undefined && !wasThere ? text.loading : text.noRightsHere}</p>
        </div>
      ) : (
        <OpenConversation key={id} conversation={conversation} seq={seq} />
      )}
    </main>
  )
}
