import { type FormEvent, useState } from "react"
import { randomId } from "../chat/ids.ts"
import { explain } from "../text/failure.ts"
import { momentOf } from "../text/format.ts"
import { text } from "../text/text.ts"
import { Dialog } from "../ui/Dialog.tsx"
import { Field } from "../ui/Field.tsx"

/** The hour at which a day of writing begins. */
const morning = 9

const inDays = (days: number) => {
  const at = new Date()
  at.setDate(at.getDate() + days)
  at.setHours(morning, 0, 0, 0)
  return at
}

/** How many days there are from today to the next Monday. */
const toMonday = () => (7 - ((new Date().getDay() + 6) % 7)) % 7 || 7

const inAnHour = () => new Date(Math.ceil(Date.now() / 60_000) * 60_000 + 3_600_000)

/** A moment as an input for dates and times has it: in the time zone of the user, without seconds. */
const toInput = (at: Date) => new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16)

interface SendLaterProps {
  /** The moment that is chosen already. */
  readonly at?: string
  readonly onClose: () => void
  /** Called with the moment, and a key that stays the same when the same moment is tried again. */
  readonly onChoose: (sendAt: string, key: string) => Promise<unknown>
}

/** Asks when a message is sent. */
const SendLater = ({ at, onChoose, onClose }: SendLaterProps) => {
  const [value, setValue] = useState(() => toInput(at === undefined ? inAnHour() : new Date(at)))
  const [error, setError] = useState<string | null>(null)
  const [busy, setBusy] = useState(false)
  const [id] = useState(randomId)
  const choose = (moment: Date) => {
    const sendAt = moment.toISOString()
    setBusy(true)
    onChoose(sendAt, `${id}-${sendAt}`).then(onClose, (failure: unknown) => {
      setBusy(false)
      setError(explain(failure))
    })
  }
  const submit = (event: FormEvent) => {
    event.preventDefault()
    choose(new Date(value))
  }
  const offers = [
    [text.inAnHour, inAnHour()],
    [text.tomorrowMorning, inDays(1)],
    [text.mondayMorning, inDays(toMonday())]
  ] as const
  return (
    <Dialog title={text.sendLater} onClose={onClose}>
      <div className="offers">
        {offers.map(([label, moment]) => (
          <button key={label} type="button" className="button" disabled={busy} onClick={() => choose(moment)}>
            <span>{label}</span>
            <span className="hint">{momentOf(moment.toISOString())}</span>
          </button>
        ))}
      </div>
      <form onSubmit={submit}>
        <Field
          label={text.anotherTime}
          type="datetime-local"
          required
          min={toInput(new Date())}
          value={value}
          onChange={(event) => setValue(event.target.value)}
        />
        <p className="error" role="alert">
          {error}
        </p>
        <footer>
          <button type="button" className="button" onClick={onClose}>
            {text.cancel}
          </button>
          <button type="submit" className="button primary" disabled={busy}>
            {text.schedule}
          </button>
        </footer>
      </form>
    </Dialog>
  )
}
export default SendLater
