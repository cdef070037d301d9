import type { FileSource } from "chat-service/client"
import { SendHorizontal, Trash2 } from "lucide-react"
import { useEffect, useRef, useState } from "react"
import { durationOf } from "../text/format.ts"
import { text } from "../text/text.ts"
import { IconButton } from "../ui/Button.tsx"
import { notify } from "../ui/notices.tsx"
import { listenTo } from "./loudness.ts"

/** What browsers can record, the best one first. */
const types = ["audio/webm;codecs=opus", "audio/mp4"]

interface Recording {
  readonly recorder: MediaRecorder
  readonly waveform: () => ReadonlyArray<number> | undefined
  readonly end: () => void
}

const record = async (): Promise<Recording> => {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true })
  const mimeType = types.find((type) => MediaRecorder.isTypeSupported(type))
  const recorder = new MediaRecorder(stream, mimeType === undefined ? {} : { mimeType })
  const loudness = listenTo(stream)
  recorder.start()
  return {
    recorder,
    waveform: loudness.waveform,
    end: () => {
      loudness.end()
      for (const track of stream.getTracks()) track.stop()
    }
  }
}

/** What was recorded, as a file, with how loud it is. */
const finish = ({ recorder, waveform }: Recording) =>
  new Promise<FileSource>((resolve) => {
    const heard = waveform()
    recorder.addEventListener("dataavailable", ({ data }) => {
      const type = data.type.split(";", 1)[0] ?? ""
      resolve({
        name: `${text.voiceNote}.${type.split("/")[1] ?? "webm"}`,
        bytes: new Blob([data], { type }),
        ...(heard !== undefined && { waveform: heard })
      })
    })
    recorder.stop()
  })

/** Records while it is shown, for as long as nobody sends it or throws it away. */
const VoiceNote = ({
  onClose,
  onSend
}: {
  readonly onClose: () => void
  readonly onSend: (file: FileSource) => void
}) => {
  const [seconds, setSeconds] = useState(0)
  const [recording, setRecording] = useState<Recording | null>(null)
  const discard = useRef<HTMLButtonElement>(null)
  useEffect(() => discard.current?.focus(), [])
  const close = useRef(onClose)
  close.current = onClose
  useEffect(() => {
    let current = true
    let started: Recording | undefined
    record().then(
      (next) => {
        started = next
        if (current) setRecording(next)
        else next.end()
      },
      () => {
        notify(text.noMicrophone)
        close.current()
      }
    )
    return () => {
      current = false
      started?.end()
    }
  }, [])
  useEffect(() => {
    if (recording === null) return
    const timer = setInterval(() => setSeconds((now) => now + 1), 1000)
    return () => clearInterval(timer)
  }, [recording])
  const send = async () => {
    if (recording === null) return
    onSend(await finish(recording))
    onClose()
  }
  return (
    <fieldset className="voice-note" aria-label={text.voiceNote} data-busy="">
      <IconButton ref={discard} label={text.discard} onClick={onClose}>
        <Trash2 />
      </IconButton>
      <span className="recording" aria-hidden="true" />
      <span role="timer">{durationOf(seconds)}</span>
      <span className="spacer" />
      <IconButton label={text.sendVoiceNote} className="send" disabled={recording === null} onClick={() => void send()}>
        <SendHorizontal className="directed" />
      </IconButton>
    </fieldset>
  )
}
export default VoiceNote
