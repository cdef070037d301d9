import { ArrowDown } from "lucide-react"
import { type ReactNode, useCallback, useEffect, useLayoutEffect, useRef, useState } from "react"
import { Virtualizer, type VirtualizerHandle } from "virtua"
import { text } from "../text/text.ts"
import { IconButton } from "../ui/Button.tsx"
import { attempt } from "../ui/notices.tsx"
import type { Row } from "./rows.ts"
import type { Timeline } from "./useTimeline.ts"

/** The list counts as at its end within this many pixels. */
const slack = 8

/** Older and newer messages are fetched within this many pixels of an end. */
const near = 600

/** The sizes of new rows are known after this time. */
const settledMillis = 100

const lastKey = (rows: ReadonlyArray<Row>) => rows.at(-1)?.key

/** Moves the focus from message to message by the arrow keys. */
const moveFocus = (from: Element, step: 1 | -1) => {
  const messages = [...(from.closest(".messages")?.querySelectorAll<HTMLElement>("[data-message]") ?? [])]
  const at = messages.findIndex((message) => message.isSameNode(from))
  messages[at + step]?.focus()
}

/** Fetches more when an end of the list comes near, once at a time. */
const useMore = ({ hasAfter, hasBefore, loadAfter, loadBefore }: Timeline) => {
  const loading = useRef(false)
  return ({ scrollOffset, scrollSize, viewportSize }: VirtualizerHandle) => {
    if (loading.current) return
    const load =
      hasBefore && scrollOffset < near
        ? loadBefore
        : hasAfter && scrollOffset + viewportSize > scrollSize - near
          ? loadAfter
          : undefined
    if (load === undefined) return
    loading.current = true
    attempt(
      load().finally(() => {
        loading.current = false
      })
    )
  }
}

interface MessageListProps {
  readonly label: string
  readonly rows: ReadonlyArray<Row>
  /** The row to begin with; the end of the list when it is undefined. */
  readonly startAt: number | undefined
  readonly timeline: Timeline
  readonly render: (row: Row) => ReactNode
  /** Called with the rows that can be seen up to which index, and whether that is the end. */
  readonly onSeen: (index: number, atEnd: boolean) => void
  /** Called when the user wants the newest messages. */
  readonly onPresent: () => void
}

/** Keeps the place in the list: where it begins, at its end while that is seen, and where it was when rows come before. */
const usePlace = ({
  onSeen,
  rows,
  startAt,
  timeline
}: Pick<MessageListProps, "onSeen" | "rows" | "startAt" | "timeline">) => {
  const handle = useRef<VirtualizerHandle>(null)
  const previous = useRef(rows)
  const atEnd = useRef(startAt === undefined)
  const [away, setAway] = useState(false)
  const more = useMore(timeline)
  // Rows were added at the beginning, so what is shown keeps its distance from the end.
  const shift = rows.length > previous.current.length && lastKey(rows) === lastKey(previous.current)

  const toEnd = useCallback(() => {
    handle.current?.scrollToIndex(previous.current.length - 1, { align: "end" })
  }, [])
  const look = () => {
    const list = handle.current
    if (list === null) return
    const { scrollOffset, scrollSize, viewportSize } = list
    atEnd.current = !timeline.hasAfter && scrollOffset + viewportSize >= scrollSize - slack
    setAway(scrollOffset + viewportSize < scrollSize - viewportSize)
    more(list)
    onSeen(list.findItemIndex(scrollOffset + viewportSize - 1), atEnd.current)
  }
  const latest = useRef(look)
  latest.current = look

  useLayoutEffect(() => {
    const grown = previous.current !== rows
    previous.current = rows
    if (grown && atEnd.current) toEnd()
  }, [rows, toEnd])
  // biome-ignore lint/correctness/useExhaustiveDependencies: it begins there once
  useLayoutEffect(() => {
    if (startAt === undefined) toEnd()
    else handle.current?.scrollToIndex(startAt, { align: "start", offset: -60 })
  }, [])
  // biome-ignore lint/correctness/useExhaustiveDependencies: rows that came may be seen at once
  useEffect(() => {
    const again = () => latest.current()
    const timer = setTimeout(again, settledMillis)
    addEventListener("focus", again)
    return () => {
      clearTimeout(timer)
      removeEventListener("focus", again)
    }
  }, [rows])
  return { handle, shift, look, toEnd, away, resized: () => atEnd.current && toEnd() }
}

/** A long list of messages that stays where it is when messages come at either end, and follows its end. */
export const MessageList = (props: MessageListProps) => {
  const { label, onPresent, render, rows, timeline } = props
  const { away, handle, look, resized, shift, toEnd } = usePlace(props)
  return (
    <div className="messages-frame">
      <div
        className="messages"
        role="log"
        aria-label={label}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a list that scrolls can be scrolled by keys
        tabIndex={0}
        onKeyDown={(event) => {
          if (!(event.target instanceof HTMLElement) || event.target.dataset.message === undefined) return
          if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return
          event.preventDefault()
          moveFocus(event.target, event.key === "ArrowUp" ? -1 : 1)
        }}
      >
        <div className="spacer" />
        <Virtualizer ref={handle} data={rows} shift={shift} onScroll={look} onResize={resized} bufferSize={400}>
          {(row) => <div key={row.key}>{render(row)}</div>}
        </Virtualizer>
      </div>
      {(away || timeline.hasAfter) && (
        <IconButton
          className="to-present"
          label={text.jumpToPresent}
          onClick={() => {
            onPresent()
            toEnd()
          }}
        >
          <ArrowDown />
        </IconButton>
      )}
    </div>
  )
}
