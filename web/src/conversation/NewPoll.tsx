import { Plus, X } from "lucide-react"
import { type FormEvent, useId, useState } from "react"
import type { Poll } from "../chat/types.ts"
import { text } from "../text/text.ts"
import { IconButton } from "../ui/Button.tsx"
import { Dialog } from "../ui/Dialog.tsx"
import { Field } from "../ui/Field.tsx"

const mostOptions = 20
const hourMillis = 3_600_000

/** How long a poll can be open, in hours; 0 for a poll without an end. */
const durations = [0, 1, 24, 168] as const

const durationText: Readonly<Record<(typeof durations)[number], string>> = {
  0: text.noEnd,
  1: text.oneHour,
  24: text.oneDay,
  168: text.oneWeek
}

/** Asks a question with a few answers to choose from. */
const NewPoll = ({ onClose, onSend }: { readonly onClose: () => void; readonly onSend: (poll: Poll) => void }) => {
  const durationId = useId()
  const [options, setOptions] = useState<ReadonlyArray<{ readonly id: number; readonly label: string }>>([
    { id: 0, label: "" },
    { id: 1, label: "" }
  ])
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const data = new FormData(event.currentTarget)
    const hours = Number(data.get("hours"))
    onSend({
      question: String(data.get("question")).trim(),
      options: options.map(({ label }) => label.trim()),
      ...(data.get("multiple") !== null && { multiple: true }),
      ...(hours > 0 && { closesAt: new Date(Date.now() + hours * hourMillis).toISOString() })
    })
    onClose()
  }
  return (
    <Dialog title={text.newPoll} onClose={onClose}>
      <form onSubmit={submit}>
        <Field label={text.question} name="question" maxLength={300} pattern=".*\S.*" required />
        {options.map(({ id, label }, index) => (
          <div key={id} className="inline-form">
            <Field
              label={text.option(index + 1)}
              value={label}
              maxLength={100}
              pattern=".*\S.*"
              required
              onChange={({ target }) =>
                setOptions(options.map((option) => (option.id === id ? { id, label: target.value } : option)))
              }
            />
            {options.length > 2 && (
              <IconButton
                label={`${text.remove}: ${text.option(index + 1)}`}
                onClick={() => setOptions(options.filter((option) => option.id !== id))}
              >
                <X />
              </IconButton>
            )}
          </div>
        ))}
        {options.length < mostOptions && (
          <button
            type="button"
            className="link"
            onClick={() => setOptions([...options, { id: (options.at(-1)?.id ?? 0) + 1, label: "" }])}
          >
            <Plus aria-hidden="true" />
            {text.addOption}
          </button>
        )}
        <label className="check">
          <input type="checkbox" name="multiple" />
          {text.severalAnswers}
        </label>
        <div className="field">
          <label htmlFor={durationId}>{text.pollEnds}</label>
          <select id={durationId} name="hours">
            {durations.map((hours) => (
              <option key={hours} value={hours}>
                {durationText[hours]}
              </option>
            ))}
          </select>
        </div>
        <footer>
          <button type="button" className="button" onClick={onClose}>
            {text.cancel}
          </button>
          <button type="submit" className="button primary">
            {text.send}
          </button>
        </footer>
      </form>
    </Dialog>
  )
}
export default NewPoll
