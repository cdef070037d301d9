import type { User } from "../chat/types.ts"

/** A colour that stays the same for the same id. */
const hueOf = (id: string) => [...id].reduce((hash, char) => (hash * 31 + char.charCodeAt(0)) % 360, 7)

const initialsOf = (name: string) => {
  const words = name.trim().split(/\s+/)
  const letters = words.length > 1 ? [words[0], words.at(-1)] : [words[0]]
  return letters.map((word) => [...(word ?? "")][0] ?? "").join("")
}

/** Pictures are shown from this origin alone, so that opening a conversation tells no other host about it. */
const isOwn = (src: string) => new URL(src, location.origin).origin === location.origin

interface AvatarProps {
  readonly id: string
  readonly name: string
  readonly src?: string | null | undefined
  readonly size?: "small" | "medium" | "large" | undefined
  readonly presence?: string | undefined
}

/** A round picture, or the initials of a name. It only decorates: the name stands next to it. */
export const Avatar = ({ id, name, presence, size = "medium", src }: AvatarProps) => (
  <span className={`avatar ${size}`} style={{ "--hue": hueOf(id) }} aria-hidden="true">
    {src != null && isOwn(src) ? <img src={src} alt="" loading="lazy" /> : initialsOf(name)}
    {presence !== undefined && presence !== "offline" && <span className={`presence ${presence}`} />}
  </span>
)

/** The picture of a user. */
export const UserAvatar = ({
  user,
  ...props
}: { readonly user: User | undefined; readonly id: string } & Pick<AvatarProps, "size" | "presence">) => (
  <Avatar {...props} name={user?.displayName ?? ""} src={user?.avatarUrl} />
)
