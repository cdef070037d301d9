import { FindMyWay, HttpRouter } from "effect/http"

export interface RouteTable {
  /** Which methods a URL has, whatever the method that it was asked with; undefined where there is nothing. */
  readonly methods: (url: string) => ReadonlySet<string> | undefined
  /** The template of the path that a URL has. */
  readonly template: (url: string) => string | undefined
}

interface Noted {
  readonly template: string
  readonly methods: Set<string>
}

/** Paths differ by case. A slash too many, at the end or doubled, is forgiven. */
export const routerConfig = { caseSensitive: true }

const anyMethod = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

/** A router that also notes every route that is added through it: the library's own tells unknown paths only. */
export const recordRoutes = (
  router: HttpRouter.HttpRouter
): RouteTable & { readonly router: HttpRouter.HttpRouter } => {
  const byPath = new Map<string, Noted>()
  const table = FindMyWay.make<Noted>(routerConfig)

  const note = (method: string, template: HttpRouter.PathInput) => {
    let count = 0
    // Two methods of one path may name its parameters differently.
    const path = template.replace(/:\w+/g, () => `:p${count++}`)
    const noted = byPath.get(path) ?? { template, methods: new Set(["OPTIONS"]) }
    if (!byPath.has(path)) {
      byPath.set(path, noted)
      table.on("GET", path.startsWith("/") ? `/${path.slice(1)}` : "*", noted)
    }
    const these = method === "*" ? anyMethod : method === "GET" ? ["GET", "HEAD"] : [method]
    for (const each of these) noted.methods.add(each)
  }

  return {
    methods: (url) => table.find("GET", url)?.handler.methods,
    template: (url) => table.find("GET", url)?.handler.template,
    router: HttpRouter.HttpRouter.of({
      ...router,
      add: (method, path, handler, options) => {
        note(method, path)
        return router.add(method, path, handler, options)
      },
      addAll: (routes) => {
        for (const { method, path } of routes) note(method, path)
        return router.addAll(routes)
      }
    })
  }
}
