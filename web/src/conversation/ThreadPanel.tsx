import { useChat, useChatState, useMessages } from "chat-service/client/react"
import { X } from "lucide-react"
import { useCallback, useEffect, useMemo, useRef, useState } from "react"
import { useMembers } from "../chat/members.tsx"
import { openConversation } from "../chat/route.ts"
import { useStarred } from "../chat/stars.tsx"
import type { Message } from "../chat/types.ts"
import { useWriting, type Writing } from "../chat/writing.ts"
import { failureText } from "../text/failureText.ts"
import { text } from "../text/text.ts"
import { IconButton } from "../ui/Button.tsx"
import { attempt } from "../ui/notices.tsx"
import { Composer, type ComposerHandle } from "./Composer.tsx"
import type { Actions } from "./MessageActions.tsx"
import { type Asking, MessageDialog } from "./MessageDialog.tsx"
import { MessageRow } from "./MessageRow.tsx"
import { SendingRow } from "./SendingRow.tsx"
import { messageChanges } from "./useTimeline.ts"

interface Thread {
  readonly root: Message | null
  readonly replies: ReadonlyArray<Message>
  readonly hasBefore: boolean
}

/** A thread, fetched again after a reply, a change of a message of its conversation, and a time without a connection. */
const useThread = (conversationId: string, messageId: string) => {
  const chat = useChat()
  const online = useChatState(({ connection }) => connection.status === "online")
  const [thread, setThread] = useState<Thread | null>(null)
  const [problem, setProblem] = useState<unknown>(null)
  const load = useCallback(
    () =>
      chat
        .conversation(conversationId)
        .thread(messageId)
        .list()
        .then(({ hasBefore, items, root }) =>
          setThread((now) => {
            const first = items[0]?.seq ?? 0
            const held = now?.replies ?? []
            // Otherwise replies may be missing between, from a time without a connection.
            const older = held.some(({ seq }) => seq >= first) ? held.filter(({ seq }) => seq < first) : []
            return {
              root: "body" in root ? root : null,
              replies: [...older, ...items],
              hasBefore: older.length > 0 ? (now?.hasBefore ?? hasBefore) : hasBefore
            }
          })
        ),
    [chat, conversationId, messageId]
  )
  // biome-ignore lint/correctness/useExhaustiveDependencies: events may be missing from a time without a connection
  useEffect(() => {
    load().catch(setProblem)
  }, [load, online])
  useEffect(() => {
    const conversation = chat.conversation(conversationId)
    const again = () => void load().catch(setProblem)
    const stops = [
      conversation.on("message.created", ({ data }) => {
        if ("message" in data && data.message.threadRootId === messageId) again()
      }),
      ...messageChanges.map((name) => conversation.on(name, again))
    ]
    return () => {
      for (const stop of stops) stop()
    }
  }, [chat, conversationId, load, messageId])
  const last = thread?.replies.at(-1)?.seq
  useEffect(() => {
    // The marker of the thread moves again with the next reply.
    if (last !== undefined)
      chat
        .conversation(conversationId)
        .thread(messageId)
        .markRead(last)
        .catch(() => {})
  }, [chat, conversationId, messageId, last])
  const loadOlder = async () => {
    const before = thread?.replies[0]?.seq
    if (before === undefined) return
    const page = await chat.conversation(conversationId).thread(messageId).list({ before })
    setThread((now) => now && { ...now, replies: [...page.items, ...now.replies], hasBefore: page.hasBefore })
  }
  return { thread, problem, loadOlder }
}

interface ThreadPanelProps {
  readonly conversationId: string
  readonly messageId: string
}

const useActions = (
  conversationId: string,
  onWriting: (writing: Writing) => void,
  onAsk: (asking: Asking) => void
): Actions =>
  useMemo(
    () => ({
      reply: (message) => onWriting({ kind: "reply", message }),
      edit: (message) => onWriting({ kind: "edit", message }),
      ask: onAsk,
      show: (seq) => openConversation(conversationId, seq)
    }),
    [conversationId, onWriting, onAsk]
  )

/** The message and its replies, which always show their end. */
const ThreadMessages = ({ actions, conversationId, messageId }: ThreadPanelProps & { readonly actions: Actions }) => {
  const me = useChat().userId
  const { loadOlder, problem, thread } = useThread(conversationId, messageId)
  const starred = useStarred()
  const sending = useMessages(conversationId).sending.filter(({ message }) => message.threadRoot === messageId)
  const end = useRef<HTMLDivElement>(null)
  const shown = thread === null ? [] : [...(thread.root === null ? [] : [thread.root]), ...thread.replies]
  const known = new Set(shown.map(({ clientMessageId }) => clientMessageId))
  const waiting = sending.filter(({ message }) => !known.has(message.clientMessageId))
  const last = waiting.at(-1)?.message.clientMessageId ?? shown.at(-1)?.id
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new reply is shown
  useEffect(() => void end.current?.scrollIntoView({ block: "end" }), [last])
  return (
    <div className="panel-body">
      {thread === null && <p className="hint">{problem === null ? text.loading : failureText.notThere}</p>}
      {thread?.root === null && <p className="hint">{text.hiddenMessage}</p>}
      {thread?.hasBefore === true && (
        <button type="button" className="link" onClick={() => attempt(loadOlder())}>
          {text.loadMore}
        </button>
      )}
      {shown.map((message) => (
        <MessageRow
          key={message.id}
          message={message}
          follows={false}
          mine={message.senderId === me}
          highlighted={false}
          starred={starred.has(message.id)}
          progress={null}
          actions={actions}
          withThread={false}
        />
      ))}
      {waiting.map((one) => (
        <SendingRow key={one.message.clientMessageId} sending={one} />
      ))}
      <div ref={end} />
    </div>
  )
}

/** The replies to a message, next to the conversation. */
export const ThreadPanel = ({ conversationId, messageId }: ThreadPanelProps) => {
  const chat = useChat()
  const { members } = useMembers()
  const [writing, setWriting] = useWriting(conversationId, messageId)
  const composer = useRef<ComposerHandle>(null)
  const startWriting = useCallback(
    (next: Writing) => {
      setWriting(next)
      composer.current?.focus()
    },
    [setWriting]
  )
  const [asking, setAsking] = useState<Asking | null>(null)
  const actions = useActions(conversationId, startWriting, setAsking)
  return (
    <aside className="panel" aria-label={text.thread}>
      <header>
        <h2>{text.thread}</h2>
        <IconButton label={text.close} onClick={() => openConversation(conversationId)}>
          <X />
        </IconButton>
      </header>
      <ThreadMessages actions={actions} conversationId={conversationId} messageId={messageId} />
      <Composer
        ref={composer}
        key={messageId}
        conversationId={conversationId}
        place={messageId}
        to={text.thread}
        members={members}
        writing={writing}
        onWriting={setWriting}
        threadRoot={messageId}
        onSend={(body, options) => {
          // A reply that fails stays in the list and says why.
          chat.send(conversationId, body, options).catch(() => {})
        }}
      />
      <MessageDialog asking={asking} onClose={() => setAsking(null)} />
    </aside>
  )
}
