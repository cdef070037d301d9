import { useChat } from "chat-service/client/react"
import { Download, File as FileIcon } from "lucide-react"
import { lazy, Suspense, type SyntheticEvent, useMemo, useRef, useState } from "react"
import { thumbHashToDataURL } from "thumbhash"
import type { Attachment, Message } from "../chat/types.ts"
import { sizeOf } from "../text/format.ts"
import { text } from "../text/text.ts"
import { attempt } from "../ui/notices.tsx"
import { download, linkOf, useLink } from "./links.ts"

const Lightbox = lazy(() => import("./Lightbox.tsx"))

/** The largest picture in a message, in pixels: alone, and among others. */
const alone = { width: 380, height: 320 }
const among = { width: 220, height: 160 }

/** Whether it can be shown as a picture. */
export const isPicture = ({ contentType, height, width }: Attachment): boolean =>
  contentType.startsWith("image/") && width !== null && height !== null

/** A few bytes of a picture as a blurred one; undefined when there are none, or they are none. */
const placeholderOf = (placeholder: string | null): string | undefined => {
  if (placeholder === null) return undefined
  try {
    return thumbHashToDataURL(Uint8Array.from(atob(placeholder), (char) => char.charCodeAt(0)))
  } catch {
    return undefined
  }
}

/** What to ask for so that a picture is sharp at a width: the smallest one that is large enough, else the picture itself. */
const partFor = ({ thumbnails }: Attachment, width: number) => {
  const enough = thumbnails.find((thumbnail) => thumbnail.width >= width * devicePixelRatio) ?? thumbnails.at(-1)
  const size = enough === undefined ? null : new URL(enough.url, location.origin).searchParams.get("thumbnail")
  return size === null ? "" : `&thumbnail=${size}`
}

/** A picture in a place of its size, so that nothing moves when it comes. */
const Picture = ({
  attachment,
  most,
  onOpen
}: {
  readonly attachment: Attachment
  readonly most: { readonly width: number; readonly height: number }
  readonly onOpen: () => void
}) => {
  const { height, name, placeholder } = attachment
  const [loaded, setLoaded] = useState(false)
  const link = useLink(attachment.id)
  const blurred = useMemo(() => placeholderOf(placeholder), [placeholder])
  const [fullWidth, fullHeight] = [attachment.width ?? 1, height ?? 1]
  const scale = Math.min(1, most.width / fullWidth, most.height / fullHeight)
  const width = Math.max(48, Math.round(fullWidth * scale))
  return (
    <button
      type="button"
      className="picture"
      style={{
        width,
        aspectRatio: `${width} / ${Math.max(32, Math.round(fullHeight * scale))}`,
        backgroundImage: loaded || blurred === undefined ? undefined : `url(${blurred})`
      }}
      aria-label={text.openPicture(name)}
      onClick={onOpen}
    >
      {link !== null && (
        <img
          src={link + partFor(attachment, width)}
          alt=""
          className={loaded ? "loaded" : ""}
          onLoad={() => setLoaded(true)}
        />
      )}
    </button>
  )
}

/** How loud a voice note is over its length, as bars. */
const Waveform = ({ values }: { readonly values: ReadonlyArray<number> }) => (
  <svg className="waveform" viewBox={`0 0 ${values.length * 4} 100`} preserveAspectRatio="none" aria-hidden="true">
    <path d={values.map((value, at) => `M${at * 4 + 2} ${50 - value * 0.48 - 2}v${value * 0.96 + 4}`).join("")} />
  </svg>
)

/** A player for a sound or a film. Its link is made anew when it is too old. */
const Player = ({ attachment, as }: { readonly attachment: Attachment; readonly as: "audio" | "video" }) => {
  const chat = useChat()
  const link = useLink(attachment.id)
  const failedAt = useRef(Number.NEGATIVE_INFINITY)
  const renew = async (player: HTMLMediaElement) => {
    const playing = player.currentTime
    player.src = await linkOf(chat, attachment.id)
    player.currentTime = playing
    await player.play()
  }
  const onError = ({ currentTarget }: SyntheticEvent<HTMLMediaElement>) => {
    if (performance.now() - failedAt.current < 60_000) return
    failedAt.current = performance.now()
    attempt(renew(currentTarget))
  }
  const shared = {
    controls: true,
    preload: "none",
    src: link ?? undefined,
    onError,
    "aria-label": attachment.name
  } as const
  if (as === "audio")
    return (
      <div className="sound">
        {attachment.waveform !== undefined && <Waveform values={attachment.waveform} />}
        <audio {...shared} />
      </div>
    )
  const { height, width } = attachment
  return <video {...shared} preload="metadata" style={{ aspectRatio: `${width ?? 16} / ${height ?? 9}` }} />
}

const FileChip = ({ attachment }: { readonly attachment: Attachment }) => {
  const chat = useChat()
  const { id, name, size } = attachment
  return (
    <button
      type="button"
      className="file"
      aria-label={text.downloadFile(name, sizeOf(size))}
      onClick={() => attempt(download(chat, id))}
    >
      <FileIcon aria-hidden="true" />
      <bdi>{name}</bdi>
      <span className="hint">{sizeOf(size)}</span>
      <Download aria-hidden="true" />
    </button>
  )
}

/** The files of a message. */
export const Attachments = ({ message: { attachments, type } }: { readonly message: Message }) => {
  const [open, setOpen] = useState<Attachment | null>(null)
  const pictures = attachments.filter(isPicture)
  if (attachments.length === 0) return null
  const fileOf = (attachment: Attachment) => {
    if (attachment.contentType.startsWith("audio/") || (type === "audio" && attachments.length === 1))
      return <Player key={attachment.id} attachment={attachment} as="audio" />
    if (attachment.contentType.startsWith("video/"))
      return <Player key={attachment.id} attachment={attachment} as="video" />
    return <FileChip key={attachment.id} attachment={attachment} />
  }
  return (
    <div className="attachments">
      {pictures.length > 0 && (
        <div className="pictures">
          {pictures.map((attachment) => (
            <Picture
              key={attachment.id}
              attachment={attachment}
              most={pictures.length === 1 ? alone : among}
              onOpen={() => setOpen(attachment)}
            />
          ))}
        </div>
      )}
      {attachments.filter((attachment) => !isPicture(attachment)).map(fileOf)}
      {open !== null && (
        <Suspense>
          <Lightbox pictures={pictures} shown={open} onShow={setOpen} onClose={() => setOpen(null)} />
        </Suspense>
      )}
    </div>
  )
}
