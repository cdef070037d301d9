import type { User } from "../chat/types.ts"
import { text } from "../text/text.ts"

/** Says of a user who is no person with an account what it is. */
export const KindTag = ({ user }: { readonly user: Pick<User, "kind"> | undefined }) =>
  user?.kind === "bot" || user?.kind === "guest" ? <span className="tag">{text[user.kind]}</span> : null
