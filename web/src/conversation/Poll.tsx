import { useChat } from "chat-service/client/react"
import { useEffect, useState } from "react"
import type { Message, Poll as PollPayload } from "../chat/types.ts"
import { explain } from "../text/failure.ts"
import { momentOf } from "../text/format.ts"
import { text } from "../text/text.ts"
import { notify } from "../ui/notices.tsx"

/** The poll of a message; undefined for other messages. */
export const pollOf = ({ payload, type }: Message): PollPayload | undefined =>
  type === "poll" && payload !== null && "options" in payload ? payload : undefined

const Option = ({
  chosen,
  label,
  multiple,
  name,
  onToggle,
  open,
  share,
  votes
}: {
  readonly label: string
  readonly name: string
  readonly multiple: boolean
  readonly chosen: boolean
  readonly open: boolean
  readonly votes: number
  /** The part of the votes that it has, from 0 to 1. */
  readonly share: number
  readonly onToggle: () => void
}) => (
  <label className="poll-option" style={{ "--share": share }}>
    <input
      type={multiple ? "checkbox" : "radio"}
      name={name}
      checked={chosen}
      disabled={!open}
      onChange={onToggle}
      // A radio button that is chosen would not change any more.
      onClick={() => !multiple && chosen && onToggle()}
    />
    <span dir="auto">{label}</span>
    <span className="poll-votes">{text.votes(votes)}</span>
  </label>
)

/** A timer cannot wait for longer than this. */
const longestMillis = 2 ** 31 - 1

/** Whether a poll can still be voted in; it ends by itself. */
const useIsOpen = ({ closesAt }: PollPayload) => {
  const leftOf = () => (closesAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(closesAt) - Date.now())
  const [open, setOpen] = useState(() => leftOf() > 0)
  // biome-ignore lint/correctness/useExhaustiveDependencies: the end of a poll never changes
  useEffect(() => {
    const left = leftOf()
    if (!open || left > longestMillis) return
    const timer = setTimeout(() => setOpen(false), left)
    return () => clearTimeout(timer)
  }, [])
  return open
}

/**
 * My vote in a poll, and what casts another one. That is shown at once, and until the service has refused it or tells of my
 * vote, which may be a later one of another device.
 */
const useVote = ({ conversationId, id, myVote }: Message) => {
  const conversation = useChat().conversation(conversationId)
  const [cast, setCast] = useState<{ readonly vote: ReadonlyArray<number>; readonly counted: boolean } | null>(null)
  // biome-ignore lint/correctness/useExhaustiveDependencies: what the service tells is later than what was counted
  useEffect(() => setCast((now) => (now?.counted === true ? null : now)), [myVote])
  const send = async (vote: ReadonlyArray<number>) => {
    setCast({ vote, counted: false })
    const counted = await conversation.vote(id, vote).then(
      () => ({ vote, counted: true }),
      (error: unknown) => {
        notify(explain(error))
        return null
      }
    )
    setCast((now) => (now?.vote === vote ? counted : now))
  }
  return [cast?.vote ?? myVote ?? [], send] as const
}

/** A poll, in which I vote by choosing. Choosing the same again takes the vote back. */
export const Poll = ({ message, poll }: { readonly message: Message; readonly poll: PollPayload }) => {
  const [mine, vote] = useVote(message)
  const votes = message.votes ?? poll.options.map(() => 0)
  const total = Math.max(...votes, 1)
  const open = useIsOpen(poll)
  const multiple = poll.multiple === true
  const toggle = (option: number) => {
    const others = mine.filter((other) => other !== option)
    const next = others.length < mine.length ? others : multiple ? [...mine, option] : [option]
    void vote(next)
  }
  return (
    <fieldset className="poll">
      <legend dir="auto">{poll.question}</legend>
      {poll.options.map((label, index) => (
        <Option
          // biome-ignore lint/suspicious/noArrayIndexKey: the options of a poll never change
          key={index}
          label={label}
          name={message.id}
          multiple={multiple}
          chosen={mine.includes(index)}
          open={open}
          votes={votes[index] ?? 0}
          share={(votes[index] ?? 0) / total}
          onToggle={() => toggle(index)}
        />
      ))}
      <p className="hint">
        {[
          open ? (multiple ? text.chooseSeveral : text.chooseOne) : text.pollClosed,
          open && poll.closesAt !== undefined ? text.closesAt(momentOf(poll.closesAt)) : ""
        ]
          .filter((part) => part !== "")
          .join(" · ")}
      </p>
    </fieldset>
  )
}
