import * as fc from "fast-check"
import { assert, describe, it } from "vitest"
import { isSelective, matches, parseQuery, rankOf, toTsquery } from "../../src/services/messages/search/SearchQuery.ts"
import { anyRunsIn, runsIn, tokenize, toTsvector } from "../../src/services/messages/search/Tokenizer.ts"
import { tables } from "../../src/services/messages/search/TokenizerTables.ts"

const finds = (text: string, query: string) => matches(parseQuery(query), tokenize(text))

describe("the words of a text", () => {
  const found: ReadonlyArray<readonly [text: string, ...queries: ReadonlyArray<string>]> = [
    ["“harbour” he said", "harbour", "said", "“harbour”", '"harbour he"'],
    ["‘harbour’, ‹anchor› and «buoy»", "harbour", "anchor", "buoy"],
    ["I don’t know", "don't", "don’t", "donʼt", "DON’T", "don＇t"],
    ["I don't know", "don’t", "don't"],
    ["l’amour de John’s", "amour", "l'amour", "john", "John's"],
    ["мʼята", "м'ята", "м’ята"],
    ["done… really", "done", "really"],
    ["great🎉and🎉more", "great", "and", "more", "🎉"],
    ["👩‍🚀 says 👍🏿 in 🇸🇪", "👩‍🚀", "👍", "👍🏽", "🇸🇪", "🚀"],
    ["plan—tomorrow", "plan", "tomorrow", "plan—tomorrow", "plan-tomorrow"],
    ["it costs €50 or 7% of $1,000", "50", "€50", "7", "$1,000"],
    ["the client/server model", "client", "server", "client/server", '"client/server model"'],
    ["see report.pdf", "report", "pdf", "report.pdf", "rep"],
    ["order ABC-1234.", "1234", "abc", "ABC-1234", "abc-123"],
    [
      "read https://example.com/docs/intro?x=1#top now",
      "https://example.com/docs/intro",
      "example.com",
      "intro",
      "top"
    ],
    ["write to ann.lee@mail.example", "ann.lee@mail.example", "lee", "mail"],
    ["snake_case and kebab-case", "snake_case", "snake", "case", "kebab"],
    ["use List<String> here", "String", "List<String>", "list", "here"],
    ["put a <script> tag before the footer", "footer", "script", "<script>", "before the footer"],
    ["a & b < c && d", "b", "a & b", "d"],
    ["ПРИВЕТ, мир", "привет", "Привет", "мир"],
    ["Straße ΣΊΣΥΦΟΣ", "STRASSE", "strasse", "σίσυφος", "Σίσυφοσ"],
    ["İSTANBUL ısparta", "istanbul", "İstanbul", "ISPARTA", "i\u0307stanbul"],
    ["ｆｕｌｌ ①②③ ﬁne x² Ⅳ", "full", "123", "fine", "x2", "iv"],
    ["ångström cafe\u0301", "ÅNGSTRÖM", "caf\u00e9", "a\u030angstro\u0308m"],
    ["soft\u00adhyphen zero\u200bwidth wo\u2060rd", "softhyphen", "zero", "width", "word"],
    ["مـــرحبا", "مرحبا"],
    ["Acme™ №5", "acme", "tm", "5"],
    ["我们明天在上海开会。", "上海", "明天", "开会", "会", "我", "我们明天在上海开会", "上海 我们"],
    ["バッタと鈴虫", "鈴虫", "バッタ", "虫", "ﾊﾞｯﾀ"],
    ["买了iPhone手机15台", "iPhone", "手机", "手机15", "iphone手机", "15"],
    ["서울학교에서 만나요", "학교", "서울", "학교에서", "만나", "서"],
    ["วันนี้อากาศดี", "อากาศ", "วันนี้", "ดี"],
    ["ສະບາຍດີ ជំរាបសួរ မင်္ဂလာပါ", "ສະບາຍ", "សួរ", "မင်္ဂလာ"],
    ["attachment", "attach", "ATTACHMENT", "att"],
    ["two words and more", '"two words"', "“two words”", "words two", '"words and" two', "“two words"],
    ["one fish or another", "or", "fish or", "nothing or fish", "fish -bird", '-"fish one" fish', "say or fish"],
    ['12" record', '12"', '12" record', 'record"12"']
  ]
  for (const [text, ...queries] of found) {
    for (const query of queries)
      it(`${text} ← ${query}`, () => assert.isTrue(finds(text, query), toTsquery(parseQuery(query))))
  }

  const missed: ReadonlyArray<readonly [text: string, ...queries: ReadonlyArray<string>]> = [
    ["attachment", "tach", "attachments", "at", '"attach"', "attach file", "attach: -file or x"],
    ["two words and more", '"words two"', '"two and"', "two -words", 'two -"and more"', "wordsand", "zoo or bar"],
    ["café", "cafe", "caf\u00e9s"],
    ["client/server", '"server client"', "clientserver", "server/client", "client.server.net"],
    ["我们明天在上海开会。", "海上", "天上", "北京", "上海明天", "会上"],
    ["バッタと鈴虫", "虫鈴", "バタ"],
    ["서울학교에서", "교학", "울교"],
    ["great🎉", "👍"],
    ["", "x", "", "!!!", "🎉"],
    ["anything", "", "!!!", "-", "- -", '"', '""', " \u0301"]
  ]
  for (const [text, ...queries] of missed) {
    for (const query of queries)
      it(`${text} ↚ ${query}`, () => assert.isFalse(finds(text, query), toTsquery(parseQuery(query))))
  }
})

