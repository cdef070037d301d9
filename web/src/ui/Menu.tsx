import { Menu as Base } from "@base-ui/react/menu"
import type { ReactNode } from "react"

/** One entry of a menu. An entry that is undefined is left out. */
export interface MenuEntry {
  readonly label: string
  readonly icon: ReactNode
  readonly danger?: boolean
  readonly onSelect: () => void
}

/** A button with a symbol that opens a menu. */
export const Menu = ({
  children,
  entries,
  label,
  onOpenChange
}: {
  readonly label: string
  readonly children: ReactNode
  readonly entries: ReadonlyArray<MenuEntry | undefined>
  readonly onOpenChange?: (open: boolean) => void
}) => (
  <Base.Root onOpenChange={(open) => onOpenChange?.(open)} modal={false}>
    <Base.Trigger className="icon-button" aria-label={label} title={label}>
      {children}
    </Base.Trigger>
    <Base.Portal>
      <Base.Positioner sideOffset={4} align="end" className="positioner">
        <Base.Popup className="menu">
          {entries.map(
            (entry) =>
              entry !== undefined && (
                <Base.Item
                  key={entry.label}
                  className={entry.danger === true ? "menu-item danger" : "menu-item"}
                  onClick={entry.onSelect}
                >
                  {entry.icon}
                  {entry.label}
                </Base.Item>
              )
          )}
        </Base.Popup>
      </Base.Positioner>
    </Base.Portal>
  </Base.Root>
)
