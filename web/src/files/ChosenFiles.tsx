import { File as FileIcon, X } from "lucide-react"
import { useEffect, useState } from "react"
import { sizeOf } from "../text/format.ts"
import { text } from "../text/text.ts"
import { IconButton } from "../ui/Button.tsx"

/** A file of this device that is not sent yet. */
export interface LocalFile {
  readonly name: string
  readonly content: Blob
}

/** The URL of a picture in a file, as long as it is shown. */
const useLocalPicture = (content: Blob) => {
  const [url, setUrl] = useState<string>()
  useEffect(() => {
    const made = URL.createObjectURL(content)
    setUrl(made)
    return () => URL.revokeObjectURL(made)
  }, [content])
  return url
}

const LocalPicture = ({ file }: { readonly file: LocalFile }) => {
  const url = useLocalPicture(file.content)
  return url && <img src={url} alt={file.name} />
}

const Chosen = ({ file, onRemove }: { readonly file: LocalFile; readonly onRemove: (() => void) | undefined }) => {
  const isPicture = file.content.type.startsWith("image/")
  return (
    <li className={isPicture ? "picture" : "file"}>
      {isPicture ? (
        <LocalPicture file={file} />
      ) : (
        <>
          <FileIcon aria-hidden="true" />
          <bdi>{file.name}</bdi>
          <span className="hint">{sizeOf(file.content.size)}</span>
        </>
      )}
      {onRemove !== undefined && (
        <IconButton label={`${text.remove}: ${file.name}`} onClick={onRemove}>
          <X />
        </IconButton>
      )}
    </li>
  )
}

/** Files that are chosen, or on their way. They can be removed where `onRemove` is given. */
export const ChosenFiles = ({
  files,
  onRemove
}: {
  readonly files: ReadonlyArray<LocalFile>
  readonly onRemove?: (file: LocalFile) => void
}) => (
  <ul className="chosen-files" aria-label={text.files} data-busy="">
    {files.map((file, index) => (
      // biome-ignore lint/suspicious/noArrayIndexKey: two files may have one name
      <Chosen key={`${index} ${file.name}`} file={file} onRemove={onRemove && (() => onRemove(file))} />
    ))}
  </ul>
)
