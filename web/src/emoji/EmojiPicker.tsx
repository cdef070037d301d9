import { Popover } from "@base-ui/react/popover"
import { type KeyboardEvent, type RefObject, useDeferredValue, useRef, useState } from "react"
import { keyBackwards, keyForwards } from "../text/language.ts"
import { text } from "../text/text.ts"
import { isComposing } from "../ui/composing.ts"
import { groups, matching, nameOf } from "./table.ts"

const columns = 8
const key = "chat-service.emoji"

/** As many emoji are remembered as fit into two lines. */
const remembered = 2 * columns

const wordsOf = (query: string) => query.trim().toLowerCase()

const recent = (): ReadonlyArray<string> => (localStorage.getItem(key) ?? "").split(" ").filter((emoji) => emoji !== "")

const remember = (emoji: string) =>
  localStorage.setItem(key, [emoji, ...recent().filter((other) => other !== emoji)].slice(0, remembered).join(" "))

/** The button that is nearest to another one in the line above or below. */
const inNextLine = (buttons: ReadonlyArray<HTMLElement>, from: HTMLElement, step: 1 | -1) => {
  const beyond = buttons.filter(({ offsetTop }) => (offsetTop - from.offsetTop) * step > 0)
  const line = (step === 1 ? beyond[0] : beyond.at(-1))?.offsetTop
  const distance = ({ offsetLeft }: HTMLElement) => Math.abs(offsetLeft - from.offsetLeft)
  return beyond
    .filter(({ offsetTop }) => offsetTop === line)
    .reduce<HTMLElement | undefined>(
      (nearest, button) => (nearest === undefined || distance(button) < distance(nearest) ? button : nearest),
      undefined
    )
}

interface EmojiGroup {
  readonly name: string
  readonly emoji: ReadonlyArray<string>
}

/** The emoji of a group. Tab reaches the `first` one of all groups. */
const Group = ({
  first,
  group: { emoji: all, name },
  onPick
}: {
  readonly group: EmojiGroup
  readonly first: string | undefined
  readonly onPick: (emoji: string) => void
}) => (
  <section aria-label={name} style={{ "--rows": Math.ceil(all.length / columns) }}>
    <h3>{name}</h3>
    <div className="grid">
      {all.map((emoji) => (
        <button
          key={emoji}
          type="button"
          tabIndex={emoji === first ? 0 : -1}
          aria-label={nameOf(emoji)}
          title={nameOf(emoji)}
          onClick={() => onPick(emoji)}
        >
          {emoji}
        </button>
      ))}
    </div>
  </section>
)

interface EmojiPickerProps {
  /** The button that has opened it. */
  readonly anchor: RefObject<HTMLElement | null>
  readonly onClose: () => void
  readonly onPick: (emoji: string) => void
}

/** All emoji, to find by their names. The arrow keys go from one to the next. */
const EmojiPicker = ({ anchor, onClose, onPick }: EmojiPickerProps) => {
  const [query, setQuery] = useState("")
  const words = useDeferredValue(wordsOf(query))
  const list = useRef<HTMLDivElement>(null)
  const [lately] = useState(recent)
  const shown =
    words === ""
      ? [...(lately.length === 0 ? [] : [{ name: text.recentEmoji, emoji: lately }]), ...groups]
      : [{ name: text.emoji, emoji: matching(words) }]
  const pick = (emoji: string | undefined) => {
    if (emoji === undefined) return
    remember(emoji)
    onPick(emoji)
    onClose()
  }
  const onKeyDown = (event: KeyboardEvent) => {
    const buttons: ReadonlyArray<HTMLElement> = [...(list.current?.querySelectorAll("button") ?? [])]
    const at = event.target instanceof HTMLElement ? buttons.indexOf(event.target) : -1
    const from = buttons[at]
    const next =
      from === undefined
        ? event.key === "ArrowDown" && buttons[0]
        : event.key === keyForwards
          ? buttons[at + 1]
          : event.key === keyBackwards
            ? buttons[at - 1]
            : event.key === "ArrowDown"
              ? inNextLine(buttons, from, 1)
              : event.key === "ArrowUp" && inNextLine(buttons, from, -1)
    if (!next) return
    event.preventDefault()
    next.focus()
  }
  return (
    <Popover.Root open onOpenChange={(open) => !open && onClose()}>
      <Popover.Portal>
        <Popover.Positioner anchor={anchor} side="top" align="start" sideOffset={8} className="positioner">
          <Popover.Popup className="emoji-picker" aria-label={text.emoji} onKeyDown={onKeyDown}>
            <input
              type="text"
              aria-label={text.searchEmoji}
              placeholder={text.searchEmoji}
              value={query}
              onChange={(event) => setQuery(event.target.value)}
              onKeyDown={(event) => {
                // What is shown may be a step behind what was typed.
                const typed = wordsOf(event.currentTarget.value)
                if (event.key === "Enter" && !isComposing(event) && typed !== "") pick(matching(typed)[0])
              }}
            />
            <div ref={list}>
              {shown.map((group) => (
                <Group key={group.name} group={group} first={shown[0]?.emoji[0]} onPick={pick} />
              ))}
              {shown[0]?.emoji.length === 0 && (
                <p className="hint" role="status">
                  {text.nothingFound}
                </p>
              )}
            </div>
          </Popover.Popup>
        </Popover.Positioner>
      </Popover.Portal>
    </Popover.Root>
  )
}
export default EmojiPicker
