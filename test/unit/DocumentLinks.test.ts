import { existsSync, readdirSync, readFileSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { assert, describe, it } from "@effect/vitest"

const markdownIn = (directory: string) =>
  readdirSync(directory)
    .filter((name) => name.endsWith(".md"))
    .map((name) => join(directory, name))

const documents = [".", "docs", "docs/decisions", "docs/guides", "migrations"].flatMap(markdownIn)

/** Where a path may begin that a document names: `services/log/Changes.ts` is below `src`. */
const roots = ["", "src"]

/** Paths that stand for many, such as `src/operations/X.ts` and `tables/NNNN_name.sql`. */
const isPattern = (path: string) => /(^|\/)(X|XHandlers|NNNN_\w+)\.\w+$|…/.test(path)

/** The paths in a text: those between backticks that begin with a folder of the repository and end with a known suffix. */
const pathsOf = (text: string) =>
  Array.from(
    text.matchAll(/`([\w.-]+\/[\w./-]+\.(?:ts|mjs|sql|sh|md|json|ya?ml|conf))`/g),
    ([, path = ""]) => path
  ).filter((path) => !isPattern(path) && roots.some((root) => existsSync(join(root, path.split("/", 1)[0] ?? ""))))

/** The anchors of a document, as GitHub makes them of its headings. */
const anchorsOf = (text: string) =>
  Array.from(text.matchAll(/^#+ (.*)$/gm), ([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\- ]/gu, "")
      .replaceAll(" ", "-")
  )

/** What is wrong with a link of a document to another file or to a heading. */
const brokenLink = (document: string, [, file = "", anchor]: RegExpExecArray) => {
  const target = file === "" ? document : join(dirname(document), file)
  if (!existsSync(target)) return target
  const isFound = anchor === undefined || anchorsOf(readFileSync(target, "utf8")).includes(anchor)
  return isFound ? undefined : `${target}#${anchor}`
}

describe("the documents", () => {
  for (const document of documents) {
    const text = readFileSync(document, "utf8")

    it(`${document} names only files that exist`, () => {
      const missing = pathsOf(text).filter((path) => !roots.some((root) => existsSync(join(root, path))))
      assert.deepStrictEqual(missing, [])
    })

    it(`${document} links only to files and headings that exist`, () => {
      const prose = text.replace(/`[^`\n]*`/g, "")
      const broken = Array.from(prose.matchAll(/\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)/g), (link) =>
        brokenLink(document, link)
      ).filter((target) => target !== undefined)
      assert.deepStrictEqual(broken, [])
    })
  }

  it("docs/security.md names for each check tests that exist", () => {
    const files = readdirSync("test", { recursive: true, encoding: "utf8" }).filter((path) =>
      /\.(test|contract)\.ts$/.test(path)
    )
    const text = readFileSync("docs/security.md", "utf8")
    const rows = Array.from(text.matchAll(/^\| (\d+) \| .*$/gm))
    assert.deepStrictEqual(
      rows.map(([, number]) => Number(number)),
      Array.from({ length: 35 }, (_, n) => n + 1)
    )
    const missing = rows
      .flatMap(([row]) => Array.from(row.matchAll(/`(\w+) › ([^`]+)`/g)))
      .filter(([, name = "", title = ""]) =>
        files
          .filter((path) => basename(path).replace(/\.(test|contract)\.ts$/, "") === name)
          .every((path) => !hasTitle(readFileSync(join("test", path), "utf8"), title))
      )
    assert.deepStrictEqual(
      missing.map(([reference]) => reference),
      []
    )
  })
})

/** Whether a test of that title is in a file. A title may have parts that differ from test to test, written as the file has them. */
const hasTitle = (text: string, title: string) => ['"', "`"].some((quote) => text.includes(`${quote}${title}${quote}`))
