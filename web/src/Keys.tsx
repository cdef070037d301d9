import { text } from "./text/text.ts"
import { Dialog } from "./ui/Dialog.tsx"

/** The keys of the page, as they are shown on `?`. */
const Keys = ({ onClose }: { readonly onClose: () => void }) => {
  const keys: ReadonlyArray<readonly [string, string]> = [
    [`${text.ctrlKey} K`, text.keySwitch],
    [`${text.altKey} ↑  ${text.altKey} ↓`, text.keyNeighbour],
    ["/", text.keySearch],
    [text.enterKey, text.keySend],
    [`${text.shiftKey} ${text.enterKey}`, text.keyLine],
    ["↑", text.keyEditLast],
    ["↑  ↓", text.keyMessages],
    [text.escapeKey, text.keyBack],
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
