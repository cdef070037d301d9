import type { Chat } from "chat-service/client"

/**
 * Makes a function that gives each client something of its own, so that nothing of a user is left for the next one who signs
 * in on the same page.
 */
export const perChat = <A>(make: () => A): ((chat: Chat) => A) => {
  const made = new WeakMap<Chat, A>()
  return (chat) => {
    const own = made.get(chat) ?? make()
    made.set(chat, own)
    return own
  }
}