describe("a query", () => {
  it("is alternatives of words in a row, some of them negated, and the last one a beginning", () => {
    assert.strictEqual(
      toTsquery(parseQuery('"Two words" -no -a.b OR report.pdf -"x y" attach')),
      "('two' <1> 'words') & !('no') & !('a' <1> 'b') | ('report' <1> 'pdf') & !('x' <1> 'y') & ('attach':*)"
    )
    assert.strictEqual(toTsquery(parseQuery("手机iPhone 虫")), "('手机' <2> 'iphone') & ('虫':*)")
    assert.strictEqual(toTsquery(parseQuery("attach …")), "('attach':*)")
    assert.strictEqual(toTsquery(parseQuery("!?")), "")
  })

  it("says whether there is something to find, or only something to leave out", () => {
    assert.isTrue(isSelective(parseQuery("a -b or c")))
    assert.isFalse(isSelective(parseQuery("a or -b")))
    assert.isFalse(isSelective(parseQuery("-zzz")))
  })

  it("has 64 words at most, however long it is", () => {
    const words = (n: number) => Array.from({ length: n }, (_, i) => `word${i}`).join(" ")
    for (const query of [words(200), words(8000), "上".repeat(8000), `"${words(200)}"`]) {
      const terms = parseQuery(query)
        .flat()
        .flatMap((clause) => clause.terms)
      assert.lengthOf(terms, 64)
      assert.isFalse(terms.some(({ prefix }) => prefix))
      assert.isTrue(finds(query, query))
    }
  })

  it("ranks by how often its words are there", () => {
    const rank = (text: string) => rankOf(parseQuery('"the tide" or tide -low'), tokenize(text))
    assert.deepStrictEqual(["tide tide", "the tide tide", "a tide low", "tides"].map(rank), [2, 3, 1, 0])
  })
})

