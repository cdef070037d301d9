import { useChat } from "chat-service/client/react"
import { Check, CheckCheck, Clock, MessageSquareText, Pin, Star } from "lucide-react"
import { lazy, memo, Suspense, useState } from "react"
import { usePeople, useUser } from "../chat/people.tsx"
import type { Message, User } from "../chat/types.ts"
import { useUnreadReplies } from "../chat/unreadReplies.ts"
import { Attachments } from "../files/Attachments.tsx"
import { momentOf, timeOf } from "../text/format.ts"
import { text } from "../text/text.ts"
import { UserAvatar } from "../ui/Avatar.tsx"
import { Badge } from "../ui/Badge.tsx"
import { KindTag } from "../ui/KindTag.tsx"
import { attempt } from "../ui/notices.tsx"
import { Markdown } from "./Markdown.tsx"
import type { Actions } from "./MessageActions.tsx"
import { Poll, pollOf } from "./Poll.tsx"

const MessageActions = lazy(() => import("./MessageActions.tsx"))

/** How far a message of mine has come. */
export type Progress = "waiting" | "sent" | "delivered" | "read"

const progressText: Readonly<Record<Progress, () => string>> = {
  waiting: () => text.sending,
  sent: () => text.sent,
  delivered: () => text.delivered,
  read: () => text.read
}

/** A mark that says how far a message has come. */
export const ProgressMark = ({ progress }: { readonly progress: Progress }) => {
  const Mark = progress === "waiting" ? Clock : progress === "sent" ? Check : CheckCheck
  return (
    <span className={`progress ${progress}`} title={progressText[progress]()}>
      <Mark role="img" aria-label={progressText[progress]()} />
    </span>
  )
}

interface QuoteProps {
  readonly replyTo: NonNullable<Message["replyTo"]>
  readonly onOpen: (seq: number) => void
}

const Quote = ({ onOpen, replyTo }: QuoteProps) => {
  const sender = useUser(replyTo.senderId ?? undefined)
  const shown = replyTo.hidden === true ? text.hiddenMessage : replyTo.deleted ? text.deletedMessage : replyTo.excerpt
  return (
    <button type="button" className="quote" onClick={() => onOpen(replyTo.seq)} disabled={replyTo.hidden === true}>
      <strong dir="auto">{sender?.displayName}</strong>
      <span dir="auto">{shown}</span>
    </button>
  )
}

const Reactions = ({ message: { conversationId, id, reactions } }: { readonly message: Message }) => {
  const conversation = useChat().conversation(conversationId)
  if (reactions.length === 0) return null
  return (
    <div className="reactions">
      {reactions.map(({ count, emoji, me }) => (
        <button
          key={emoji}
          type="button"
          aria-pressed={me === true}
          aria-label={text.reactions(emoji, count)}
          onClick={() => attempt(me === true ? conversation.unreact(id, emoji) : conversation.react(id, emoji))}
        >
          {emoji} <span>{count}</span>
        </button>
      ))}
    </div>
  )
}

const isEmojiOnly = (body: string) => body.length < 40 && /^(\p{RGI_Emoji}\s*){1,3}$/v.test(body)

const Body = ({ message }: { readonly message: Message }) => {
  const people = usePeople()
  const names = message.mentions.flatMap((id) => people.get(id)?.username ?? [])
  const all = message.mentionsAll ? ["@all"] : []
  const mentions = new Set([...names.map((name) => `@${name}`), ...all])
  if (message.deletedAt !== null) return <p className="deleted">{text.deletedMessage}</p>
  const poll = pollOf(message)
  if (poll !== undefined) return <Poll message={message} poll={poll} />
  return (
    <>
      {message.body !== "" && (
        <div className={isEmojiOnly(message.body) ? "body emoji" : "body"}>
          <Markdown body={message.body} mentions={mentions} />
          {message.editedAt !== null && (
            <span className="edited" title={momentOf(message.editedAt)}>
              ({text.edited})
            </span>
          )}
        </div>
      )}
      <Attachments message={message} />
    </>
  )
}

/** Who wrote a message, and when. */
const Author = ({ at, user }: { readonly user: User | undefined; readonly at: string }) => (
  <header>
    <strong dir="auto">{user?.displayName || (user === undefined ? text.someone : text.deletedUser)}</strong>
    <KindTag user={user} />
    <time dateTime={at} title={momentOf(at)}>
      {timeOf(at)}
    </time>
  </header>
)

/** How many replies a message has, and how many of them are unread. */
const ThreadLink = ({ message, onOpen }: { readonly message: Message; readonly onOpen: () => void }) => {
  const unread = useUnreadReplies(message)
  return (
    <button type="button" className="link thread-link" onClick={onOpen}>
      <MessageSquareText aria-hidden="true" />
      {text.replies(message.threadReplyCount)}
      {unread > 0 && <Badge count={unread} label={text.unreadReplies(unread)} />}
    </button>
  )
}

interface MessageRowProps {
  readonly message: Message
  /** Whether it is shown in one block with the message before. */
  readonly follows: boolean
  readonly mine: boolean
  readonly highlighted: boolean
  readonly starred: boolean
  readonly progress: Progress | null
  readonly actions: Actions
  /** Whether replies in its thread are shown. */
  readonly withThread: boolean
}

/** One message with everything that belongs to it. Its actions appear when it is pointed at or has the focus. */
export const MessageRow = memo(
  ({ actions, follows, highlighted, message, mine, progress, starred, withThread }: MessageRowProps) => {
    const sender = useUser(message.senderId)
    const [pointed, setPointed] = useState(false)
    const [held, setHeld] = useState(false)
    const time = timeOf(message.createdAt)
    const active = (pointed || held) && message.deletedAt === null
    return (
      <article
        className={`message ${follows ? "follows" : ""} ${highlighted ? "highlighted" : ""} ${active ? "active" : ""}`}
        aria-label={`${sender?.displayName ?? text.someone}, ${time}`}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: the keys of the list move the focus from message to message
        tabIndex={0}
        data-message={message.id}
        onPointerEnter={() => setPointed(true)}
        // The focus may have left while the pointer stayed.
        onPointerMove={() => setPointed(true)}
        onPointerLeave={() => setPointed(false)}
        onFocus={() => setPointed(true)}
        onBlur={({ currentTarget, relatedTarget }) => currentTarget.contains(relatedTarget) || setPointed(false)}
      >
        {follows ? (
          <time dateTime={message.createdAt}>{time}</time>
        ) : (
          <UserAvatar user={sender} id={message.senderId} />
        )}
        <div className="content">
          {!follows && <Author user={sender} at={message.createdAt} />}
          {message.replyTo !== null && <Quote replyTo={message.replyTo} onOpen={actions.show} />}
          <Body message={message} />
          <Reactions message={message} />
          {withThread && message.threadReplyCount > 0 && (
            <ThreadLink message={message} onOpen={() => actions.openThread?.(message)} />
          )}
        </div>
        <span className="marks">
          {message.pinned && <Pin role="img" aria-label={text.pinned} />}
          {starred && <Star role="img" aria-label={text.saved} />}
          {progress !== null && <ProgressMark progress={progress} />}
        </span>
        {active && (
          <Suspense>
            <MessageActions message={message} mine={mine} starred={starred} actions={actions} onHold={setHeld} />
          </Suspense>
        )}
      </article>
    )
  }
)
