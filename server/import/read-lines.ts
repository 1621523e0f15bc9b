import { open } from 'node:fs/promises'
import { pipeline } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { ImportError } from './entry.ts'

/**
 * The lines of a text file, plain or gzipped (which its first bytes tell, whatever its name), in UTF-8. Only a line
 * feed ends one: Node's own readline would also split at U+2028, which JSON allows within a text. Throws an ImportError
 * where the file cannot be read to its end.
 */
export async function* readLines(path: string): AsyncGenerator<string> {
  try {
    const decoder = new TextDecoder()
    let rest = ''
    for await (const chunk of await openText(path)) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
      rest = lines.pop()!
      yield* lines
    }
    rest += decoder.decode()
    if (rest !== '') yield rest
  } catch (error) {
    throw explain(path, error)
  }
}

async function openText(path: string): Promise<AsyncIterable<Uint8Array>> {
  const file = await open(path)
  const start = await file.read({ buffer: Buffer.alloc(2), position: 0 }).catch(async (error: unknown) => {
    await file.close()
    throw error
  })
  const stream = file.createReadStream({ start: 0 })
  if (start.bytesRead < 2 || start.buffer[0] !== 0x1f || start.buffer[1] !== 0x8b) return stream
  // An error of the file reaches the reader through the gunzip that it destroys.
  return pipeline(stream, createGunzip(), () => {})
}

function explain(path: string, error: unknown): unknown {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'ENOENT') return new ImportError(`There is no file ${path}.`, { cause: error })
  if (code === 'Z_BUF_ERROR') return new ImportError(`${path} ends in the middle: it was cut off.`, { cause: error })
  if (code?.startsWith('Z_')) return new ImportError(`${path} is damaged: ${message}.`, { cause: error })
  if (code !== undefined) return new ImportError(`${path} cannot be read: ${message}.`, { cause: error })
  return error
}
