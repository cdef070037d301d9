import type { User } from "../chat/types.ts"
import { text } from "../text/text.ts"

/** Says of a user who is no person with an account what it is. */
export const KindTag = ({ user }: { readonly user: Pick<User, "kind"> | undefined }) =>
  user?.kind === undefined ? null : <span className="tag">{user.kind === "guest" ? text.guest : text.bot}</span>
