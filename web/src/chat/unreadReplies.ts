import type { Chat } from "chat-service/client"
import { useChat, useChatState } from "chat-service/client/react"
import { useEffect, useState } from "react"
import { perChat } from "./perChat.ts"
import type { Message } from "./types.ts"

/** Threads are asked for one after the other with this pause, so that other commands of the socket are not refused. */
const pauseMs = 100

const queueOf = perChat(() => ({ last: Promise.resolve() }))

const inTurn = (chat: Chat, ask: () => Promise<void>) => {
  const queue = queueOf(chat)
  // Without an answer, no count is shown until something changes.
  queue.last = queue.last.then(ask).catch(() => {})
}

/**
 * How many replies to a message I have not read, if I follow its thread: the message is mine, or I have replied or looked at the
 * replies.
 */
export const useUnreadReplies = ({ conversationId, id, senderId, seq, threadReplyCount }: Message): number => {
  const chat = useChat()
  const online = useChatState(({ connection }) => connection.status === "online")
  // My marker in a thread moves with an event of my own state.
  const [marks, setMarks] = useState(0)
  const [unread, setUnread] = useState(0)
  useEffect(
    () => chat.conversation(conversationId).on("conversation.settings", () => setMarks((now) => now + 1)),
    [chat, conversationId]
  )
  // biome-ignore lint/correctness/useExhaustiveDependencies: the count is another one after a reply and a move of my marker
  useEffect(() => {
    let shown = online
    inTurn(chat, async () => {
      if (!shown) return
      const { readSeq, unreadCount } = await chat.conversation(conversationId).thread(id).list({ limit: 1 })
      if (shown) setUnread(senderId === chat.userId || readSeq > seq ? unreadCount : 0)
      await new Promise((resume) => setTimeout(resume, pauseMs))
    })
    return () => {
      shown = false
    }
  }, [chat, conversationId, id, senderId, seq, online, threadReplyCount, marks])
  return unread
}
