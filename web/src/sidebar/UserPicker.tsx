import { X } from "lucide-react"
import { useState } from "react"
import type { User } from "../chat/types.ts"
import { text } from "../text/text.ts"
import { UserAvatar } from "../ui/Avatar.tsx"
import { IconButton } from "../ui/Button.tsx"
import { Field } from "../ui/Field.tsx"
import { useFoundUsers } from "./foundUsers.ts"

interface UserPickerProps {
  readonly chosen: ReadonlyArray<User>
  readonly onChange: (chosen: ReadonlyArray<User>) => void
  /** Users who cannot be chosen. */
  readonly without?: ReadonlySet<string>
}

/** Finds users by name, and lets several be chosen. */
export const UserPicker = ({ chosen, onChange, without }: UserPickerProps) => {
  const [query, setQuery] = useState("")
  const found = useFoundUsers(query.trim())
  const offered = found?.filter(({ id }) => without?.has(id) !== true && !chosen.some((user) => user.id === id))
  return (
    <div className="user-picker">
      {chosen.length > 0 && (
        <ul className="chips" aria-label={text.people}>
          {chosen.map((user) => (
            <li key={user.id}>
              <bdi>{user.displayName}</bdi>
              <IconButton
                label={`${text.remove}: ${user.displayName}`}
                onClick={() => onChange(chosen.filter((other) => other !== user))}
              >
                <X />
              </IconButton>
            </li>
          ))}
        </ul>
      )}
      <Field
        label={text.findPeople}
        type="search"
        autoComplete="off"
        value={query}
        onChange={(event) => setQuery(event.target.value)}
      />
      <ul className="users">
        {offered?.map((user) => (
          <li key={user.id}>
            <button
              type="button"
              className="user"
              onClick={() => {
                onChange([...chosen, user])
                setQuery("")
              }}
            >
              <UserAvatar user={user} id={user.id} size="small" />
              <bdi>{user.displayName}</bdi>
              <span className="hint">@{user.username}</span>
            </button>
          </li>
        ))}
      </ul>
      <p className="hint" role="status">
        {offered?.length === 0 && text.nobodyFound}
      </p>
    </div>
  )
}
