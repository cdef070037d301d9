const key = "chat-service.theme"

/** The colours of the page: those of the system, or always the same. */
export type Theme = "light dark" | "light" | "dark"

const isTheme = (value: string | null): value is Theme =>
  value === "light dark" || value === "light" || value === "dark"

/** The theme that this browser has chosen. */
export const theme = (): Theme => {
  const kept = localStorage.getItem(key)
  return isTheme(kept) ? kept : "light dark"
}

const show = () => {
  document.documentElement.style.colorScheme = theme()
}

/** Chooses the theme for this browser. */
export const setTheme = (next: Theme): void => {
  localStorage.setItem(key, next)
  show()
}

show()
