import type { Chat } from "chat-service/client"
import { useChat } from "chat-service/client/react"
import { useEffect, useState } from "react"
import { isNotFound } from "../text/failure.ts"
import { editsOf, keepEdit } from "./drafts.ts"
import type { Message } from "./types.ts"

/** What is being written: something new, an answer to a message, or a new body of one. */
export type Writing =
  | { readonly kind: "new" }
  | { readonly kind: "reply"; readonly message: Message }
  | { readonly kind: "edit"; readonly message: Message }

/**
 * Calls back with a message that was being edited, as it is now, or with undefined when it is gone. What this device has stored
 * is read piece by piece, so the message may come into the state later, also without a network.
 */
const whenKnown = (
  chat: Chat,
  conversationId: string,
  messageId: string,
  then: (message: Message | undefined) => void
): (() => void) => {
  let stop = () => {}
  const found = (message: Message | undefined) => {
    stop()
    then(message === undefined || message.deletedAt !== null ? undefined : message)
  }
  const inState = () => chat.state.conversations.get(conversationId)?.messages?.find(({ id }) => id === messageId)
  const known = inState()
  if (known !== undefined) {
    found(known)
    return stop
  }
  stop = chat.subscribe(() => {
    const message = inState()
    if (message !== undefined) found(message)
  })
  chat.ask("message.get", { conversationId, messageId }).then(found, (error: unknown) => {
    if (isNotFound(error)) found(undefined)
  })
  return stop
}

/** What is being written in a place. The last edit that a reload has cut short goes on, unless it is done or its message is gone. */
export const useWriting = (conversationId: string, place: string) => {
  const chat = useChat()
  const { userId } = chat
  const [writing, setWriting] = useState<Writing>({ kind: "new" })
  useEffect(() => {
    const stops: Array<() => void> = []
    const restoreLast = () => {
      const edit = editsOf(userId, place).at(-1)
      if (edit === undefined) return
      const restore = (message: Message | undefined) => {
        if (editsOf(userId, place).at(-1)?.messageId !== edit.messageId) return
        if (message !== undefined && message.body !== edit.body)
          return setWriting((now) => (now.kind === "new" ? { kind: "edit", message } : now))
        keepEdit(userId, place, edit.messageId, null)
        restoreLast()
      }
      stops.push(whenKnown(chat, conversationId, edit.messageId, restore))
    }
    restoreLast()
    return () => {
      for (const stop of stops) stop()
    }
  }, [chat, userId, conversationId, place])
  const editing = writing.kind === "edit" ? writing.message.id : null
  useEffect(() => {
    if (editing === null) return
    const conversation = chat.conversation(conversationId)
    const stops = [
      conversation.on("message.edited", ({ data }) => {
        if ("message" in data && data.message.id === editing) setWriting({ kind: "edit", message: data.message })
      }),
      conversation.on("message.deleted", ({ data: { messageId } }) => {
        if (messageId !== editing) return
        keepEdit(userId, place, editing, null)
        setWriting({ kind: "new" })
      })
    ]
    return () => {
      for (const stop of stops) stop()
    }
  }, [chat, userId, conversationId, place, editing])
  return [writing, setWriting] as const
}
