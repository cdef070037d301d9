import { useChat, usePresence } from "chat-service/client/react"
import { useId, useState } from "react"
import { usePeople } from "../chat/people.tsx"
import { setTheme, type Theme, theme } from "../chat/theme.ts"
import type { Me } from "../chat/types.ts"
import { chooseLanguage, chosenLanguage } from "../text/language.ts"
import { isLanguage, type Language, languages } from "../text/languages.ts"
import { text } from "../text/text.ts"
import { UserAvatar } from "../ui/Avatar.tsx"
import { Field } from "../ui/Field.tsx"
import { attempt } from "../ui/notices.tsx"

/** A choice among a few values. */
const Choice = <Value extends string>({
  label,
  onChange,
  options,
  value
}: {
  readonly label: string
  readonly value: Value
  readonly options: ReadonlyArray<readonly [Value, string]>
  readonly onChange: (value: Value) => void
}) => {
  const id = useId()
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <select
        id={id}
        value={value}
        onChange={(event) => {
          const chosen = options.find(([option]) => option === event.target.value)
          if (chosen !== undefined) onChange(chosen[0])
        }}
      >
        {options.map(([option, name]) => (
          <option key={option} value={option}>
            {name}
          </option>
        ))}
      </select>
    </div>
  )
}

const Status = () => {
  const chat = useChat()
  const known = usePresence([chat.userId]).get(chat.userId)?.status ?? "online"
  const status = known === "offline" ? "invisible" : known
  return (
    <Choice
      label={text.status}
      value={status}
      options={[
        ["online", text.online],
        ["away", text.away],
        ["dnd", text.dnd],
        ["invisible", text.invisible]
      ]}
      onChange={(next) => attempt(chat.ask("presence.set", { status: next }))}
    />
  )
}

const ThemeChoice = () => {
  const [chosen, setChosen] = useState<Theme>(theme)
  return (
    <Choice
      label={text.theme}
      value={chosen}
      options={[
        ["light dark", text.themeSystem],
        ["light", text.themeLight],
        ["dark", text.themeDark]
      ]}
      onChange={(next) => {
        setChosen(next)
        setTheme(next)
      }}
    />
  )
}

const LanguageChoice = () => (
  <Choice<Language | "">
    label={text.language}
    value={chosenLanguage()}
    options={[
      ["", text.languageSystem],
      ...Object.keys(languages)
        .filter(isLanguage)
        .map((tag) => [tag, languages[tag].name] as const)
    ]}
    onChange={chooseLanguage}
  />
)

/** How others see me, and who may add me. */
export const Profile = ({ me }: { readonly me: Me }) => {
  const chat = useChat()
  const people = usePeople()
  const change = (changes: { displayName?: string; whoMayAddMe?: "everybody" | "contacts" }) =>
    attempt(chat.ask("user.update", changes).then((next) => people.add([next])))
  return (
    <>
      <div className="profile">
        <UserAvatar user={me} id={me.id} size="large" />
        <span className="hint">
          @{me.username} · {me.email}
        </span>
      </div>
      <form
        className="inline-form"
        onSubmit={(event) => {
          event.preventDefault()
          change({ displayName: String(new FormData(event.currentTarget).get("displayName")) })
        }}
      >
        <Field label={text.displayName} name="displayName" defaultValue={me.displayName} maxLength={100} required />
        <button type="submit" className="button">
          {text.save}
        </button>
      </form>
      <Status />
      <Choice
        label={text.whoMayAddMe}
        value={me.whoMayAddMe ?? "everybody"}
        options={[
          ["everybody", text.everybody],
          ["contacts", text.contacts]
        ]}
        onChange={(whoMayAddMe) => change({ whoMayAddMe })}
      />
      <ThemeChoice />
      <LanguageChoice />
    </>
  )
}
