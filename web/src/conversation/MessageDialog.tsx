import { lazy, Suspense } from "react"
import type { Message } from "../chat/types.ts"

const Forward = lazy(() => import("./Forward.tsx"))
const ReadBy = lazy(() => import("./ReadBy.tsx"))
const Removal = lazy(() => import("./Removal.tsx"))

/** What is asked or shown about one message in front of the page. */
export interface Asking {
  readonly about: "forward" | "readers" | "removal"
  readonly message: Message
}

/** The dialog about a message that was asked for. */
export const MessageDialog = ({ asking, onClose }: { readonly asking: Asking | null; readonly onClose: () => void }) =>
  asking && (
    <Suspense>
      {asking.about === "forward" && <Forward message={asking.message} onClose={onClose} />}
      {asking.about === "readers" && <ReadBy message={asking.message} onClose={onClose} />}
      {asking.about === "removal" && <Removal message={asking.message} onClose={onClose} />}
    </Suspense>
  )
