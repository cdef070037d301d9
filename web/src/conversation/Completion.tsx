import { type KeyboardEvent, type RefObject, useId, useState } from "react"
import type { Member } from "../chat/types.ts"
import { text } from "../text/text.ts"
import { UserAvatar } from "../ui/Avatar.tsx"

/** At most this many names are offered. */
const most = 6

interface CompletionOptions {
  readonly area: RefObject<HTMLTextAreaElement | null>
  readonly body: string
  readonly members: ReadonlyArray<Member>
  readonly onComplete: (body: string) => void
}

const matching = (members: ReadonlyArray<Member>, begun: string) =>
  members
    .filter(
      ({ user }) =>
        user.username.startsWith(begun) ||
        user.displayName
          .toLowerCase()
          .split(/\s+/)
          .some((word) => word.startsWith(begun))
    )
    .slice(0, most)

/** Completes `@` and the beginning of a name to the username of a member. */
export const useCompletion = ({ area, body, members, onComplete }: CompletionOptions) => {
  const listId = useId()
  const [closedFor, setClosedFor] = useState<string | null>(null)
  const [index, setIndex] = useState(0)
  const before = body.slice(0, area.current?.selectionStart ?? body.length)
  const begun = /(?:^|\s)@([\w.-]*)$/.exec(before)?.[1]?.toLowerCase()
  const offered = begun === undefined || closedFor === begun ? [] : matching(members, begun)
  const chosen = Math.min(index, offered.length - 1)

  const complete = ({ user }: Member) => {
    const start = before.slice(0, before.length - (begun ?? "").length)
    onComplete(`${start}${user.username} ${body.slice(before.length)}`)
    setIndex(0)
    area.current?.focus()
  }
  /** Takes the keys of the list while it is open; returns whether it has taken one. */
  const onKeyDown = (event: KeyboardEvent): boolean => {
    const current = offered[chosen]
    if (current === undefined) return false
    if (event.key === "ArrowDown") setIndex((chosen + 1) % offered.length)
    else if (event.key === "ArrowUp") setIndex((chosen + offered.length - 1) % offered.length)
    else if (event.key === "Enter" || event.key === "Tab") complete(current)
    else if (event.key === "Escape") setClosedFor(begun ?? null)
    else return false
    event.preventDefault()
    event.stopPropagation()
    return true
  }
  const open = offered.length > 0
  return {
    listId,
    offered,
    chosen,
    complete,
    onKeyDown,
    attributes: {
      "aria-autocomplete": "list" as const,
      "aria-controls": open ? listId : undefined,
      "aria-activedescendant": open ? `${listId}-${chosen}` : undefined
    }
  }
}

/** The names that are offered. */
export const Completion = ({ completion }: { readonly completion: ReturnType<typeof useCompletion> }) => {
  const { chosen, complete, listId, offered } = completion
  if (offered.length === 0) return null
  return (
    <div id={listId} className="completion" role="listbox" aria-label={text.people}>
      {offered.map((member, index) => (
        <div
          key={member.user.id}
          id={`${listId}-${index}`}
          role="option"
          tabIndex={-1}
          aria-selected={index === chosen}
          onPointerDown={(event) => {
            event.preventDefault()
            complete(member)
          }}
        >
          <UserAvatar user={member.user} id={member.user.id} size="small" />
          <bdi>{member.user.displayName}</bdi>
          <span className="hint">@{member.user.username}</span>
        </div>
      ))}
    </div>
  )
}
