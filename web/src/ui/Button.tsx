import type { ComponentProps, ReactNode } from "react"

/** A button that shows a symbol only, and says its name to who points at it or cannot see it. */
export const IconButton = ({
  children,
  label,
  ...props
}: { readonly label: string; readonly children: ReactNode } & ComponentProps<"button">) => (
  <button type="button" {...props} className={`icon-button ${props.className ?? ""}`} aria-label={label} title={label}>
    {children}
  </button>
)
