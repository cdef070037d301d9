import { rolldown } from "rolldown"

/** Bundles a program as for a browser, except for `external`, and lists the files and packages that it consists of. */
export const bundle = async (input: string, external: Array<string> = []) => {
  const build = await rolldown({ input, external, platform: "browser", logLevel: "silent" })
  const { output } = await build.generate({ format: "esm", minify: true })
  await build.close()
  const [{ code, imports, moduleIds }] = output
  return { code, imports, modules: moduleIds }
}
