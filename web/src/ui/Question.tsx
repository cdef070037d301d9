import { text } from "../text/text.ts"
import { Dialog } from "./Dialog.tsx"

/** Asks before something that cannot be undone. */
const Question = ({
  action,
  hint,
  onClose,
  onConfirm,
  title
}: {
  readonly title: string
  readonly hint: string
  readonly action: string
  readonly onClose: () => void
  readonly onConfirm: () => void
}) => (
  <Dialog title={title} onClose={onClose}>
    <p>{hint}</p>
    <footer>
      <button type="button" className="button" onClick={onClose}>
        {text.cancel}
      </button>
      <button
        type="button"
        className="button danger"
        onClick={() => {
          onConfirm()
          onClose()
        }}
      >
        {action}
      </button>
    </footer>
  </Dialog>
)
export default Question
