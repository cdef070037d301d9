interface BadgeProps {
  readonly count: number
  /** What is counted, in words with the number. */
  readonly label: string
  readonly quiet?: boolean
}

/** A number of something unread. The service counts to 100. */
export const Badge = ({ count, label, quiet = false }: BadgeProps) => (
  <span className={quiet ? "badge quiet" : "badge"}>
    <span aria-hidden="true">{count >= 100 ? "99+" : count}</span>
    <span className="hidden">{label}</span>
  </span>
)
