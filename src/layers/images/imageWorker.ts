import sharp from "sharp"
import { rgbaToThumbHash } from "thumbhash"

// The program of the process that decodes pictures: see ImageProcess.ts. It gets the paths of a picture and of a directory,
// writes the thumbnails there, and answers with what it has found.

// Everything but the four loaders is closed: the others, such as SVG and PDF, read what they are not given.
sharp.block({ operation: ["VipsForeignLoad"] })
sharp.unblock({
  operation: [
    "VipsForeignLoadJpegFile",
    "VipsForeignLoadPngFile",
    "VipsForeignLoadWebpFile",
    "VipsForeignLoadNsgifFile"
  ]
})
sharp.cache(false)
sharp.concurrency(1)

/** More pixels than any camera has. A picture of as many takes 200 MB, decoded. */
const maxPixels = 50_000_000

const seconds = 10

const open = (file: string) => sharp(file, { limitInputPixels: maxPixels, failOn: "error" }).timeout({ seconds })

interface Job {
  readonly file: string
  readonly directory: string
  /** The sizes of thumbnails, or of squares, to make. */
  readonly sizes?: ReadonlyArray<number>
  readonly squares?: ReadonlyArray<number>
}

const webp = { quality: 80 }

const cut = async ({ directory, file, squares = [] }: Job) => {
  const made = []
  for (const size of squares) {
    const { size: bytes } = await open(file)
      .autoOrient()
      .resize({ width: size, height: size, fit: "cover" })
      .webp(webp)
      .toFile(`${directory}/${size}`)
    made.push({ size, bytes })
  }
  return made
}

const examine = async ({ directory, file, sizes = [] }: Job) => {
  const { autoOrient } = await open(file).metadata()
  const { data, info } = await open(file)
    .autoOrient()
    .resize({ width: 100, height: 100, fit: "inside", withoutEnlargement: true })
    .ensureAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true })
  const placeholder = Buffer.from(rgbaToThumbHash(info.width, info.height, data)).toString("base64")
  const thumbnails = []
  for (const size of sizes.filter((each) => each < Math.max(autoOrient.width, autoOrient.height))) {
    const made = await open(file)
      .autoOrient()
      .resize({ width: size, height: size, fit: "inside" })
      .webp(webp)
      .toFile(`${directory}/${size}`)
    thumbnails.push({ size, width: made.width, height: made.height, bytes: made.size })
  }
  return { width: autoOrient.width, height: autoOrient.height, placeholder, thumbnails }
}

process.on("message", (job: Job) => {
  process.send?.("begun")
  const answer =
    job.squares === undefined
      ? examine(job).then((picture) => ({ picture }))
      : cut(job).then((squares) => ({ squares }))
  answer.then(
    (made) => process.send?.(made),
    (cause: unknown) => process.send?.({ failure: cause instanceof Error ? cause.message : "it cannot be decoded" })
  )
})
// The service has ended, however it has.
process.on("disconnect", () => process.exit(0))
