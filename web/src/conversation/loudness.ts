/** How many numbers a waveform has. */
const count = 64

/** How often it is measured how loud it is, in milliseconds. */
const interval = 40

/** The loudest moment of each part of what was measured, as numbers from 0 to 100; undefined when there was only silence. */
export const waveformOf = (peaks: ReadonlyArray<number>): ReadonlyArray<number> | undefined => {
  const loudest = Math.max(0, ...peaks)
  if (loudest === 0) return undefined
  return Array.from({ length: count }, (_, part) => {
    const from = Math.floor((part * peaks.length) / count)
    const to = Math.max(from + 1, Math.floor(((part + 1) * peaks.length) / count))
    return Math.round((Math.max(...peaks.slice(from, to)) / loudest) * 100)
  })
}

/** Measures how loud a stream is until `end`. */
export const listenTo = (stream: MediaStream) => {
  const context = new AudioContext()
  const analyser = context.createAnalyser()
  context.createMediaStreamSource(stream).connect(analyser)
  const samples = new Float32Array(analyser.fftSize)
  const peaks: Array<number> = []
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples)
    peaks.push(samples.reduce((peak, sample) => Math.max(peak, Math.abs(sample)), 0))
  }, interval)
  return {
    waveform: () => waveformOf(peaks),
    end: () => {
      clearInterval(timer)
      void context.close()
    }
  }
}
