import { useChat } from "chat-service/client/react"
import { type ClipboardEvent, type RefObject, useEffect, useRef, useState } from "react"
import { perChat } from "../chat/perChat.ts"
import { text } from "../text/text.ts"
import { notify } from "../ui/notices.tsx"
import type { LocalFile } from "./ChosenFiles.tsx"

/** A message can have this many files. */
const most = 10

/** The files that were chosen in each place and not sent yet, until the page is closed. */
const chosenOf = perChat(() => new Map<string, ReadonlyArray<LocalFile>>())

const none: ReadonlyArray<LocalFile> = []

const toLocal = (files: Iterable<File>): ReadonlyArray<LocalFile> =>
  [...files].map((content) => ({ name: content.name, content }))

const hasFiles = ({ dataTransfer }: DragEvent) => dataTransfer?.types.includes("Files") === true

/** Takes the files that are dropped anywhere on the conversation or the panel around an element. */
const useDrop = (inside: RefObject<HTMLElement | null>, onFiles: (files: FileList) => void) => {
  const latest = useRef(onFiles)
  latest.current = onFiles
  useEffect(() => {
    const place = inside.current?.closest<HTMLElement>(".conversation, .panel")
    if (place == null) return
    const end = () => {
      delete place.dataset.dropping
    }
    const over = (event: DragEvent) => {
      if (!hasFiles(event)) return
      event.preventDefault()
      place.dataset.dropping = text.dropHere
    }
    const leave = ({ relatedTarget }: DragEvent) => {
      if (!(relatedTarget instanceof Node) || !place.contains(relatedTarget)) end()
    }
    const drop = (event: DragEvent) => {
      end()
      if (!hasFiles(event) || event.dataTransfer === null) return
      event.preventDefault()
      latest.current(event.dataTransfer.files)
    }
    place.addEventListener("dragover", over)
    place.addEventListener("dragleave", leave)
    place.addEventListener("drop", drop)
    return () => {
      place.removeEventListener("dragover", over)
      place.removeEventListener("dragleave", leave)
      place.removeEventListener("drop", drop)
    }
  }, [inside])
}

/** The files of the message that is being written in a place: those that were chosen, pasted or dropped. */
export const useFiles = (place: string, form: RefObject<HTMLElement | null>) => {
  const chosen = chosenOf(useChat())
  /** Two may come before the first one is shown, so this is the list, and not what is shown. */
  const now = () => chosen.get(place) ?? none
  const [files, setFiles] = useState(now)
  const set = (next: ReadonlyArray<LocalFile>) => {
    chosen.set(place, next)
    setFiles(next)
  }
  const add = (more: Iterable<File>) => {
    const all = [...now(), ...toLocal(more)]
    if (all.length > most) notify(text.tooManyFiles(most))
    set(all.slice(0, most))
  }
  useDrop(form, add)
  const onPaste = (event: ClipboardEvent) => {
    if (event.clipboardData.files.length === 0) return
    event.preventDefault()
    add(event.clipboardData.files)
  }
  return {
    files,
    add,
    onPaste,
    remove: (file: LocalFile) => set(now().filter((other) => other !== file)),
    clear: () => set([])
  }
}
