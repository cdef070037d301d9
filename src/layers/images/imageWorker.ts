import sharp, { type Metadata, type OutputInfo } from "sharp"
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

/** At most so many frames of an animated picture, and pixels of all of them, are in its thumbnails. */
const maxFrames = 100
const maxFramePixels = 20_000_000

/** More pixels than any camera has. A picture of as many takes 200 MB, decoded. */
const maxPixels = 50_000_000

const seconds = 10
/** An animation that takes longer is shown by its first frame. */
const animationSeconds = 3

const open = (file: string, pages = 1) =>
  sharp(file, { limitInputPixels: maxPixels, failOn: "error", pages }).timeout({
    seconds: pages === 1 ? seconds : animationSeconds
  })

interface Job {
  readonly file: string
  readonly directory: string
  /** The sizes of thumbnails, or of squares, to make. */
  readonly sizes?: ReadonlyArray<number>
  readonly squares?: ReadonlyArray<number>
  /** Whether to read how long a sound or a video is. */
  readonly duration?: boolean
}

const webp = { quality: 80 }
const animated = { ...webp, effort: 2 }

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

/** How many frames of a picture its thumbnails have. Those of pictures that are stored turned have one. */
const framesOf = ({ height, orientation = 1, pages = 1, width }: Metadata) =>
  orientation > 1 ? 1 : Math.max(1, Math.min(pages, maxFrames, Math.floor(maxFramePixels / (width * height))))

const shrink = async (file: string, to: string, size: number, frames: number): Promise<OutputInfo> => {
  const picture = frames > 1 ? open(file, frames) : open(file).autoOrient()
  const made = picture
    .resize({ width: size, height: size, fit: "inside" })
    .webp(frames > 1 ? animated : webp)
    .toFile(to)
  return frames > 1 ? made.catch(() => shrink(file, to, size, 1)) : made
}

const durationOf = async ({ file }: Job) => {
  const { parseFile } = await import("music-metadata")
  const { format } = await parseFile(file, { duration: true, skipCovers: true })
  const durationMs = Math.round((format.duration ?? Number.NaN) * 1000)
  return Number.isSafeInteger(durationMs) && durationMs >= 0 ? durationMs : null
}

const examine = async ({ directory, file, sizes = [] }: Job) => {
  const metadata = await open(file).metadata()
  const { autoOrient } = metadata
  const frames = framesOf(metadata)
  const { data, info } = await open(file)
    .autoOrient()
    .resize({ width: 100, height: 100, fit: "inside", withoutEnlargement: true })
    .ensureAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true })
  const placeholder = Buffer.from(rgbaToThumbHash(info.width, info.height, data)).toString("base64")
  const thumbnails = []
  for (const size of sizes.filter((each) => each < Math.max(autoOrient.width, autoOrient.height))) {
    const made = await shrink(file, `${directory}/${size}`, size, frames)
    // Of an animation, the height is that of all frames.
    thumbnails.push({ size, width: made.width, height: made.pageHeight ?? made.height, bytes: made.size })
  }
  return { width: autoOrient.width, height: autoOrient.height, placeholder, thumbnails }
}

const answer = async (job: Job) => {
  if (job.duration === true) return { durationMs: await durationOf(job) }
  return job.squares === undefined ? { picture: await examine(job) } : { squares: await cut(job) }
}

process.on("message", (job: Job) => {
  process.send?.("begun")
  answer(job).then(
    (made) => process.send?.(made),
    (cause: unknown) => process.send?.({ failure: cause instanceof Error ? cause.message : "it cannot be decoded" })
  )
})
// The service has ended, however it has.
process.on("disconnect", () => process.exit(0))