describe("whatever the text", () => {
  const text = fc.oneof(
    fc.string({ unit: "grapheme", maxLength: 80 }),
    fc.string({ unit: "binary", maxLength: 80 }),
    fc.string({
      unit: fc.constantFrom(
        ..."aBéßΣσ上海ぱハﾞ\u3099กำ\u0e49각ᄀ\u1161\u11a8\u0301\u0323'\"\\-:/.*&|!()<> 🎉\u200d\ufe0f\u200b\u00ad50"
      ),
      maxLength: 60
    })
  )

  it("each piece of it, as a query, finds it", () => {
    fc.assert(
      fc.property(text, (body) => {
        const tokens = tokenize(body)
        for (const piece of [...body.split(/\s+/u), body]) {
          // A quotation mark, a leading minus and "or" say something else in a query. What one of them hid comes after it.
          const query = piece
            .replaceAll(/["“”„«»]/gu, " ")
            .replaceAll(/(^|\s)-+/gu, " ")
            .replaceAll(/(^|\s)or(?=\s|$)/giu, " ")
          const parsed = parseQuery(query)
          if (parsed.length > 0)
            assert.isTrue(matches(parsed, tokens), `${JSON.stringify(query)} → ${toTsquery(parsed)}`)
        }
      }),
      { numRuns: 500 }
    )
  })

  it("case, composition and width make no difference", () => {
    const letters = fc
      .string({ unit: "grapheme", maxLength: 60 })
      .map((body) => body.replaceAll(/[^\p{L}\p{M}\p{N}]/gu, " "))
    fc.assert(
      fc.property(letters, (body) => {
        const words = runsIn(body)
        for (const form of ["NFC", "NFD", "NFKC"] as const) assert.deepStrictEqual(runsIn(body.normalize(form)), words)
        assert.deepStrictEqual(runsIn(body.toUpperCase()), words)
        assert.deepStrictEqual(runsIn(body.toLowerCase()), words)
      })
    )
  })

  it("a tatweel separates nothing, also inside a presentation form", () => {
    assert.deepStrictEqual(runsIn("0\ufe7b"), runsIn("0\u0640\u0650"))
    assert.deepStrictEqual(runsIn("0\ufe7b"), [{ kind: "word", text: "0\u0650" }])
  })

  it("words of an ASCII text are the same in both implementations", () => {
    const ascii = fc.string({
      unit: fc.integer({ min: 0, max: 127 }).map((code) => String.fromCharCode(code)),
      maxLength: 300
    })
    fc.assert(
      fc.property(ascii, (body) => assert.deepStrictEqual(runsIn(body), anyRunsIn(body))),
      { numRuns: 1000 }
    )
    for (let code = 0; code < 128; code++) {
      const body = `A${String.fromCharCode(code).repeat(150)}b`
      assert.deepStrictEqual(runsIn(body), anyRunsIn(body))
    }
  })

  it("words are composed as Unicode says", () => {
    // Another version of Node may know a newer Unicode than the tables.
    const knows = Number.parseFloat(process.versions.unicode ?? "") >= Number.parseFloat(tables.unicode)
    assert.isTrue(knows)
    const marks =
      "aeouAO\u01a1\u0301\u0300\u0323\u031b\u0308\u0304\u0345\u05b0\u05bc\u0f71\u0f72\u0f74가ᄀ\u1161\u11a8か\u3099"
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...marks), maxLength: 12 }), (body) => {
        for (const run of runsIn(body)) {
          const form = run.kind === "word" ? run.text : run.units.join("")
          assert.strictEqual(form.normalize("NFC"), form)
        }
      }),
      { numRuns: 1000 }
    )
  })

  it("its words fit into PostgreSQL, however hostile it is", () => {
    const hostile = [
      "x",
      "上",
      "ﷺ",
      "🎉",
      "ha ",
      "a\u0301\u0323",
      "\u0301",
      "ก\u0e49",
      "\u0344",
      " ",
      "\u200b",
      "w1 ",
      "\ud800"
    ]
    for (const piece of hostile) {
      for (const body of [piece.repeat(8000), `a${piece.repeat(8000)}`, piece.repeat(100_000)]) {
        const tokens = tokenize(body)
        assert.isBelow(Buffer.byteLength(toTsvector(tokens)), 1_000_000)
        let highest = 0
        for (const [lexeme, positions] of tokens) {
          assert.isBelow(Buffer.byteLength(lexeme), 2046)
          assert.isAtMost(positions.length, 256)
          highest = Math.max(highest, positions.at(-1) ?? 0)
        }
        assert.isAtMost(highest, 16_383)
      }
    }
  })
})
