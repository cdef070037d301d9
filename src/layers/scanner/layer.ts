import { Effect, Layer } from "effect"
import { Settings } from "../../services/platform/Settings.ts"
import * as ClamdScanner from "./ClamdScanner.ts"
import * as HttpScanner from "./HttpScanner.ts"

/** The port of clamd, if the URL has none. */
const clamdPort = 3310

/** The scanner of the setting `files.scanner`, by the form of its URL. */
const scannerOf = (url: string) => {
  const { hostname, pathname, port, protocol } = new URL(url)
  switch (protocol) {
    case "tcp:":
      return ClamdScanner.layer({
        host: hostname.replace(/^\[|\]$/g, ""),
        port: port === "" ? clamdPort : Number(port)
      })
    case "unix:":
      return ClamdScanner.layer({ path: decodeURIComponent(pathname) })
    default:
      return HttpScanner.layer(url)
  }
}

/** The scanner of the settings, or none. */
export const layer = Layer.unwrap(
  Effect.map(Settings, ({ files: { scanner } }) => (scanner === undefined ? Layer.empty : scannerOf(scanner)))
)
