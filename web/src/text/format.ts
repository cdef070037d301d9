import { locale } from "./language.ts"
import { text } from "./text.ts"

const time = new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit" })
const weekday = new Intl.DateTimeFormat(locale, { weekday: "short" })
const date = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short" })
const longDate = new Intl.DateTimeFormat(locale, { weekday: "long", day: "numeric", month: "long" })
const fullDate = new Intl.DateTimeFormat(locale, { dateStyle: "long" })
const dateTime = new Intl.DateTimeFormat(locale, { dateStyle: "long", timeStyle: "short" })
const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto" })

const dayMillis = 24 * 3600 * 1000

/** Midnight of a day in the time zone of the user, for comparing days. */
export const dayOf = (at: string): number => new Date(at).setHours(0, 0, 0, 0)

const daysAgo = (at: string) => Math.round((new Date().setHours(0, 0, 0, 0) - dayOf(at)) / dayMillis)

/** The time of day. */
export const timeOf = (at: string): string => time.format(new Date(at))

/** The date and time in full. */
export const momentOf = (at: string): string => dateTime.format(new Date(at))

/** The name of a day between messages. */
export const dayName = (at: string): string => {
  const days = daysAgo(at)
  if (days === 0) return text.today
  if (days === 1) return text.yesterday
  return days < 300 ? longDate.format(new Date(at)) : fullDate.format(new Date(at))
}

/** When something happened, in a few characters. */
export const shortTime = (at: string): string => {
  const days = daysAgo(at)
  if (days === 0) return timeOf(at)
  return days < 7 ? weekday.format(new Date(at)) : date.format(new Date(at))
}

const bytes = ["byte", "kilobyte", "megabyte", "gigabyte"].map(
  (unit) => new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: 1 })
)

/** The size of a file. */
export const sizeOf = (size: number): string => {
  const step = Math.min(bytes.length - 1, Math.floor(Math.log10(Math.max(1, size)) / 3))
  return bytes[step]?.format(size / 1000 ** step) ?? ""
}

const percent = new Intl.NumberFormat(locale, { style: "percent" })

/** A part, from 0 to 1, in percent. */
export const percentOf = (part: number): string => percent.format(part)

/** A duration in minutes and seconds. */
export const durationOf = (seconds: number): string =>
  `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`

/** How long ago something was. */
export const ago = (at: string): string => {
  const minutes = Math.round((Date.now() - Date.parse(at)) / 60_000)
  if (minutes < 60) return relative.format(-minutes, "minute")
  return minutes < 24 * 60 ? relative.format(-Math.round(minutes / 60), "hour") : relative.format(-daysAgo(at), "day")
}
