import { useSyncExternalStore } from "react"
import { explain } from "../text/failure.ts"

interface Notice {
  readonly id: number
  readonly message: string
}

const shownMillis = 6000

let notices: ReadonlyArray<Notice> = []
let count = 0
const listeners = new Set<() => void>()

const set = (next: ReadonlyArray<Notice>) => {
  notices = next
  for (const listener of listeners) listener()
}

/** Shows a message for some seconds, and says it to screen readers. */
export const notify = (message: string): void => {
  const notice = { id: count++, message }
  set([...notices, notice])
  setTimeout(() => set(notices.filter((other) => other !== notice)), shownMillis)
}

/** Tells the user when an action fails. */
export const attempt = (action: Promise<unknown>): void => {
  action.catch((error: unknown) => notify(explain(error)))
}

const subscribe = (listener: () => void) => {
  listeners.add(listener)
  return () => void listeners.delete(listener)
}

/** The place where messages of `notify` appear. */
export const Notices = () => {
  const shown = useSyncExternalStore(subscribe, () => notices)
  return (
    <div className="notices" role="status">
      {shown.map(({ id, message }) => (
        <p key={id}>{message}</p>
      ))}
    </div>
  )
}
