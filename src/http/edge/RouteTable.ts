import { FindMyWay, HttpRouter } from "effect/http"

/** The routes that were added so far. */
export interface RouteTable {
  /** The methods of the path of a URL, or undefined when there is no such path. */
  readonly methods: (url: string) => ReadonlySet<string> | undefined
  /** The template of the path of a URL. */
  readonly template: (url: string) => string | undefined
}

interface Noted {
  readonly template: string
  readonly methods: Set<string>
}

/** Paths are case-sensitive. A trailing or doubled slash is ignored. */
export const routerConfig = { caseSensitive: true }

const anyMethod = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

/** The methods that a route serves: a GET also answers HEAD. */
const methodsOf = (method: string): ReadonlyArray<string> => {
  if (method === "*") return anyMethod
  return method === "GET" ? ["GET", "HEAD"] : [method]
}

/** Makes a router that records every route that is added through it, because Effect's router only tells unknown paths. */
export const recordRoutes = (
  router: HttpRouter.HttpRouter
): RouteTable & { readonly router: HttpRouter.HttpRouter } => {
  const byPath = new Map<string, Noted>()
  const table = FindMyWay.make<Noted>(routerConfig)

  const note = (method: string, template: HttpRouter.PathInput) => {
    let count = 0
    // Two methods of one path may have different names for its parameters.
    const path = template.replace(/:\w+/g, () => `:p${count++}`)
    const noted = byPath.get(path) ?? { template, methods: new Set(["OPTIONS"]) }
    if (!byPath.has(path)) {
      byPath.set(path, noted)
      table.on("GET", path.startsWith("/") ? `/${path.slice(1)}` : "*", noted)
    }
    for (const each of methodsOf(method)) noted.methods.add(each)
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
