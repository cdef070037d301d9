import MarkdownIt, { type Token } from "markdown-it"
import { createElement, memo, type ReactNode } from "react"

/** HTML stays text, pictures stay links, and nesting has an end. */
const parser = new MarkdownIt({ html: false, linkify: true, breaks: true, maxNesting: 20 }).disable("image")

/** Only so much of a text is read for a line of a list. */
const longestLine = 300

/** The beginning of a text with Markdown, as one line without its signs. */
export const lineOf = (body: string): string =>
  parser
    .parse(body.slice(0, longestLine), {})
    .map(({ children, content }) =>
      children === null ? content : children.map((each) => (each.type.endsWith("break") ? " " : each.content)).join("")
    )
    .join(" ")
    .replace(/\s+/g, " ")
    .trim()

/** The elements for tokens that have content between an opening and a closing one. */
const elements: Readonly<Record<string, string>> = {
  paragraph: "p",
  blockquote: "blockquote",
  bullet_list: "ul",
  ordered_list: "ol",
  list_item: "li",
  em: "em",
  strong: "strong",
  s: "s",
  table: "table",
  thead: "thead",
  tbody: "tbody",
  tr: "tr",
  th: "th",
  td: "td",
  heading: "h4"
}

const mention = /(@[a-z0-9_.-]+)/

/** Marks the names of those who are mentioned. */
const withMentions = (content: string, mentions: ReadonlySet<string>): ReactNode =>
  mentions.size === 0
    ? content
    : content.split(mention).map((part, index) =>
        mentions.has(part) ? (
          // biome-ignore lint/suspicious/noArrayIndexKey: the parts of a text never move
          <mark key={index} className="mention">
            {part}
          </mark>
        ) : (
          part
        )
      )

const isSafe = (href: string) => /^(https?|mailto):/i.test(href)

const leaf = (token: Token, key: number, mentions: ReadonlySet<string>): ReactNode => {
  switch (token.type) {
    case "text":
      return withMentions(token.content, mentions)
    case "softbreak":
    case "hardbreak":
      return <br key={key} />
    case "code_inline":
      return <code key={key}>{token.content}</code>
    case "fence":
    case "code_block":
      return (
        <pre key={key} dir="ltr">
          <code>{token.content.replace(/\n$/, "")}</code>
        </pre>
      )
    case "hr":
      return <hr key={key} />
    case "inline":
      return render(token.children ?? [], mentions)
    default:
      return token.content
  }
}

/** Turns tokens into elements. Each opening token collects what follows until it is closed. */
const render = (tokens: ReadonlyArray<Token>, mentions: ReadonlySet<string>): ReactNode => {
  const stack: Array<{ readonly open: Token | null; readonly children: Array<ReactNode> }> = [
    { open: null, children: [] }
  ]
  tokens.forEach((token, key) => {
    const top = stack.at(-1)
    if (token.nesting === 1) stack.push({ open: token, children: [] })
    else if (token.nesting === 0) top?.children.push(leaf(token, key, mentions))
    else {
      const closed = stack.pop()
      if (closed?.open == null) return
      stack.at(-1)?.children.push(element(closed.open, key, closed.children))
    }
  })
  return stack[0]?.children
}

const element = (open: Token, key: number, children: ReadonlyArray<ReactNode>): ReactNode => {
  const name = open.type.replace(/_open$/, "")
  if (name === "paragraph" && open.hidden) return children
  if (name === "link") {
    const href = String(open.attrGet("href") ?? "")
    return isSafe(href) ? (
      <a key={key} href={href} target="_blank" rel="noopener noreferrer nofollow">
        {children}
      </a>
    ) : (
      children
    )
  }
  const start = open.attrGet("start")
  const tag = elements[name]
  if (tag === undefined) return children
  return createElement(
    tag,
    { key, ...(tag !== "tr" && tag !== "thead" && { dir: "auto" }), ...(start !== null && { start: Number(start) }) },
    ...children
  )
}

const nobody: ReadonlySet<string> = new Set()

/** A text that makes more tokens than this is shown as it was written: a table of 8 kB may have a million cells. */
const mostTokens = 3000

/** A text with Markdown, as elements. Whatever is in it, nothing of it runs and nothing is fetched. */
export const Markdown = memo(
  ({ body, mentions = nobody }: { readonly body: string; readonly mentions?: ReadonlySet<string> }) => {
    const tokens = parser.parse(body, {})
    return (
      <div className="markdown">{tokens.length > mostTokens ? <p dir="auto">{body}</p> : render(tokens, mentions)}</div>
    )
  }
)
