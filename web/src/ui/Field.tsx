import { type ComponentProps, useId } from "react"

/** An input with its label, a hint, and what is wrong with it. */
export const Field = ({
  error,
  hint,
  label,
  ...props
}: { readonly label: string; readonly hint?: string | undefined; readonly error?: string | undefined } & Omit<
  ComponentProps<"input">,
  "id"
>) => {
  const id = useId()
  const below = error ?? hint
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input
        {...props}
        id={id}
        aria-invalid={error !== undefined}
        aria-describedby={below === undefined ? undefined : `${id}-below`}
      />
      {below !== undefined && (
        <p id={`${id}-below`} className={error === undefined ? "hint" : "error"}>
          {below}
        </p>
      )}
    </div>
  )
}
