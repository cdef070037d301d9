import { Dialog as Base } from "@base-ui/react/dialog"
import { X } from "lucide-react"
import type { ReactNode, RefObject } from "react"
import { text } from "../text/text.ts"

interface DialogProps {
  readonly title: string
  readonly children: ReactNode
  readonly onClose: () => void
  /** What has the focus first; the button that closes the dialog unless given. */
  readonly initialFocus?: RefObject<HTMLElement | null>
}

/** A dialog in front of the page, for as long as it is rendered. */
export const Dialog = ({ children, initialFocus, onClose, title }: DialogProps) => (
  <Base.Root open onOpenChange={(open) => !open && onClose()}>
    <Base.Portal>
      <Base.Backdrop className="backdrop" />
      <Base.Popup className="dialog" {...(initialFocus && { initialFocus })}>
        <header>
          <Base.Title>{title}</Base.Title>
          <Base.Close className="icon-button" aria-label={text.close} title={text.close}>
            <X />
          </Base.Close>
        </header>
        {children}
      </Base.Popup>
    </Base.Portal>
  </Base.Root>
)
