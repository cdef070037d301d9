import { isRecord, type Json } from "./JsonSchemas.ts"

const escaped = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")

const entries = (value: unknown) => Object.entries(isRecord(value) ? value : {})

const style = `body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}
pre{background:#8881;overflow:auto;padding:.5rem}summary{cursor:pointer}table{border-collapse:collapse}
td,th{border:1px solid #8884;padding:.2rem .5rem;text-align:left}@media(prefers-color-scheme:dark){html{color-scheme:dark}}`

const part = (name: string, text: unknown, payloads: ReadonlyArray<unknown>) => `<details id="${escaped(name)}">
<summary><code>${escaped(name)}</code> ${escaped(String(text ?? ""))}</summary>
${payloads.map((payload) => `<pre>${escaped(JSON.stringify(payload, null, 2))}</pre>`).join("\n")}
</details>`

/** Renders the AsyncAPI document as a page for readers, which loads no scripts and no styles from elsewhere. */
export const toAsyncApiPage = (document: Json): string => {
  const { channels: _, components, info, operations } = document
  const messages = new Map(entries(isRecord(components) ? components.messages : {}))
  const named = new Map(entries(isRecord(components) ? components.schemas : {}))
  /** The frame of a command or an answer, in place of its name. */
  const payloadOf = (name: string) => {
    const message = messages.get(name)
    if (!isRecord(message) || !isRecord(message.payload)) return undefined
    const schema = String(message.payload.$ref).replace("#/components/schemas/", "")
    const payload = named.get(schema)
    named.delete(schema)
    return payload
  }
  const { description, "x-close-codes": closeCodes } = isRecord(info) ? info : {}
  const commands = entries(operations).flatMap(([name, operation]) =>
    isRecord(operation) && operation.action === "receive"
      ? [part(name, operation.summary, [payloadOf(name), payloadOf(`${name}.ok`)])]
      : []
  )
  const events = [...messages].flatMap(([name, message]) =>
    name.startsWith("event.") && isRecord(message)
      ? [part(name.slice("event.".length), message.summary, [message.payload])]
      : []
  )
  const codes = entries(closeCodes).map(
    ([code, close]) => `<tr><td>${code}<td>${escaped(String(isRecord(close) ? close.description : ""))}`
  )
  const schemas = [...named].map(([name, schema]) => part(name, undefined, [schema]))
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>chat-service: the WebSocket</title><style>${style}</style>
<h1>The WebSocket</h1><p><a href="/docs">HTTP API</a> · <a href="/asyncapi.json">asyncapi.json</a></p>
${String(description)
  .split("\n\n")
  .map((paragraph) => `<p>${escaped(paragraph)}</p>`)
  .join("\n")}
<h2>Commands</h2>${commands.join("\n")}
<h2>Events</h2>${events.join("\n")}
<h2>Close codes</h2><table>${codes.join("\n")}</table>
<h2>Shapes</h2>${schemas.join("\n")}
</html>`
}
