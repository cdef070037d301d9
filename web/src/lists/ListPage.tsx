import { ArrowLeft } from "lucide-react"
import type { ReactNode } from "react"
import { goTo } from "../chat/route.ts"
import { text } from "../text/text.ts"
import { IconButton } from "../ui/Button.tsx"

/** A list in place of a conversation. */
export const ListPage = ({ children, title }: { readonly title: string; readonly children: ReactNode }) => (
  <main className="conversation" aria-label={title}>
    <header className="conversation-header">
      <IconButton className="to-list" label={text.back} onClick={() => goTo({ name: "home" })}>
        <ArrowLeft className="directed" />
      </IconButton>
      <div className="heading">
        <h1>{title}</h1>
      </div>
    </header>
    <div className="found list-page">{children}</div>
  </main>
)
