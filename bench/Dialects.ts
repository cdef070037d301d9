/** One end of a conversation: the user who opens the socket, and the conversation. */
export interface Member {
  readonly user: string
  readonly conversation: string
  readonly token: string
}

/** Two users: the first writes, the second reads. The message goes to both, and the first gets an answer too. */
export interface Pair {
  readonly conversation: string
  readonly sender: Member
  readonly receiver: Member
  /** How many messages were sent, and the last `seq` of the conversation. Both continue from run to run. */
  sent: number
  seq: number
}

/** The meaning of a frame: message `n` was stored (`ack`), or it is delivered. `seq` is undefined if there is none. */
export interface Heard {
  readonly kind: "ack" | "event"
  readonly n: number
  readonly seq: number | undefined
}

/** The protocol of a target. */
export interface Dialect {
  readonly path: (member: Member) => string
  /** The first frame, if the client speaks first. */
  readonly opening: (member: Member) => string | undefined
  /** The answer to a frame before the socket is ready, and whether the socket is ready now. */
  readonly greet: (text: string, member: Member) => { readonly answer?: string; readonly ready?: boolean }
  readonly send: (n: number, message: { conversation: string; clientId: string; body: string }) => string
  /** The meaning of the frame, or the text that answers a keep-alive. */
  readonly hear: (text: string) => Heard | string | undefined
}

/** Client ids look like the UUIDs that clients would use, and carry `n`. */
export const clientIdOf = (prefix: string, n: number) => prefix + n.toString(16).padStart(12, "0")
const numberOf = (clientId: string) => Number.parseInt(clientId.slice(-12), 16)

export const sketchDialect: Dialect = {
  path: ({ conversation, user }) => `/?conversation=${conversation}&user=${user}`,
  opening: () => undefined,
  greet: () => ({ ready: true }),
  send: (id, message) => JSON.stringify({ id, ...message }),
  hear: (text) => {
    const frame = JSON.parse(text)
    if (frame.ok !== undefined) return { kind: "ack", n: frame.id, seq: frame.ok.seq }
    return { kind: "event", n: numberOf(frame.clientId), seq: frame.seq }
  }
}

/** Engine.IO 4 and Socket.IO 5: `0` open, `2` ping, `3` pong, `4` a packet, `40` connect, `42` event, `43` answer. */
export const socketIoDialect: Dialect = {
  path: () => "/socket.io/?EIO=4&transport=websocket",
  opening: () => undefined,
  greet: (text, { conversation, user }) => {
    if (text.startsWith("0")) return { answer: `40${JSON.stringify({ conversation, user })}` }
    return { ready: text.startsWith("40") }
  },
  send: (id, message) => `42${id}${JSON.stringify(["chat message", message])}`,
  hear: (text) => {
    if (text === "2") return "3"
    const json = text.indexOf("[")
    if (text.startsWith("43")) return { kind: "ack", n: Number(text.slice(2, json)), seq: undefined }
    const [event, message] = JSON.parse(text.slice(json))
    if (event !== "chat message") return undefined
    return { kind: "event", n: numberOf(message.clientId), seq: undefined }
  }
}

/** The protocol of the service, `chat.v1.json`. */
export const serviceDialect: Dialect = {
  path: () => "/v1/ws",
  opening: ({ token }) => JSON.stringify({ id: 0, op: "hello", data: { token } }),
  greet: (text) => {
    const frame = JSON.parse(text)
    if (frame.error !== undefined) throw new Error(`hello was refused: ${text}`)
    return { ready: frame.event === "ready" && frame.data.done === true }
  },
  send: (id, { body, clientId, conversation }) =>
    JSON.stringify({
      id,
      op: "message.send",
      data: { conversationId: conversation, clientMessageId: clientId, body }
    }),
  hear: (text) => {
    const frame = JSON.parse(text)
    if (frame.event === "message.created") {
      return { kind: "event", n: numberOf(frame.data.message.clientMessageId), seq: frame.seq }
    }
    if (frame.event === "ping") return JSON.stringify({ id: 0, op: "ping" })
    if (frame.error !== undefined) throw new Error(`a command was refused: ${text}`)
    return frame.ok?.seq === undefined ? undefined : { kind: "ack", n: frame.id, seq: frame.ok.seq }
  }
}
