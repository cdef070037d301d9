import { rolldown } from "rolldown"

/** What a browser would load of a program, and which files and packages it was made of. */
export const bundle = async (input: string) => {
  const build = await rolldown({ input, platform: "browser", logLevel: "silent" })
  const { output } = await build.generate({ format: "esm", minify: true })
  await build.close()
  const [{ code, imports, moduleIds }] = output
  return { code, imports, modules: moduleIds }
}
