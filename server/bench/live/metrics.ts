import type { BenchServer } from '../bench-server.ts'

/** A metric of a server's: its value by its labels, as they are written. */
export async function metricOf(server: BenchServer, name: string): Promise<[labels: string, value: number][]> {
  const text = await (await fetch(new URL('/metrics', server.url))).text()
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
    .map((line) => {
      const space = line.lastIndexOf(' ')
      return [line.slice(name.length, space), Number(line.slice(space + 1))]
    })
}
