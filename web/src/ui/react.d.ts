import "react"

declare module "react" {
  interface CSSProperties {
    /** A custom property, which the style sheets read. */
    readonly [name: `--${string}`]: string | number
  }
}
