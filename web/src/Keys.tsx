import { text } from "./text/text.ts"
import { Dialog } from "./ui/Dialog.tsx"

/** The keys of the page, as they are shown on `?`. */
const Keys = ({ onClose }: { readonly onClose: () => void }) => {
  const keys: ReadonlyArray<readonly [string, string]> = [
    ["Ctrl K", text.keySwitch],
    ["Alt ↑  Alt ↓", text.keyNeighbour],
    ["/", text.keySearch],
    ["Enter", text.keySend],
    ["Shift Enter", text.keyLine],
    ["↑", text.keyEditLast],
    ["↑  ↓", text.keyMessages],
    ["Esc", text.keyBack],
    ["?", text.keyHelp]
  ]
  return (
    <Dialog title={text.keys} onClose={onClose}>
      <dl className="keys">
        {keys.map(([key, meaning]) => (
          <div key={meaning}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  )
}
export default Keys
