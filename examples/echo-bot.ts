/**
 * A bot that repeats the messages that it gets. Run it with the URL, the login and the password of an account:
 *
 *     npm run example -- echo-bot http://localhost:8080 bot "correct horse"
 */
import { Chat } from "chat-service/client"

/** Answers each message of other users once, whatever happens to the connection, until the client is closed. */
export const echo = async (chat: Chat) => {
  for await (const event of chat.events()) {
    if (event.event !== "message.created") continue
    const { body, conversationId, id, senderId } = event.data.message
    if (senderId === chat.userId) continue
    // The same answer has the same id, so that it is never sent twice.
    await chat.send(conversationId, `You said: ${body}`, { clientMessageId: `echo-${id}`, replyTo: id })
  }
}

if (import.meta.main) {
  const [url = "http://localhost:8080", login = "", password = ""] = process.argv.slice(2)
  const tokens = await Chat.login(url, { login, password })
  process.stdout.write(`signed in as ${tokens.user.username}; Ctrl+C ends it\n`)
  await echo(new Chat({ url, tokens }))
}
