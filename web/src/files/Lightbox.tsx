import { Dialog } from "@base-ui/react/dialog"
import { useChat } from "chat-service/client/react"
import { ChevronLeft, ChevronRight, Download, X } from "lucide-react"
import type { Attachment } from "../chat/types.ts"
import { keyBackwards, keyForwards } from "../text/language.ts"
import { text } from "../text/text.ts"
import { IconButton } from "../ui/Button.tsx"
import { attempt } from "../ui/notices.tsx"
import { download, useLink } from "./links.ts"

interface LightboxProps {
  readonly pictures: ReadonlyArray<Attachment>
  readonly shown: Attachment
  readonly onShow: (attachment: Attachment) => void
  readonly onClose: () => void
}

const Whole = ({ attachment: { height, id, name, width } }: { readonly attachment: Attachment }) => {
  const link = useLink(id)
  return link && <img src={link} alt={name} width={width ?? undefined} height={height ?? undefined} />
}

/** The pictures of a message in front of the page, one at a time. The arrow keys go from one to the next. */
const Lightbox = ({ onClose, onShow, pictures, shown }: LightboxProps) => {
  const chat = useChat()
  const at = pictures.indexOf(shown)
  const [before, after] = [pictures[at - 1], pictures[at + 1]]
  return (
    <Dialog.Root open onOpenChange={(open) => !open && onClose()}>
      <Dialog.Portal>
        <Dialog.Backdrop className="backdrop lightbox-backdrop" />
        <Dialog.Popup
          className="lightbox"
          onKeyDown={({ key }) => {
            const next = key === keyBackwards ? before : key === keyForwards ? after : undefined
            if (next !== undefined) onShow(next)
          }}
        >
          <header>
            <Dialog.Title dir="auto">{shown.name}</Dialog.Title>
            <IconButton label={text.download} onClick={() => attempt(download(chat, shown.id))}>
              <Download />
            </IconButton>
            <Dialog.Close className="icon-button" aria-label={text.close} title={text.close}>
              <X />
            </Dialog.Close>
          </header>
          <Whole key={shown.id} attachment={shown} />
          {pictures.length > 1 && (
            <footer>
              <IconButton
                label={text.previousPicture}
                disabled={before === undefined}
                onClick={() => before && onShow(before)}
              >
                <ChevronLeft className="directed" />
              </IconButton>
              <span>
                {at + 1} / {pictures.length}
              </span>
              <IconButton
                label={text.nextPicture}
                disabled={after === undefined}
                onClick={() => after && onShow(after)}
              >
                <ChevronRight className="directed" />
              </IconButton>
            </footer>
          )}
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  )
}
export default Lightbox
