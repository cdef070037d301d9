import encodeQR from "qr"
import { text } from "../text/text.ts"
import { Dialog } from "../ui/Dialog.tsx"

/** Readers need this many light squares around a code. */
const border = 4

/** A QR code of an address, for somebody who stands next to the screen. */
const InviteCode = ({ address, onClose }: { readonly address: string; readonly onClose: () => void }) => {
  const squares = encodeQR(address, "raw", { border })
  const dark = squares.flatMap((row, y) => row.flatMap((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : [])))
  return (
    <Dialog title={text.qrCode} onClose={onClose}>
      <svg
        className="qr-code"
        role="img"
        aria-label={text.qrCode}
        viewBox={`0 0 ${squares.length} ${squares.length}`}
        shapeRendering="crispEdges"
      >
        <path d={dark.join("")} />
      </svg>
      <p className="hint" dir="ltr">
        {address}
      </p>
    </Dialog>
  )
}
export default InviteCode
